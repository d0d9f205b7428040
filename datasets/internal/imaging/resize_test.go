package imaging

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"os"
	"slices"
	"testing"
)

// pattern is the picture that the resize vectors were made from; see testdata/make_resize.py.
func pattern(w, h int) *RGB {
	m := NewRGB(w, h)
	for y := range h {
		for x := range w {
			p := m.Pix[3*(y*w+x):]
			p[0], p[1], p[2] = uint8(7*x+13*y), uint8(x*x+3*y), uint8(31*x^17*y)
		}
	}
	return m
}

func resize(m *RGB, crop image.Rectangle, w, h int, rowsFirst bool) *RGB {
	out := NewRGB(w, h)
	new(Resizer).Resize(out.Pix, m, crop, w, h, image.Rect(0, 0, w, h), rowsFirst)
	return out
}

func bounds(m *RGB) image.Rectangle { return image.Rect(0, 0, m.W, m.H) }

func TestResizeKnownRows(t *testing.T) {
	m := pattern(37, 23)
	small := resize(m, bounds(m), 16, 16, false)
	var red, green []int
	for x := range 16 {
		red = append(red, int(small.Pix[3*x]))
		green = append(green, int(small.Pix[3*(7*16+x)+1]))
	}
	if want := []int{8, 23, 40, 56, 72, 89, 105, 121, 137, 153, 169, 186, 202, 219, 243, 187}; !slices.Equal(red, want) {
		t.Errorf("16x16, row 0, red: %d, want %d", red, want)
	}
	if want := []int{32, 40, 59, 89, 129, 187, 177, 59, 152, 114, 74, 196, 112, 155, 108, 153}; !slices.Equal(green, want) {
		t.Errorf("16x16, row 7, green: %d, want %d", green, want)
	}
	if got, want := channelSums(small), [3]int{32607, 28819, 32266}; got != want {
		t.Errorf("16x16, channel sums: %d, want %d", got, want)
	}
	if got, want := channelSums(resize(m, bounds(m), 64, 40, false)), [3]int{325873, 286095, 322662}; got != want {
		t.Errorf("64x40, channel sums: %d, want %d", got, want)
	}
}

func channelSums(m *RGB) (sums [3]int) {
	for i, v := range m.Pix {
		sums[i%3] += int(v)
	}
	return sums
}

func TestResizeEqualsPillow(t *testing.T) {
	for file, newest := range map[string]bool{"resize-12.txt": false, "resize-13.txt": true} {
		f, err := os.Open("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, down := 0, 0
		for s := bufio.NewScanner(f); s.Scan(); n++ {
			var sw, sh, left, top, right, bottom, w, h int
			var want string
			if _, err := fmt.Sscan(s.Text(), &sw, &sh, &left, &top, &right, &bottom, &w, &h, &want); err != nil {
				t.Fatal(err)
			}
			crop := image.Rect(left, top, right, bottom)
			rowsFirst := newest && RowsFirst(crop.Size(), image.Pt(w, h))
			if rowsFirst {
				down++
			}
			out := resize(pattern(sw, sh), crop, w, h, rowsFirst)
			if sum := sha256.Sum256(out.Pix); hex.EncodeToString(sum[:]) != want {
				t.Errorf("%s: %s: not Pillow's pixels", file, s.Text())
			}
		}
		if n < 100 || newest && down < 20 {
			t.Errorf("%s: only %d vectors, of which %d with the rows first", file, n, down)
		}
	}
}

// A window must be the cut-out of the whole, and a used Resizer must give what a new one does.
func TestResizeWindow(t *testing.T) {
	m := pattern(90, 61)
	crop := image.Rect(3, 5, 85, 60)
	var r Resizer
	for _, rowsFirst := range []bool{false, true} {
		for _, size := range []image.Point{{40, 30}, {200, 31}, {82, 90}, {82, 55}} {
			whole := resize(m, crop, size.X, size.Y, rowsFirst)
			for _, window := range []image.Rectangle{
				image.Rect(0, 0, 1, 1), image.Rect(7, 9, 33, 27), image.Rect(size.X-5, size.Y-3, size.X, size.Y),
			} {
				got := make([]uint8, 3*window.Dx()*window.Dy())
				r.Resize(got, m, crop, size.X, size.Y, window, rowsFirst)
				for y := range window.Dy() {
					from := 3 * ((window.Min.Y+y)*size.X + window.Min.X)
					n := 3 * window.Dx()
					if !slices.Equal(got[n*y:][:n], whole.Pix[from:][:n]) {
						t.Errorf("size %v, window %v, rows first %v: row %d differs from the whole", size, window, rowsFirst, y)
					}
				}
			}
		}
	}
}

func TestResizePanics(t *testing.T) {
	m := pattern(5, 5)
	for name, f := range map[string]func(r *Resizer){
		"crop": func(r *Resizer) {
			r.Resize(make([]uint8, 12), m, image.Rect(0, 0, 6, 5), 2, 2, image.Rect(0, 0, 2, 2), false)
		},
		"window": func(r *Resizer) { r.Resize(make([]uint8, 12), m, bounds(m), 2, 2, image.Rect(0, 1, 2, 3), true) },
		"dst":    func(r *Resizer) { r.Resize(make([]uint8, 11), m, bounds(m), 2, 2, image.Rect(0, 0, 2, 2), false) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f(new(Resizer))
		})
	}
}

func BenchmarkResize(b *testing.B) {
	m := pattern(500, 375)
	dst := make([]uint8, 3*224*224)
	var r Resizer
	run := func(name string, crop image.Rectangle, w int, window image.Rectangle, rowsFirst bool) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r.Resize(dst, m, crop, w, 224, window, rowsFirst)
			}
		})
	}
	kernels := func(how string) {
		run("centre/"+how, bounds(m), 298, image.Rect(37, 0, 261, 224), false)
		run("crop/"+how, image.Rect(50, 40, 450, 340), 224, image.Rect(0, 0, 224, 224), false)
		run("tall crop/"+how, image.Rect(100, 0, 350, 375), 224, image.Rect(0, 0, 224, 224), true)
	}
	if useAVX2 {
		kernels("assembly")
	}
	portable(func() { kernels("Go") })
}

// TestResizeToTheSame: to its own size a picture is copied, which is what the filters would do: their one weight at an
// output sample's own place is 1, and the others are 0.
func TestResizeToTheSame(t *testing.T) {
	for _, k := range []Kernel{Bicubic, Bilinear} {
		for _, n := range []int{1, 2, 5, 48, 224} {
			var f filter
			f.set(k, n, n, 0, n)
			for x, taps := range f.taps {
				for i, w := range f.weights[taps.at:][:taps.n] {
					if own := taps.from+i == x; own && w != 1<<weightBits || !own && w != 0 {
						t.Fatalf("kernel %d, size %d: weight %d of sample %d in %d", k, n, w, taps.from+i, x)
					}
				}
			}
		}
	}
	m := pattern(37, 23)
	crop, window := image.Rect(3, 2, 30, 20), image.Rect(5, 6, 21, 17)
	for _, rowsFirst := range []bool{false, true} {
		out := NewRGB(window.Dx(), window.Dy())
		new(Resizer).Resize(out.Pix, m, crop, crop.Dx(), crop.Dy(), window, rowsFirst)
		for y := range out.H {
			for x := range out.W {
				from := 3 * ((y+2+6)*m.W + x + 3 + 5)
				if got, want := out.Pix[3*(y*out.W+x):][:3], m.Pix[from:][:3]; !slices.Equal(got, want) {
					t.Fatalf("pixel %d, %d: %v, want %v", x, y, got, want)
				}
			}
		}
	}
}
