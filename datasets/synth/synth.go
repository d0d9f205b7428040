package synth

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"sync"
)

// Size is the width and height of every picture, in pixels.
const Size = 48

const imageBytes = Size * Size * 3

// maxWords bounds the words of a caption: a lead of five, a noun phrase of eleven, a place of five and a setting of
// four.
const maxWords = 25

func canvasOf(dst []uint8) canvas {
	if len(dst) != imageBytes {
		panic(fmt.Sprintf("synth: picture buffer of %d bytes, want %d×%d×3 = %d", len(dst), Size, Size, imageBytes))
	}
	return dst
}

// Pair draws pre-training pair index of the stream of seed into dst, Size×Size×3 bytes (rows from the top, RGB), and
// returns its caption: lower-case ASCII. It depends on its arguments alone and may be called from many goroutines.
// It panics if dst has another length.
func Pair(dst []uint8, seed, index uint64) (caption string) {
	c := canvasOf(dst)
	var p picture
	content := p.compose(seed, index)
	paint := newSource(seed, pairPaint, index)
	p.render(c, &paint)
	return p.describe(&content)
}

// Captions returns the captions of pairs 0 to n-1 of the stream of seed, without drawing them.
func Captions(seed uint64, n int) []string {
	all := make([]string, n)
	for i := range all {
		var p picture
		content := p.compose(seed, uint64(i))
		all[i] = p.describe(&content)
	}
	return all
}

// encoder keeps what a compressor takes, which is a hundred times a picture, for the next picture.
var encoder = png.Encoder{BufferPool: &compressors{}}

type compressors struct{ pool sync.Pool }

func (c *compressors) Get() *png.EncoderBuffer {
	b, _ := c.pool.Get().(*png.EncoderBuffer)
	return b // nil has the encoder make one
}

func (c *compressors) Put(b *png.EncoderBuffer) { c.pool.Put(b) }

// EncodePNG returns a picture, Size×Size×3 bytes, as a PNG file.
func EncodePNG(pix []uint8) ([]byte, error) {
	if len(pix) != imageBytes {
		return nil, fmt.Errorf("synth: encode PNG: %d bytes, want %d×%d×3 = %d", len(pix), Size, Size, imageBytes)
	}
	m := image.NewNRGBA(image.Rect(0, 0, Size, Size))
	for i := range Size * Size {
		copy(m.Pix[4*i:4*i+3], pix[3*i:])
		m.Pix[4*i+3] = 0xff
	}
	var file bytes.Buffer
	if err := encoder.Encode(&file, m); err != nil {
		return nil, fmt.Errorf("synth: encode PNG: %w", err)
	}
	return file.Bytes(), nil
}
