package imaging

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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
			damaged := false
			for _, kind := range []string{"ends-early", "missing-scans", "no-end", "animated", "several"} {
				damaged = damaged || strings.HasPrefix(p.name, kind)
			}
			if damaged != (m.Warning != "") {
				t.Errorf("warning %q", m.Warning)
			}
		})
	}
}

// Large pictures are converted in the memory that they were decoded to, with the same outcome.
func TestConvertInPlace(t *testing.T) {
	old := largePixels
	defer func() { largePixels = old }()
	largePixels = 0
	for _, p := range pictures(t) {
		if ext := filepath.Ext(p.name); ext != ".png" && ext != ".tif" && !strings.HasPrefix(p.name, "lossless") {
			continue
		}
		m, err := Decode(p.name, readPicture(t, p.name), DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(m.Pix); hex.EncodeToString(sum[:]) != p.sha256 {
			t.Errorf("%s: pixels are not Pillow's", p.name)
		}
	}
}

// What is held never exceeds the budget, but for a picture that is alone; and everybody gets a turn.
func TestBudget(t *testing.T) {
	b := newBudget(100)
	var all sync.WaitGroup
	for i := range 200 {
		n := int64(1 + i%70)
		if i%50 == 0 {
			n = 150
		}
		all.Go(func() {
			b.take(n)
			b.mu.Lock()
			if b.used > 100 && b.used != n {
				t.Errorf("%d are held, %d of them for one picture", b.used, n)
			}
			b.mu.Unlock()
			runtime.Gosched()
			b.give(n)
		})
	}
	all.Wait()
	if b.used != 0 {
		t.Errorf("%d are held in the end", b.used)
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
	bmp := func(at int, values ...byte) []byte {
		data := bytes.Clone(readPicture(t, "rgb.bmp"))
		copy(data[at:], values)
		return data
	}
	// tif changes the value of a tag in a little-endian file of Pillow's.
	tif := func(name string, tag uint16, value uint32) []byte {
		data := bytes.Clone(readPicture(t, name))
		at := binary.LittleEndian.Uint32(data[4:])
		for i := range uint32(binary.LittleEndian.Uint16(data[at:])) {
			if entry := data[at+2+12*i:][:12]; binary.LittleEndian.Uint16(entry) == tag {
				binary.LittleEndian.PutUint32(entry[8:], value)
				return data
			}
		}
		t.Fatalf("%s has no tag %d", name, tag)
		return nil
	}
	moving := readPicture(t, "animated-lossy.webp")
	beyond := bytes.Clone(moving)
	beyond[bytes.Index(beyond, []byte("ANMF"))+8] = 1
	other := bytes.Clone(moving)
	other[bytes.Index(other, []byte("ANMF"))+14]--
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
		{"line.png", pngHeader(1, 1<<20+1), "PNG", Limit, "1x1048577"},
		{"area.png", pngHeader(13378, 13378), "PNG", Limit, "178956970"},
		{"none.png", pngHeader(0, 5), "PNG", Corrupt, ""},
		{"cut.png", pngHeader(5, 5), "PNG", Corrupt, "EOF"},
		{"huge.jpg", jpegOfSize(t, 60000, 60000), "JPEG", Limit, "60000x60000"},
		{"flat.jpg", jpegOfSize(t, 16, 0), "JPEG", Corrupt, "16x0"},
		{"huge.gif", sparse, "GIF", Limit, "65535x65535"},
		{"trailer.gif", append(gif[:13+6<<(gif[10]&7):13+6<<(gif[10]&7)], ';'), "GIF", Corrupt, "no frame"},
		{"canvas.webp", vp8x(0, 1, 1<<20+1), "WebP", Limit, "1x1048577"},
		{"moving.webp", vp8x(2, 16, 16), "WebP", Corrupt, "missing"},
		{"cut-moving.webp", moving[:len(moving)-2], "WebP", Corrupt, "missing"},
		{"beyond.webp", beyond, "WebP", Corrupt, "no frame"},
		{"other.webp", other, "WebP", Corrupt, "were announced"},
		{"rle.bmp", bmp(30, 1), "BMP", Unsupported, "run-length"},
		{"png.bmp", bmp(30, 5), "BMP", Unsupported, "compression 5"},
		{"odd.bmp", bmp(28, 2), "BMP", Unsupported, "2 bits"},
		{"header.bmp", bmp(14, 41), "BMP", Unsupported, "header of 41 bytes"},
		{"fields.bmp", bmp(28, 16, 0, 3), "BMP", Unsupported, "bit fields"},
		{"colours.bmp", bmp(28, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1), "BMP", Corrupt, "258 colours"},
		{"offset.bmp", bmp(10, 0, 0, 1), "BMP", Corrupt, "ends before"},
		{"wide.bmp", bmp(18, 0, 0, 0, 1), "BMP", Limit, "16777216x29"},
		{"scan.tif", []byte("II*\x00abcdefgh"), "TIFF", Corrupt, "ends within"},
		{"jpeg.tif", tif("rgb-raw.tif", tiffCompression, 7), "TIFF", Unsupported, "compressed by JPEG"},
		{"planes.tif", tif("rgb-raw.tif", tiffPlanar, 2), "TIFF", Unsupported, "separate planes"},
		{"cmyk.tif", tif("alpha-raw.tif", tiffPhotometric, 5), "TIFF", Unsupported, "CMYK"},
		{"predicted.tif", tif("gray-predicted-tiff_lzw.tif", tiffPredictor, 3), "TIFF", Unsupported, "predictor 3"},
		{"predicted-raw.tif", tif("gray-predicted-tiff_lzw.tif", tiffCompression, 1), "TIFF", Unsupported, "predictor 2 with compression 1"},
		{"white.tif", tif("gray16-II.tif", tiffPhotometric, 0), "TIFF", Unsupported, "1 samples of 16 bits"},
		{"large.tif", tif("gray-raw.tif", tiffWidth, 6553), "TIFF", Corrupt, "pixel data"},
		{"larger.tif", tif("gray-raw.tif", tiffWidth, 7<<20), "TIFF", Limit, "7340032x29"},
		{"big.tif", []byte("II+\x00\x08\x00\x00\x00"), "BigTIFF", Unsupported, "convert"},
		{"cut.ppm", []byte("P6\n5 5\n255\n123"), "PNM", Corrupt, "ends before"},
		{"cut.pgm", []byte("P5\n5 5"), "PNM", Corrupt, "ends before"},
		{"level.pgm", []byte("P5\n1 1\n65536\n12"), "PNM", Corrupt, "up to 65536"},
		{"digits.pgm", []byte("P5\n1234567890 1 255\n12"), "PNM", Corrupt, "more than 9 digits"},
		{"words.pgm", []byte("P2\n1 one 255\n12"), "PNM", Corrupt, "'o' in the header"},
		{"above.pgm", []byte("P2\n1 1 25\n26"), "PNM", Corrupt, "above the largest"},
		{"glued.pgm", []byte("P2\n2 1 25\n2#x\n6"), "PNM", Corrupt, "'#' where a sample"},
		{"bits.pbm", []byte("P1\n2 1\n02"), "PNM", Corrupt, "'2' where a bit"},
		{"wide.pbm", []byte("P4\n1048577 1\n02"), "PNM", Limit, "1048577x1"},
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
		{1, 1, true}, {1 << 20, 1, true}, {1<<20 + 1, 1, false}, {12000, 9000, true}, {13377, 13377, true}, {13378, 13378, false}, {0, 1, false}, {1, 0, false},
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
		func(data []byte) (*RGB, error) { panic("index out of range") }, nil,
	}}
	_, err := Decode("x", []byte("fake"), DefaultLimits)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Corrupt || !strings.Contains(e.Reason, "index out of range") {
		t.Error(err)
	}
}

