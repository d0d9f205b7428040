//go:build cuda

package cuda

import (
	"fewshot/tensor"
)

// OwnMemory is the size of the GPU's memory in bytes.
func (b *backend) OwnMemory() int64 { return b.dev.About().Memory }

// A Buf of float32 numbers has the memory of bytes, so that there is one way to allocate.
func (b *backend) AllocBytes(n int) tensor.Bytes {
	return tensor.Bytes{Ptr: b.Alloc(parts(n, 4), tensor.Full).Ptr, N: n}
}

func (b *backend) FreeBytes(m tensor.Bytes) {
	b.Free(tensor.Buf{Ptr: m.Ptr, N: parts(m.N, 4), Size: 4})
}

// UploadBytes copies by slots.
func (b *backend) UploadBytes(dst tensor.Bytes, src []byte) {
	for lo := 0; lo < len(src) && b.err == nil; lo += slotBytes {
		part := src[lo:min(lo+slotBytes, len(src))]
		s, err := b.slot()
		if err != nil {
			b.fail("upload", err)
			return
		}
		copy(s.host, part)
		b.fail("upload", b.send(s, dst.Ptr+uintptr(lo), len(part)))
	}
}

// cropWords is the length of struct Crop of pictures.cu.
const cropWords = 6

// The bits of Crop.how in pictures.cu.
const (
	flipped   = 1
	rowsFirst = 2
)

// tile is the width and height of what a block of resample makes.
const tile = 32

// Resample hands everything over in one piece: the crops, then their filters.
func (b *backend) Resample(dst, levels tensor.Buf, crops []tensor.CropArgs, size int) {
	words := b.words[:0]
	filters := 0
	for _, c := range crops {
		how := int32(0)
		if c.Flip {
			how |= flipped
		}
		if c.RowsFirst {
			how |= rowsFirst
		}
		columns := filters
		rows := columns + len(c.Columns)
		filters = rows + len(c.Rows)
		words = append(words, int32(uint32(c.Pix.Ptr)), int32(uint64(c.Pix.Ptr)>>32), int32(c.Stride), int32(columns), int32(rows), how)
	}
	for _, c := range crops {
		words = append(append(words, c.Columns...), c.Rows...)
	}
	b.words = words
	b.scratch.reset(b)
	p := b.numbers(words)
	side := parts(size, tile)
	launch(b, "resample", len(crops)*side*side, struct {
		dst, levels    mem
		crops, numbers uint64
		size           int64
	}{at(dst), at(levels), p, p + uint64(4*cropWords*len(crops)), int64(size)})
}
