package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// pnmSpace is what separates numbers.
const pnmSpace = " \t\n\v\f\r"

// pnmMagic are the first bytes of Netpbm's formats P1 to P6.
func pnmMagic() (all []string) {
	for kind := '1'; kind <= '6'; kind++ {
		for _, space := range pnmSpace {
			all = append(all, string([]rune{'P', kind, space}))
		}
	}
	return all
}

// pnmFile is a file's header, and the samples behind it.
type pnmFile struct {
	kind    byte // '1' to '6'
	w, h    int
	max     int
	samples []byte
}

var errPNMTruncated = errors.New("file ends before the picture does")

// plain says that samples are decimal numbers.
func (f *pnmFile) plain() bool { return f.kind <= '3' }

func parsePNM(data []byte) (*pnmFile, error) {
	f := &pnmFile{kind: data[1], max: 1}
	p := data[3:]
	fields := []*int{&f.w, &f.h, &f.max}
	if f.kind == '1' || f.kind == '4' {
		fields = fields[:2]
	}
	for _, field := range fields {
		var err error
		if *field, p, err = pnmNumber(p); err != nil {
			return nil, err
		}
	}
	if f.max < 1 || f.max > 65535 {
		return nil, fmt.Errorf("samples of up to %d", f.max)
	}
	f.samples = p
	return f, nil
}

// pnmNumber reads a number of a header and the blank after it. Comments reach from # to the end of the line.
func pnmNumber(p []byte) (n int, rest []byte, err error) {
	const digits = 9
	count := 0
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case '0' <= c && c <= '9':
			if n = 10*n + int(c-'0'); count == digits {
				return 0, nil, errors.New("number of more than 9 digits in the header")
			}
			count++
		case c == '#':
			end := bytes.IndexAny(p[i:], "\r\n")
			if end < 0 {
				return 0, nil, errPNMTruncated
			}
			i += end
		case bytes.IndexByte([]byte(pnmSpace), c) < 0:
			return 0, nil, fmt.Errorf("%q in the header where a number is due", c)
		case count > 0:
			return n, p[i+1:], nil
		}
	}
	return 0, nil, errPNMTruncated
}

func pnmConfig(data []byte) (w, h int, err error) {
	f, err := parsePNM(data)
	if err != nil {
		return 0, 0, err
	}
	return f.w, f.h, nil
}

// decodePNM scales samples to 8 bits as Pillow does: colour to 0..255, rounded half to even; grey of more than 8 bits to
// 0..65535, of which 255 is as good as white.
func decodePNM(data []byte) (*RGB, error) {
	f, err := parsePNM(data)
	if err != nil {
		return nil, err
	}
	channels := f.channels()
	full := 255.0
	if f.max > 255 && channels == 1 {
		full = 65535
	}
	levels := make([]uint8, f.max+1)
	for v := range levels {
		levels[v] = uint8(min(math.RoundToEven(float64(float64(v)/float64(f.max))*full), 255))
	}
	if f.kind == '1' || f.kind == '4' {
		levels[0], levels[1] = 255, 0
	}
	next, err := f.reader()
	if err != nil {
		return nil, err
	}
	out := NewRGB(f.w, f.h)
	for i := range f.w * f.h * channels {
		v, err := next()
		if err != nil {
			return nil, err
		}
		level := uint8(255) // binary samples may be beyond the largest
		if v < len(levels) {
			level = levels[v]
		}
		if channels == 3 {
			out.Pix[i] = level
		} else {
			out.Pix[3*i], out.Pix[3*i+1], out.Pix[3*i+2] = level, level, level
		}
	}
	return out, nil
}

// channels is the number of samples a pixel.
func (f *pnmFile) channels() int {
	if f.kind == '3' || f.kind == '6' {
		return 3
	}
	return 1
}

// reader gives one sample after the other. Files that cannot hold all of them are refused before anything is allocated.
func (f *pnmFile) reader() (next func() (int, error), err error) {
	p, i := f.samples, -1
	n := f.w * f.h * f.channels()
	need := n
	switch {
	case f.kind == '1':
		next = func() (int, error) { return pnmBit(&p) }
	case f.kind == '4':
		stride := (f.w + 7) / 8
		need = stride * f.h
		next = func() (int, error) {
			i++
			x, y := i%f.w, i/f.w
			return int(p[stride*y+x/8]>>(7-x%8)) & 1, nil
		}
	case f.plain():
		need = 2*n - 1
		next = func() (int, error) { return pnmSample(&p, f.max) }
	case f.max < 256:
		next = func() (int, error) { i++; return int(p[i]), nil }
	default:
		need = 2 * n
		next = func() (int, error) { i++; return int(binary.BigEndian.Uint16(p[2*i:])), nil }
	}
	if len(p) < need {
		return nil, errPNMTruncated
	}
	return next, nil
}

// pnmSkip drops blanks and comments.
func pnmSkip(p []byte) []byte {
	for len(p) > 0 {
		if p[0] == '#' {
			end := bytes.IndexAny(p, "\r\n")
			if end < 0 {
				return nil
			}
			p = p[end:]
		} else if bytes.IndexByte([]byte(pnmSpace), p[0]) < 0 {
			break
		}
		p = p[1:]
	}
	return p
}

// pnmBit reads a bit, written as 0 or 1, with or without blanks between them.
func pnmBit(p *[]byte) (int, error) {
	*p = pnmSkip(*p)
	if len(*p) == 0 {
		return 0, errPNMTruncated
	}
	c := (*p)[0]
	*p = (*p)[1:]
	if c != '0' && c != '1' {
		return 0, fmt.Errorf("%q where a bit is due", c)
	}
	return int(c - '0'), nil
}

// pnmSample reads a number that a blank or the end of the file follows.
func pnmSample(p *[]byte, most int) (int, error) {
	s := pnmSkip(*p)
	n, i := 0, 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		if n = 10*n + int(s[i]-'0'); n > most || i == 10 {
			return 0, fmt.Errorf("sample above the largest, %d", most)
		}
	}
	switch {
	case len(s) == 0:
		return 0, errPNMTruncated
	case i == 0 || i < len(s) && bytes.IndexByte([]byte(pnmSpace), s[i]) < 0:
		return 0, fmt.Errorf("%q where a sample is due", s[i])
	}
	*p = s[i:]
	return n, nil
}
