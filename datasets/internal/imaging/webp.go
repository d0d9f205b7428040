package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/webp"
)

// webpConfig reads the size: of an animation, that of its canvas.
func webpConfig(data []byte) (w, h int, err error) {
	switch a, err := parseAnimation(data); {
	case err != nil:
		return 0, 0, err
	case a != nil:
		return a.w, a.h, nil
	}
	c, err := webp.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}

func decodeWebP(data []byte) (*RGB, error) {
	a, err := parseAnimation(data)
	if err != nil {
		return nil, err
	}
	if a != nil {
		return a.decode()
	}
	m, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *image.YCbCr:
		return fromVP8(m), nil
	case *image.NYCbCrA:
		return fromVP8(&m.YCbCr), nil
	}
	return fromImage(m)
}

// animation is where the first frame of an animated file lies.
type animation struct {
	w, h         int // of the canvas
	x, y, fw, fh int // of the frame
	chunks       []byte
	more         bool // frames follow
}

// errWebP is the error for a file whose parts are not where they should be.
var errWebP = errors.New("parts of the file are missing or too long")

// parseAnimation finds the first frame of an animation; other files give nil.
func parseAnimation(data []byte) (*animation, error) {
	const flags, animated = 20, 1 << 1
	if len(data) < 30 || string(data[12:16]) != "VP8X" || data[flags]&animated == 0 {
		return nil, nil
	}
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	if size+8 > int64(len(data)) || size < 4 {
		return nil, errWebP
	}
	a := &animation{w: 1 + u24(data[24:]), h: 1 + u24(data[27:])}
	for rest := data[12 : 8+size]; len(rest) > 0; {
		kind, body, next, ok := riffChunk(rest)
		if !ok {
			return nil, errWebP
		}
		rest = next
		if kind != "ANMF" {
			continue
		}
		if a.chunks != nil {
			a.more = true
			break
		}
		if len(body) < 16+8 {
			return nil, errWebP
		}
		a.x, a.y, a.fw, a.fh = 2*u24(body), 2*u24(body[3:]), 1+u24(body[6:]), 1+u24(body[9:])
		a.chunks = body[16:]
	}
	if a.chunks == nil || a.x+a.fw > a.w || a.y+a.fh > a.h {
		return nil, errors.New("no frame on the canvas")
	}
	return a, nil
}

func u24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// riffChunk splits the first chunk off.
func riffChunk(p []byte) (kind string, body, rest []byte, ok bool) {
	if len(p) < 8 {
		return "", nil, nil, false
	}
	n := int64(binary.LittleEndian.Uint32(p[4:]))
	if n > int64(len(p)-8) {
		return "", nil, nil, false
	}
	end := 8 + n
	return string(p[:4]), p[8:end], p[min(end+n&1, int64(len(p))):], true
}

// still is the frame as a file of its own.
func (a *animation) still() ([]byte, error) {
	var chunks []byte
	add := func(kind string, body []byte) {
		chunks = append(chunks, kind...)
		chunks = binary.LittleEndian.AppendUint32(chunks, uint32(len(body)))
		if chunks = append(chunks, body...); len(body)%2 > 0 {
			chunks = append(chunks, 0)
		}
	}
	for rest := a.chunks; ; {
		kind, body, next, ok := riffChunk(rest)
		if !ok {
			return nil, errWebP
		}
		rest = next
		switch kind {
		case "ALPH":
			const alpha = 1 << 4
			w, h := a.fw-1, a.fh-1
			add("VP8X", []byte{alpha, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)})
			add(kind, body)
		case "VP8 ", "VP8L":
			add(kind, body)
			file := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(chunks)))
			return append(append(file, "WEBP"...), chunks...), nil
		}
	}
}

// decode draws the first frame on a canvas of nothing, which is black without its alpha.
func (a *animation) decode() (*RGB, error) {
	file, err := a.still()
	if err != nil {
		return nil, err
	}
	// The frame's own header is to be believed only after the one of the animation has said the same.
	c, err := webp.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if c.Width != a.fw || c.Height != a.fh {
		return nil, fmt.Errorf("frame of %dx%d pixels where %dx%d were announced", c.Width, c.Height, a.fw, a.fh)
	}
	out, err := decodeWebP(file)
	if err != nil {
		return nil, err
	}
	if a.fw != a.w || a.fh != a.h {
		canvas := NewRGB(a.w, a.h)
		for y := range a.fh {
			copy(canvas.Pix[3*((a.y+y)*a.w+a.x):], out.Pix[3*a.fw*y:][:3*a.fw])
		}
		out = canvas
	}
	if a.more {
		out.Warning = onlyFirstFrame
	}
	return out, nil
}

// fromVP8 converts the 4:2:0 planes of lossy WebP as libwebp does: chroma goes through a 9:3:3:1 triangle filter, then the
// matrix of BT.601 with limited range is applied in 14-bit fixed point. At the edges the nearest chroma sample is repeated.
func fromVP8(m *image.YCbCr) *RGB {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	cw, ch := (w+1)/2, (h+1)/2
	out := NewRGB(w, h)
	for y := range h {
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), ch-1)
		luma := m.Y[y*m.YStride:][:w]
		cb0, cb1 := m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw]
		cr0, cr1 := m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw]
		d := out.Pix[3*y*w:]
		for x, l := range luma {
			i := x / 2
			j := min(max(i-1+2*(x&1), 0), cw-1)
			cb := mix(cb0[i], cb0[j], cb1[i], cb1[j])
			cr := mix(cr0[i], cr0[j], cr1[i], cr1[j])
			d[3*x], d[3*x+1], d[3*x+2] = vp8ToRGB(int(l), cb, cr)
		}
	}
	return out
}

// mix weighs the nearest sample, its two neighbours and the one across 9:3:3:1.
func mix(near, side, below, across uint8) int {
	return (9*int(near) + 3*int(side) + 3*int(below) + int(across) + 8) >> 4
}

func vp8ToRGB(y, u, v int) (r, g, b uint8) {
	// Coefficients with 14 fractional bits; each product loses 8 of them, which is part of the definition.
	l := y * 19077 >> 8
	return clip6(l + v*26149>>8 - 14234), clip6(l - u*6419>>8 - v*13320>>8 + 8708), clip6(l + u*33050>>8 - 17685)
}

// clip6 drops 6 fractional bits and clamps.
func clip6(v int) uint8 { return uint8(min(max(v>>6, 0), 255)) }