// What is sound passes at a glance; what is cut off does not, unless it decodes to the same pixels.
func TestInspect(t *testing.T) {
	for _, p := range pictures(t) {
		data := readPicture(t, p.name)
		f := sniff(data)
		damaged := strings.HasPrefix(p.name, "no-end") || strings.HasPrefix(p.name, "no-trailer")
		if quick := f.whole != nil && f.whole(data); !quick && f.whole != nil && !damaged && !strings.HasPrefix(p.name, "plain") &&
			p.name != "bits-plain.pbm" && p.name != "bits-dense.pbm" {
			t.Errorf("%s has to be decoded", p.name)
		}
		if err := Inspect(p.name, data, DefaultLimits); err != nil {
			t.Error(err)
		}
		for _, share := range []float64{0.3, 0.6, 0.9} {
			cut := data[:int(float64(len(data))*share)]
			_, want := Decode("cut", cut, DefaultLimits)
			if got := Inspect("cut", cut, DefaultLimits); (got == nil) != (want == nil) || got != nil && got.Error() != want.Error() {
				t.Errorf("%s, cut to %d bytes: %v, decoding it: %v", p.name, len(cut), got, want)
			}
		}
	}
	limits := Limits{FileBytes: 1 << 20, Side: 30, Pixels: 1 << 20}
	if err := Inspect("large.jpg", readPicture(t, "420.jpg"), limits); err == nil || !strings.Contains(err.Error(), "67x45 pixels") {
		t.Errorf("picture above the limits: %v", err)
	}
}

// decodeAny decodes a damaged file and fails if a decoder panicked or lied about its result.
func decodeAny(t *testing.T, data []byte) *RGB {
	t.Helper()
	limits := Limits{FileBytes: 1 << 20, Side: 2048, Pixels: 1 << 18}
	m, err := Decode("x", data, limits)
	if inspected := Inspect("x", data, limits); inspected != nil && (err == nil || err.Error() != inspected.Error()) {
		t.Errorf("%d bytes %.40q: %v from Inspect, %v from Decode", len(data), data, inspected, err)
	}
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
		if strings.HasPrefix(p.name, "plain") {
			continue // the last number may lack its last digit
		}
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

// fuzz decodes what the fuzzer makes of the small fixtures with an extension.
func fuzz(f *testing.F, extensions ...string) {
	for _, p := range pictures(f) {
		if data := readPicture(f, p.name); len(data) < 1000 && slices.Contains(extensions, filepath.Ext(p.name)) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { decodeAny(t, data) })
}

func FuzzDecode(f *testing.F) {
	fuzz(f, ".jpg", ".png", ".gif", ".webp", ".bmp", ".tif", ".ppm", ".pgm", ".pbm")
}
func FuzzPNG(f *testing.F)  { fuzz(f, ".png") }
func FuzzWebP(f *testing.F) { fuzz(f, ".webp") }
func FuzzBMP(f *testing.F)  { fuzz(f, ".bmp") }
func FuzzTIFF(f *testing.F) { fuzz(f, ".tif") }
func FuzzPNM(f *testing.F)  { fuzz(f, ".ppm", ".pgm", ".pbm") }

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
