package tensor

import (
	"fmt"
	"slices"
)

// Bytes is a stretch of a device's memory for bytes. Host devices fill Host, others Ptr.
type Bytes struct {
	Host []byte
	Ptr  uintptr
	N    int
}

// From is the part of b from byte i on.
func (b Bytes) From(i int) Bytes {
	b.N -= i
	if b.Host != nil {
		b.Host = b.Host[i:]
	} else {
		b.Ptr += uintptr(i)
	}
	return b
}

// Pictures are RGB pictures kept as bytes in a device's memory, three a pixel, of which Resample makes images. They
// are numbered in the order in which they were added.
type Pictures struct {
	dev    *Device
	most   int64 // bytes
	bytes  int64 // of all blocks
	blocks []Bytes
	block  int // that the next picture goes into
	used   int // bytes of it
	all    []picture
	crops  []CropArgs // of the last Resample
}

type picture struct {
	pix  Bytes
	w, h int
}

// pictureBlock is how much memory is taken at a time, unless a picture needs more.
const pictureBlock = 32 << 20

// pictureAlign is where in a block pictures start: at sectors of a GPU's memory.
const pictureAlign = 64

// NewPictures makes room for pictures, of which no more than most bytes will be taken.
func (d *Device) NewPictures(most int64) *Pictures { return &Pictures{dev: d, most: most} }

// Add keeps a picture of w×h pixels and returns its number; ok is false if there is no room for it.
func (p *Pictures) Add(pix []byte, w, h int) (number int, ok bool) {
	if w < 1 || h < 1 || len(pix) != 3*w*h {
		panic(fmt.Sprintf("tensor: Pictures.Add: %d bytes for a picture of %dx%d pixels", len(pix), w, h))
	}
	at, ok := p.place(len(pix))
	if !ok {
		return 0, false
	}
	p.dev.backend.UploadBytes(at, pix)
	p.all = append(p.all, picture{at, w, h})
	return len(p.all) - 1, true
}

// place is room for n bytes: in the block in use, in one that Clear has emptied, or in a new one.
func (p *Pictures) place(n int) (at Bytes, ok bool) {
	for p.block < len(p.blocks) && p.blocks[p.block].N-p.used < n {
		p.block, p.used = p.block+1, 0
	}
	if p.block == len(p.blocks) {
		left := p.most - p.bytes
		if int64(n) > left {
			return Bytes{}, false
		}
		size := max(int(min(pictureBlock, left)), n)
		p.blocks = append(p.blocks, p.dev.backend.AllocBytes(size))
		p.bytes += int64(size)
		p.dev.hold(int64(size))
	}
	at = p.blocks[p.block].From(p.used)
	at.N = n
	p.used += (n + pictureAlign - 1) &^ (pictureAlign - 1)
	return at, true
}

// Len is the number of pictures.
func (p *Pictures) Len() int { return len(p.all) }

// Bytes is the memory that the pictures take.
func (p *Pictures) Bytes() int64 { return p.bytes }

// Clear forgets all pictures; numbers start at 0 again. Their memory waits for others, but for what was made to fit a
// single large one.
func (p *Pictures) Clear() { p.forget(pictureBlock) }

// Release forgets all pictures and gives their memory back.
func (p *Pictures) Release() { p.forget(0) }

// forget keeps blocks of up to so many bytes.
func (p *Pictures) forget(keep int) {
	p.all, p.block, p.used = p.all[:0], 0, 0
	p.blocks = slices.DeleteFunc(p.blocks, func(b Bytes) bool {
		if b.N <= keep {
			return false
		}
		p.bytes -= int64(b.N)
		p.dev.hold(-int64(b.N))
		p.dev.backend.FreeBytes(b)
		return true
	})
}

// Crop says how an image of S×S pixels is made of a picture: the part of it that begins at Left, Top goes through the
// filter Columns along its rows, and the outcome through the filter Rows across them; or the other way round.
//
// A filter has three numbers for each of its S outputs: the first input, how many there are, and where in the
// filter their weights begin. The weights follow, with 22 fractional bits. Inputs and weights are multiplied and
// added as 32-bit integers, and the sum is rounded and clipped to 8 bits. Neither the first inputs nor the last may go
// back from one output to the next.
type Crop struct {
	Picture       int
	Left, Top     int
	Columns, Rows []int32
	RowsFirst     bool // the part goes through Rows before it goes through Columns
	Flip          bool // mirror the image left to right
}

// CropArgs is a Crop as backends see it. Pix is the picture from the crop's first pixel on, Stride the number of bytes
// from one of its rows to the next.
type CropArgs struct {
	Pix           Bytes
	Stride        int
	Columns, Rows []int32
	RowsFirst     bool
	Flip          bool
}

// Resample makes images dst [N, 3, S, S] of N crops of pictures. levels [3, 256] are the numbers that the 256 values of
// a sample become in each channel. How everything is rounded is part of the definition: devices do not differ.
func Resample(dst, levels *Tensor, p *Pictures, crops []Crop) {
	check(dst.Rank() == 4 && dst.shape[0] == len(crops) && dst.shape[1] == 3 && dst.shape[2] == dst.shape[3] &&
		levels.Len() == 3*256 && levels.Kind() == Full && dst.dev == p.dev,
		"Resample", "dst [N,3,S,S] for N crops, levels [3,256] of kind Full, on the pictures' device", "dst levels", dst, levels)
	size := dst.Dim(1)
	p.crops = p.crops[:0]
	for i, c := range crops {
		if c.Picture < 0 || c.Picture >= len(p.all) {
			panic(&ShapeError{Op: "Resample", Rule: "crops name pictures", Operands: []Operand{{"picture", []int{c.Picture}}, {"pictures", []int{len(p.all)}}}})
		}
		m := p.all[c.Picture]
		if c.Left < 0 || c.Top < 0 || !filterFits(c.Columns, size, m.w-c.Left) || !filterFits(c.Rows, size, m.h-c.Top) {
			panic(&ShapeError{Op: "Resample", Rule: "filters have S outputs, in order, of what lies in the picture",
				Operands: []Operand{{"crop", []int{i}}, {"corner", []int{c.Left, c.Top}}, {"picture", []int{m.w, m.h}}, {"dst", dst.shape}}})
		}
		p.crops = append(p.crops, CropArgs{m.pix.From(3 * (c.Top*m.w + c.Left)), 3 * m.w, c.Columns, c.Rows, c.RowsFirst, c.Flip})
	}
	if len(crops) > 0 && size > 0 {
		dst.dev.backend.Resample(dst.buf, levels.buf, p.crops, size)
	}
}

// filterFits reports whether f is a filter from n inputs to size outputs.
func filterFits(f []int32, size, n int) bool {
	if len(f) < 3*size {
		return false
	}
	first, last := 0, 0
	for i := range size {
		from, count, at := int(f[3*i]), int(f[3*i+1]), int(f[3*i+2])
		if from < first || count < 1 || from+count < last || from+count > n || at < 3*size || at+count > len(f) {
			return false
		}
		first, last = from, from+count
	}
	return true
}
