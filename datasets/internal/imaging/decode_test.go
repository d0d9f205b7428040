package imaging

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type picture struct {
	name   string
	w, h   int
	sha256 string
}

// pictures lists the fixtures; see testdata/make.py.
func pictures(t testing.TB) []picture {
	t.Helper()
	f, err := os.Open("testdata/pictures.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []picture
	for s := bufio.NewScanner(f); s.Scan(); {
		var p picture
		if _, err := fmt.Sscan(s.Text(), &p.name, &p.w, &p.h, &p.sha256); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func readPicture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecodeEqualsPillow(t *testing.T) {
	for _, p := range pictures(t) {
		t.Run(p.name, func(t *testing.T) {
			m, err := Decode(p.name, readPicture(t, p.name), DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			if m.W != p.w || m.H != p.h || len(m.Pix) != 3*p.w*p.h {
				t.Fatalf("%dx%d pixels in %d bytes, want %dx%d", m.W, m.H, len(m.Pix), p.w, p.h)
			}
			if sum := sha256.Sum256(m.Pix); hex.EncodeToString(sum[:]) != p.sha256 {
				t.Error("pixels are not Pillow's")
			}
			damaged := p.name == "animated.gif"
			for _, kind := range []string{"ends-early", "missing-scans", "no-end"} {
				damaged = damaged || strings.HasPrefix(p.name, kind)
			}
			if damaged != (m.Warning != "") {
				t.Errorf("warning %q", m.Warning)
			}
		})
	}
}

// pngHeader is a PNG file that ends after its header.
func pngHeader(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = append(b, byte(w>>24), byte(w>>16), byte(w>>8), byte(w), byte(h>>24), byte(h>>16), byte(h>>8), byte(h), 8, 2, 0, 0, 0)
	sum := crc32.ChecksumIEEE(b[12:])
	return append(b, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
}

// jpegOfSize is a JPEG file whose frame header is changed to another size.
func jpegOfSize(t *testing.T, w, h uint16) []byte {
	data := bytes.Clone(readPicture(t, "420-16x16.jpg"))
	at := bytes.Index(data, []byte{0xFF, 0xC0})
	copy(data[at+5:], []byte{byte(h >> 8), byte(h), byte(w >> 8), byte(w)})
	return data
}

// vp8x is the beginning of an extended WebP file.
func vp8x(flags byte, w, h int) []byte {
	w, h = w-1, h-1
	b := []byte("RIFF\x40\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00")
	return append(b, flags, 0, 0, 0, byte(w), byte(w>>8), byte(w>>16), byte(h), byte(h>>8), byte(h>>16))
}

func TestDecodeErrors(t *testing.T) {
	gif := readPicture(t, "palette.gif")
	sparse := bytes.Clone(gif)
	copy(sparse[6:], "\xff\xff\xff\xff")
	bmp := bytes.Clone(readPicture(t, "rgb.bmp"))
	bmp[30] = 1
	for _, c := range []struct {
		name   string
		data   []byte
		format string
		kind   Kind
		text   string
	}{
		{"empty.jpg", nil, "", Corrupt, "empty"},
		{"text.jpg", []byte("<html>Not found"), "", Unsupported, `begins with "<html>Not found"`},
		{"wide.png", pngHeader(60000, 60000), "PNG", Limit, "60000x60000"},
		{"line.png", pngHeader(1, 65535), "PNG", Limit, "1x65535"},
		{"area.png", pngHeader(6400, 6400), "PNG", Limit, "40000000"},
		{"none.png", pngHeader(0, 5), "PNG", Corrupt, ""},
		{"cut.png", pngHeader(5, 5), "PNG", Corrupt, "EOF"},
		{"huge.jpg", jpegOfSize(t, 60000, 60000), "JPEG", Limit, "60000x60000"},
		{"flat.jpg", jpegOfSize(t, 16, 0), "JPEG", Corrupt, "16x0"},
		{"huge.gif", sparse, "GIF", Limit, "65535x65535"},
		{"trailer.gif", append(gif[:13+6<<(gif[10]&7):13+6<<(gif[10]&7)], ';'), "GIF", Corrupt, "no frame"},
		{"canvas.webp", vp8x(0, 1, 65535), "WebP", Limit, "1x65535"},
		{"moving.webp", vp8x(2, 16, 16), "WebP", Unsupported, "animated"},
		{"rle.bmp", bmp, "BMP", Unsupported, ""},
		{"scan.tif", []byte("II*\x00abcdefgh"), "TIFF", Unsupported, "convert"},
		{"phone.jpg", []byte("\x00\x00\x00\x1cftypheic"), "HEIF", Unsupported, "convert"},
		{"new.avif", []byte("\x00\x00\x00\x1cftypavif"), "AVIF", Unsupported, "convert"},
	} {
		m, err := Decode(c.name, c.data, DefaultLimits)
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: %v, %v", c.name, m, err)
			continue
		}
		if e.Name != c.name || e.Format != c.format || e.Kind != c.kind || !strings.Contains(e.Reason, c.text) {
			t.Errorf("%s: %#v, want %s %v with %q", c.name, e, c.format, c.kind, c.text)
		}
		if !strings.HasPrefix(err.Error(), c.name+": ") {
			t.Errorf("%s: error does not begin with the name: %v", c.name, err)
		}
	}
	limits := DefaultLimits
	limits.FileBytes = int64(len(gif)) - 1
	if e, ok := errors.AsType[*Error](second(Decode("big.gif", gif, limits))); !ok || e.Kind != Limit {
		t.Errorf("file above the limit: %v", e)
	}
}

func second[A, B any](_ A, b B) B { return b }

// The limits are inclusive.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		w, h int
		ok   bool
	}{
		{1, 1, true}, {16384, 1, true}, {16385, 1, false}, {8000, 5000, true}, {8000, 5001, false}, {0, 1, false}, {1, 0, false},
		{-1, -1, false},
	} {
		if got := DefaultLimits.check(c.w, c.h) == ""; got != c.ok {
			t.Errorf("%dx%d admitted: %v", c.w, c.h, got)
		}
	}
}

// A decoder that panics costs one picture.
func TestDecodeRecovers(t *testing.T) {
	old := formats
	defer func() { formats = old }()
	formats = []format{{"fake", []string{"fake"},
		func([]byte) (int, int, error) { return 1, 1, nil },
		func(data []byte) (*RGB, error) { panic("index out of range") },
	}}
	_, err := Decode("x", []byte("fake"), DefaultLimits)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Corrupt || !strings.Contains(e.Reason, "index out of range") {
		t.Error(err)
	}
}

// decodeAny decodes a damaged file and fails if a decoder panicked or lied about its result.
func decodeAny(t *testing.T, data []byte) *RGB {
	t.Helper()
	limits := Limits{FileBytes: 1 << 20, Side: 2048, Pixels: 1 << 18}
	m, err := Decode("x", data, limits)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); !ok || strings.Contains(e.Reason, "decoder failed") {
			t.Errorf("%d bytes %.40q: %v", len(data), data, err)
		}
		return nil
	}
	if m.W < 1 || m.H < 1 || len(m.Pix) != 3*m.W*m.H {
		t.Errorf("%d bytes: %dx%d picture of %d samples", len(data), m.W, m.H, len(m.Pix))
	}
	return m
}

