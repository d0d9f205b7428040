package imaging

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"io"
)

// gifFrame is where the first frame of a GIF file lies.
type gifFrame struct {
	w, h           int // of the canvas, which a frame that reaches beyond it enlarges
	x, y, fw, fh   int // of the frame
	palette        []byte
	transparent    int // palette index that the canvas is filled with
	interlaced     bool
	minimumCodeLen byte
	data           []byte // the image data's sub-blocks and all that follows
}

// onlyFirstFrame is the warning for animations of all formats.
const onlyFirstFrame = "animated; only the first frame is used"

var errGIFTruncated = errors.New("file ends before its first frame does")

// parseGIF finds the first frame. It goes by the GIF89a specification; what the frame does not need is skipped.
func parseGIF(data []byte) (*gifFrame, error) {
	if len(data) < 13 {
		return nil, errGIFTruncated
	}
	f := &gifFrame{w: int(binary.LittleEndian.Uint16(data[6:])), h: int(binary.LittleEndian.Uint16(data[8:]))}
	flags := data[10]
	p := data[13:]
	if flags&0x80 != 0 {
		n := 6 << (flags & 7)
		if len(p) < n {
			return nil, errGIFTruncated
		}
		f.palette, p = p[:n], p[n:]
	}
	for {
		if len(p) == 0 {
			return nil, errGIFTruncated
		}
		switch p[0] {
		case '!': // extension
			if len(p) < 2 {
				return nil, errGIFTruncated
			}
			body, rest, ok := subBlocks(p[2:])
			if !ok {
				return nil, errGIFTruncated
			}
			if p[1] == 0xF9 && len(body) >= 5 && body[1]&1 != 0 {
				f.transparent = int(body[4])
			}
			p = rest
		case ',': // image
			if len(p) < 11 {
				return nil, errGIFTruncated
			}
			f.x, f.y = int(binary.LittleEndian.Uint16(p[1:])), int(binary.LittleEndian.Uint16(p[3:]))
			f.fw, f.fh = int(binary.LittleEndian.Uint16(p[5:])), int(binary.LittleEndian.Uint16(p[7:]))
			f.w, f.h = max(f.w, f.x+f.fw), max(f.h, f.y+f.fh)
			flags := p[9]
			p = p[10:]
			f.interlaced = flags&0x40 != 0
			if flags&0x80 != 0 {
				n := 6 << (flags & 7)
				if len(p) < n+1 {
					return nil, errGIFTruncated
				}
				f.palette, p = p[:n], p[n:]
			}
			f.minimumCodeLen, f.data = p[0], p[1:]
			return f, nil
		case ';':
			return nil, errors.New("no frame")
		default:
			return nil, errors.New("unknown block")
		}
	}
}

// subBlocks splits off a sequence of sub-blocks, each preceded by its length, up to an empty one. body keeps the lengths.
func subBlocks(p []byte) (body, rest []byte, ok bool) {
	n := 0
	for n < len(p) {
		if p[n] == 0 {
			return p[:n], p[n+1:], true
		}
		n += 1 + int(p[n])
	}
	return nil, nil, false
}

// subBlockReader reads the contents of a sequence of sub-blocks byte by byte, as the LZW decoder wants it so as not to read
// ahead.
type subBlockReader struct {
	p    []byte
	left int // in the present sub-block
}

func (r *subBlockReader) ReadByte() (byte, error) {
	if r.left == 0 {
		if len(r.p) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		if r.p[0] == 0 {
			return 0, io.EOF
		}
		r.left, r.p = int(r.p[0]), r.p[1:]
	}
	if len(r.p) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	b := r.p[0]
	r.p = r.p[1:]
	r.left--
	return b, nil
}

func (r *subBlockReader) Read(p []byte) (int, error) {
	for i := range p {
		b, err := r.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}

func gifConfig(data []byte) (w, h int, err error) {
	f, err := parseGIF(data)
	if err != nil {
		return 0, 0, err
	}
	return f.w, f.h, nil
}

// decodeGIF decodes the first frame onto a canvas filled with the transparent colour, or colour 0 if there is none.
func decodeGIF(data []byte) (*RGB, error) {
	f, err := parseGIF(data)
	if err != nil {
		return nil, err
	}
	if f.fw == 0 || f.fh == 0 {
		return nil, errors.New("empty frame")
	}
	if f.minimumCodeLen < 1 || f.minimumCodeLen > 8 {
		return nil, errors.New("bad LZW code size")
	}
	blocks := &subBlockReader{p: f.data}
	lzr := lzw.NewReader(blocks, lzw.LSB, int(f.minimumCodeLen))
	defer lzr.Close()

	palette := f.colors()
	out := NewRGB(f.w, f.h)
	if fill := palette[f.transparent]; fill != [3]uint8{} {
		for i := range f.w * f.h {
			copy(out.Pix[3*i:], fill[:])
		}
	}
	row := make([]byte, f.fw)
	for i := range f.fh {
		if _, err := io.ReadFull(lzr, row); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, errGIFTruncated
			}
			return nil, err
		}
		y := i
		if f.interlaced {
			y = interlacedRow(i, f.fh)
		}
		d := out.Pix[3*((f.y+y)*f.w+f.x):]
		for x, v := range row {
			copy(d[3*x:3*x+3], palette[v][:])
		}
	}
	if bytes.IndexByte(f.after(), ',') == 0 {
		out.Warning = onlyFirstFrame
	}
	return out, nil
}

// colors gives the palette, or a grey ramp where there is none. Missing entries are black.
func (f *gifFrame) colors() (rgb [256][3]uint8) {
	if f.palette == nil {
		for i := range rgb {
			rgb[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		}
	}
	for i := range len(f.palette) / 3 {
		rgb[i] = [3]uint8(f.palette[3*i:])
	}
	return rgb
}

// interlacedRow maps the i-th row in the file to its place: every 8th from 0, every 8th from 4, every 4th from 2, every 2nd
// from 1.
func interlacedRow(i, h int) int {
	for _, pass := range [4]struct{ start, step int }{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		n := max(0, (h-pass.start+pass.step-1)/pass.step)
		if i < n {
			return pass.start + i*pass.step
		}
		i -= n
	}
	return i
}

// after gives what follows the frame and any extensions after it: an image if there are more frames. Damage there is of no
// interest.
func (f *gifFrame) after() []byte {
	_, p, ok := subBlocks(f.data)
	for ok && len(p) >= 2 && p[0] == '!' {
		_, p, ok = subBlocks(p[2:])
	}
	return p
}
