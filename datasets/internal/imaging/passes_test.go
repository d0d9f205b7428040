package imaging

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"
)

// The passes in assembly give the bytes of those in Go, at all sizes around those of their blocks, and write nothing else.
func TestPassesAgree(t *testing.T) {
	if !useAVX2 {
		t.Skip("no assembly here")
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	var quick, slow Resizer
	for i := range 600 {
		m := NewRGB(1+rnd.IntN(90), 1+rnd.IntN(90))
		for j := range m.Pix {
			if m.Pix[j] = uint8(rnd.Uint32()); i%3 == 0 {
				m.Pix[j] = 255 * (m.Pix[j] & 1)
			}
		}
		w, h := 1+rnd.IntN(80), 1+rnd.IntN(80)
		left, top := rnd.IntN(m.W), rnd.IntN(m.H)
		crop := image.Rect(left, top, left+1+rnd.IntN(m.W-left), top+1+rnd.IntN(m.H-top))
		left, top = rnd.IntN(w), rnd.IntN(h)
		window := image.Rect(left, top, left+1+rnd.IntN(w-left), top+1+rnd.IntN(h-top))
		n := 3 * window.Dx() * window.Dy()
		got := bytes.Repeat([]byte{77}, n+64)
		want := bytes.Clone(got)
		quick.Kernel = Kernel(i % len(kernels))
		slow.Kernel = quick.Kernel
		quick.Resize(got[:n], m, crop, w, h, window, i%2 > 0)
		portable(func() { slow.Resize(want[:n], m, crop, w, h, window, i%2 > 0) })
		if !bytes.Equal(got, want) {
			t.Fatalf("%dx%d, crop %v to %dx%d, window %v, rows first %v: the passes differ", m.W, m.H, crop, w, h, window, i%2 > 0)
		}
	}
}
