package imaging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// bmpFile is what the headers of a BMP file say, and where its parts lie.
type bmpFile struct {
	w, h    int
	topDown bool
	depth   int       // bits a pixel
	masks   [3]uint32 // of red, green, blue; of 16 and 32 bits
	palette []byte    // of up to 8 bits, entry bytes each: blue, green, red
	entry   int
	pixels  []byte // rows, each padded to four bytes
}

var errBMPTruncated = errors.New("file ends before the picture does")

// parseBMP reads the headers of Windows' versions 1 to 5 and of OS/2's, and knows what Pillow knows of them. Run-length codes
// and embedded JPEG and PNG files are refused.
func parseBMP(data []byte) (*bmpFile, error) {
	const fileHeader = 14
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(data[at:])) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(data[at:]) }
	if len(data) < fileHeader+4 {
		return nil, errBMPTruncated
	}
	size := u32(fileHeader)
	switch size {
	case 12, 40, 52, 56, 64, 108, 124:
	default:
		return nil, reason{Unsupported, fmt.Sprintf("header of %d bytes", size)}
	}
	next := fileHeader + int(size)
	if len(data) < next {
		return nil, errBMPTruncated
	}
	f := &bmpFile{entry: 4}
	colors, compression := uint32(0), uint32(0)
	if size == 12 {
		f.w, f.h, f.depth, f.entry = u16(18), u16(20), u16(24), 3
	} else {
		height := u32(22)
		if f.topDown = height>>24 == 0xFF; f.topDown {
			height = -height
		}
		f.w, f.h, f.depth, compression, colors = int(u32(18)), int(height), u16(28), u32(30), u32(46)
	}
	switch compression {
	case 0:
		f.masks = [3]uint32{0xFF0000, 0xFF00, 0xFF}
		if f.depth == 16 {
			f.masks = [3]uint32{0x7C00, 0x3E0, 0x1F}
		}
	case 3:
		if size == 64 {
			return nil, reason{Unsupported, "Huffman-coded, as only OS/2 does"}
		}
		if size == 40 {
			next += 12
			if len(data) < next {
				return nil, errBMPTruncated
			}
		}
		for i := range f.masks {
			f.masks[i] = u32(fileHeader + 40 + 4*i)
		}
		if err := f.checkMasks(); err != nil {
			return nil, err
		}
	case 1, 2:
		return nil, reason{Unsupported, "run-length-coded"}
	default:
		return nil, reason{Unsupported, fmt.Sprintf("compression %d", compression)}
	}
	offset := int64(u32(10))
	switch f.depth {
	case 1, 4, 8:
		if colors == 0 {
			colors = 1 << f.depth
		}
		if colors > 1<<f.depth {
			return nil, fmt.Errorf("%d colours of %d bits", colors, f.depth)
		}
		n := f.entry * int(colors)
		if offset == int64(next) { // some programs forget the palette
			offset += int64(n)
		}
		if len(data) < next+n {
			return nil, errBMPTruncated
		}
		f.palette = data[next:][:n]
		next += n
	case 16, 24, 32:
	default:
		return nil, reason{Unsupported, fmt.Sprintf("%d bits a pixel", f.depth)}
	}
	if offset == 0 {
		offset = int64(next)
	}
	if offset > int64(len(data)) {
		return nil, errBMPTruncated
	}
	f.pixels = data[offset:]
	return f, nil
}

// checkMasks looks at bit fields: whole bytes of 24 and 32 bits, 5:6:5 and 5:5:5 of 16. Four zeros are blue, green, red.
func (f *bmpFile) checkMasks() error {
	if f.masks == [3]uint32{} && f.depth == 32 {
		f.masks = [3]uint32{0xFF0000, 0xFF00, 0xFF}
	}
	ok := false
	switch m := f.masks; f.depth {
	case 16:
		ok = m == [3]uint32{0xF800, 0x7E0, 0x1F} || m == [3]uint32{0x7C00, 0x3E0, 0x1F}
	case 24:
		ok = m == [3]uint32{0xFF0000, 0xFF00, 0xFF}
	case 32:
		ok = m[0]&m[1] == 0 && m[0]&m[2] == 0 && m[1]&m[2] == 0
		for _, v := range m {
			ok = ok && v>>(bits.TrailingZeros32(v)&^7) == 0xFF
		}
	}
	if !ok {
		return reason{Unsupported, fmt.Sprintf("%d bits a pixel with bit fields %x", f.depth, f.masks)}
	}
	return nil
}

func bmpConfig(data []byte) (w, h int, err error) {
	f, err := parseBMP(data)
	if err != nil {
		return 0, 0, err
	}
	return f.w, f.h, nil
}

func decodeBMP(data []byte) (*RGB, error) {
	f, err := parseBMP(data)
	if err != nil {
		return nil, err
	}
	if !f.whole() {
		return nil, errBMPTruncated
	}
	used, stride := f.strides()
	out := NewRGB(f.w, f.h)
	for y := range f.h {
		row := f.h - 1 - y
		if f.topDown {
			row = y
		}
		f.row(out.Pix[3*f.w*y:][:3*f.w], f.pixels[stride*row:][:used])
	}
	return out, nil
}

// strides are the bytes of a row that count, and those from one row to the next.
func (f *bmpFile) strides() (used, stride int) {
	used = (f.w*f.depth + 7) / 8
	return used, (used + 3) &^ 3
}

// whole reports whether all pixels are there; the last row may lack its padding.
func (f *bmpFile) whole() bool {
	used, stride := f.strides()
	return len(f.pixels) >= stride*(f.h-1)+used
}

// row makes RGB of a row of pixels.
func (f *bmpFile) row(dst, src []byte) {
	switch f.depth {
	case 16:
		for x := range f.w {
			v := uint32(binary.LittleEndian.Uint16(src[2*x:]))
			for ch, mask := range f.masks {
				// Levels are spread over 8 bits and cut, not rounded.
				low := bits.TrailingZeros32(mask)
				dst[3*x+ch] = uint8(((v & mask) >> low) * 255 / (mask >> low))
			}
		}
	case 24, 32:
		pixel := f.depth / 8
		var at [3]int
		for ch, mask := range f.masks {
			at[ch] = bits.TrailingZeros32(mask) / 8
		}
		for x := range f.w {
			p := src[pixel*x:][:pixel]
			dst[3*x], dst[3*x+1], dst[3*x+2] = p[at[0]], p[at[1]], p[at[2]]
		}
	default:
		perByte := 8 / f.depth
		for x := range f.w {
			shift := 8 - f.depth*(x%perByte+1)
			i := int(src[x/perByte]>>shift) & (1<<f.depth - 1)
			if c := f.entry * i; c < len(f.palette) {
				dst[3*x], dst[3*x+1], dst[3*x+2] = f.palette[c+2], f.palette[c+1], f.palette[c]
			}
		}
	}
}
