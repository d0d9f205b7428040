package datasets

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"image"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fewshot/datasets/internal/imaging"
)

const pictureDir = "internal/imaging/testdata"

func readFixture(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// transformVectors gives the lines of transform.txt that begin with kind, without it, as words; see
// testdata/transform.py.
func transformVectors(t *testing.T, kind string) [][]string {
	t.Helper()
	var all [][]string
	for s := bufio.NewScanner(strings.NewReader(string(readFixture(t, "testdata/transform.txt")))); s.Scan(); {
		if words := strings.Fields(s.Text()); words[0] == kind {
			all = append(all, words[1:])
		}
	}
	if len(all) == 0 {
		t.Fatalf("no vectors of kind %s", kind)
	}
	return all
}

func integers(t *testing.T, words []string) []int {
	t.Helper()
	var all []int
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func hashPixels(p []float32) string {
	h := sha256.New()
	if err := binary.Write(h, binary.LittleEndian, p); err != nil {
		panic(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// pillows are the kinds of vectors by the version of Pillow beneath torchvision.
var pillows = map[int]string{0: "", 12: "-12", 13: ""}

func TestCenterEqualsTorchvision(t *testing.T) {
	for pillow, suffix := range pillows {
		for _, v := range transformVectors(t, "center"+suffix) {
			tr := CLIPTransform(integers(t, v[1:2])[0])
			tr.Pillow = pillow
			got := make([]float32, 3*tr.Size*tr.Size)
			if err := tr.Image(got, v[0], readFixture(t, pictureDir+"/"+v[0])); err != nil {
				t.Error(err)
			} else if hashPixels(got) != v[2] {
				t.Errorf("Pillow %d: %s at %d: not torchvision's pixels", pillow, v[0], tr.Size)
			}
		}
	}
}

// What models other than OpenAI's want.
func TestOtherTransformsEqualTorchvision(t *testing.T) {
	for _, v := range transformVectors(t, "other") {
		n := integers(t, v[1:5])
		tr := CLIPTransform(n[0])
		tr.Resize, tr.Squash, tr.Bilinear = n[1], n[2] == 1, n[3] == 1
		got := make([]float32, 3*tr.Size*tr.Size)
		if err := tr.Image(got, v[0], readFixture(t, pictureDir+"/"+v[0])); err != nil {
			t.Error(err)
		} else if hashPixels(got) != v[5] {
			t.Errorf("%v: not torchvision's pixels", v)
		}
	}
}

func TestCropEqualsTorchvision(t *testing.T) {
	for pillow, suffix := range pillows {
		for _, v := range transformVectors(t, "crop"+suffix) {
			n := integers(t, v[1:7])
			size, left, top, w, h, flip := n[0], n[1], n[2], n[3], n[4], n[5] == 1
			m, err := imaging.Decode(v[0], readFixture(t, pictureDir+"/"+v[0]), imaging.DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			tr := CLIPTransform(size)
			tr.Pillow = pillow
			pix := make([]uint8, 3*size*size)
			r := tr.region(image.Rect(left, top, left+w, top+h), size, size, image.Rect(0, 0, size, size))
			r.resize(new(imaging.Resizer), pix, m)
			got := make([]float32, 3*size*size)
			tr.table().normalize(got, pix, size, flip)
			if hashPixels(got) != v[7] {
				t.Errorf("Pillow %d: %v: not torchvision's pixels", pillow, v)
			}
		}
	}
}

// recorded replays the uniform numbers behind a crop of torchvision's.
type recorded struct {
	t *testing.T
	u []float64
}

func (r *recorded) Float64() float64 {
	if len(r.u) == 0 {
		r.t.Fatal("more numbers drawn than by torchvision")
	}
	u := r.u[0]
	r.u = r.u[1:]
	return u
}

func (r *recorded) IntN(n int) int { return int(r.Float64() * float64(n)) }

func TestRandomCropEqualsTorchvision(t *testing.T) {
	fallbacks := 0
	for _, v := range transformVectors(t, "draw") {
		n := integers(t, append(v[:2:2], v[3:7]...))
		var f []float64
		for _, w := range append(v[2:3:3], v[7:]...) {
			x, err := strconv.ParseFloat(w, 64)
			if err != nil {
				t.Fatal(err)
			}
			f = append(f, x)
		}
		u := &recorded{t, f[1:]}
		if len(u.u) == 20 {
			fallbacks++
		}
		got := RandomResizedCrop(f[0]).crop(u, n[0], n[1])
		if want := image.Rect(n[2], n[3], n[2]+n[4], n[3]+n[5]); got != want {
			t.Errorf("crop of a %dx%d image: %v, want %v", n[0], n[1], got, want)
		}
		if len(u.u) != 0 {
			t.Errorf("crop of a %dx%d image drew %d numbers less than torchvision", n[0], n[1], len(u.u))
		}
	}
	if fallbacks == 0 {
		t.Error("no vector reaches the fallback")
	}
}

// Every crop must lie in its image, whatever the numbers.
func TestCropInside(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 2}, {1, 1000}, {1000, 1}, {3, 2}, {500, 375}} {
		for _, u := range []float64{0, 0.3, 0.5, 1 - 0x1p-53} {
			constant := constantUniform(u)
			crop, _ := RandomResizedCrop(0.08).draw(constant, size[0], size[1])
			if crop.Empty() || !crop.In(image.Rect(0, 0, size[0], size[1])) {
				t.Errorf("crop %v of %v at u = %v", crop, size, u)
			}
		}
	}
}

type constantUniform float64

func (c constantUniform) Float64() float64 { return float64(c) }
func (c constantUniform) IntN(n int) int   { return int(float64(c) * float64(n)) }

// The mean, standard deviation and first pixels of a test pattern, as PyTorch gave them.
func TestTransformPattern(t *testing.T) {
	m := imaging.NewRGB(37, 23)
	for y := range m.H {
		for x := range m.W {
			p := m.Pix[3*(y*m.W+x):]
			p[0], p[1], p[2] = uint8(7*x+13*y), uint8(x*x+3*y), uint8(31*x^17*y)
		}
	}
	tr := CLIPTransform(224)
	pix := make([]uint8, 3*224*224)
	tr.center(image.Pt(m.W, m.H)).resize(new(imaging.Resizer), pix, m)
	out := make([]float32, 3*224*224)
	tr.table().normalize(out, pix, 224, false)
	sum, squares := 0.0, 0.0
	for _, v := range out {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(len(out))
	mean := sum / n
	std := math.Sqrt((squares - n*mean*mean) / (n - 1))
	// The reference figures have six decimals.
	if math.Abs(mean-0.189548) > 1e-6 || math.Abs(std-0.989112) > 1e-6 {
		t.Errorf("mean %.7f and standard deviation %.7f, want 0.189548 and 0.989112", mean, std)
	}
	for i, want := range []float32{-1.1499318, -1.1353334, -1.1353334, -1.1207349} {
		if out[i] != want {
			t.Errorf("pixel %d is %v, want %v", i, out[i], want)
		}
	}
}

func TestTransformImageErrors(t *testing.T) {
	tr := CLIPTransform(8)
	dst := make([]float32, 3*8*8)
	for name, c := range map[string]struct {
		data string
		kind imaging.Kind
	}{
		"empty.jpg": {"", ImageCorrupt},
		"text.jpg":  {"hello, world", ImageUnsupported},
		"cut.png":   {"\x89PNG\r\n\x1a\n\x00\x00", ImageCorrupt},
		"huge.gif":  {"GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02", ImageLimit},
	} {
		err := tr.Image(dst, name, []byte(c.data))
		if check := CheckImage(name, []byte(c.data)); check == nil || check.Error() != err.Error() {
			t.Errorf("%s: CheckImage says %v, Image %v", name, check, err)
		}
		e, ok := errors.AsType[*ImageError](err)
		if !ok || e.Kind != c.kind || e.Name != name || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v, want an ImageError of kind %v", name, err, c.kind)
		}
	}
}