// A file that is cut off either fails or, if nothing but what follows the picture is missing, gives the same pixels.
func TestDecodeTruncated(t *testing.T) {
	for _, p := range pictures(t) {
		data := readPicture(t, p.name)
		step := 1
		if len(data) > 400 {
			step = len(data)/40 + 1
		}
		for n := 0; n < len(data); n += step {
			m := decodeAny(t, data[:n:n])
			if m == nil {
				continue
			}
			if sum := sha256.Sum256(m.Pix); hex.EncodeToString(sum[:]) != p.sha256 {
				t.Errorf("%s: its first %d of %d bytes decode to another picture", p.name, n, len(data))
			}
		}
	}
}

// Flipped bits may change a picture, but nothing worse.
func TestDecodeDamaged(t *testing.T) {
	for _, p := range pictures(t) {
		data := readPicture(t, p.name)
		if len(data) > 2500 {
			continue
		}
		for i := 0; i < 8*len(data); i += 97 {
			data[i/8] ^= 1 << (i % 8)
			decodeAny(t, data)
			data[i/8] ^= 1 << (i % 8)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range pictures(f) {
		if data := readPicture(f, p.name); len(data) < 1000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { decodeAny(t, data) })
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"420-large.jpg", "420-progressive.jpg", "filtered.png", "lossy-67x45.webp"} {
		b.Run(name, func(b *testing.B) {
			data := readPicture(b, name)
			for b.Loop() {
				m, err := Decode(name, data, DefaultLimits)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(m.Pix)))
			}
		})
	}
}
