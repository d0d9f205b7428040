package jpeg

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The fixtures, and the tests that compare whole pictures with Pillow's, are in the parent package.
const fixtures = "../testdata"

func readFixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixtures, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestIDCT compares with the definition in float64. Rounding twice to steps of 1/4 and once to whole numbers, and constants
// off by less than 2⁻¹⁴, keep the fixed-point result within 1 of the rounded exact one.
func TestIDCT(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var basis [8][8]float64 // [frequency][position]
	for u := range basis {
		for x := range basis[u] {
			basis[u][x] = math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) / 2
			if u == 0 {
				basis[u][x] /= math.Sqrt2
			}
		}
	}
	var quant [64]uint16
	for i := range quant {
		quant[i] = uint16(1 + rnd.IntN(8))
	}
	for n := range 500 {
		var coefs [64]int16
		for range 1 + n%20 {
			coefs[rnd.IntN(64)] = int16(rnd.IntN(81) - 40)
		}
		got := make([]byte, 8*10)
		idct(got, 10, &coefs, &quant)
		for y := range 8 {
			for x := range 8 {
				sum := 128.0
				for v := range 8 {
					for u := range 8 {
						sum += basis[v][y] * basis[u][x] * float64(coefs[8*v+u]) * float64(quant[8*v+u])
					}
				}
				want := min(max(math.Round(sum), 0), 255)
				if d := float64(got[10*y+x]) - want; d < -1 || d > 1 {
					t.Fatalf("block %v: sample (%d,%d) is %d, want %v", coefs, x, y, got[10*y+x], want)
				}
			}
		}
	}
}

func TestClamp(t *testing.T) {
	for v, want := range map[int32]byte{math.MinInt32: 0, -1: 0, 0: 0, 1: 1, 255: 255, 256: 255, math.MaxInt32: 255} {
		if got := clamp(v); got != want {
			t.Errorf("clamp(%d) = %d, want %d", v, got, want)
		}
	}
}

func TestBitReader(t *testing.T) {
	// FF 00 is a data byte, and so is FF FF 00; FF D9 is a marker.
	r := bitReader{data: []byte{0x12, 0xFF, 0x00, 0xFF, 0xFF, 0x00, 0xA5, 0xFF, 0xD9, 0x77}}
	for i, want := range []int32{0x1, 0x2, 0xF, 0xF, 0xF, 0xF, 0xA, 0x5} {
		if got := r.bits(4); got != want || r.overrun() {
			t.Errorf("nibble %d is %x, want %x; overrun %v", i, got, want, r.overrun())
		}
	}
	if r.pos != 7 {
		t.Errorf("reader stopped at byte %d, the marker is at 7", r.pos)
	}
	for range 40 {
		if got := r.bits(16); got != 0 || !r.overrun() {
			t.Fatalf("past the marker: %x, overrun %v", got, r.overrun())
		}
	}
}

func TestExtend(t *testing.T) {
	for _, c := range []struct {
		v    int32
		k    int
		want int32
	}{{0, 0, 0}, {0, 1, -1}, {1, 1, 1}, {0, 3, -7}, {3, 3, -4}, {4, 3, 4}, {7, 3, 7}, {0, 15, -32767}, {0x7FFF, 15, 32767}} {
		if got := extend(c.v, c.k); got != c.want {
			t.Errorf("extend(%b, %d) = %d, want %d", c.v, c.k, got, c.want)
		}
	}
}

// TestStandardTables: the tables of the standard, which most files have, are made once, and those of one file are not those of another.
func TestStandardTables(t *testing.T) {
	for _, s := range standard {
		for class, counts := range [][16]byte{s.dcCounts, s.acCounts} {
			symbols := [][]byte{dcSymbols, s.acSymbols}[class]
			var tables [2]*huffmanTable
			for i := range tables {
				table, err := newHuffmanTable(byte(class), counts, symbols)
				if err != nil {
					t.Fatal(err)
				}
				tables[i] = table
			}
			other := bytes.Clone(symbols)
			other[0], other[1] = other[1], other[0]
			own, err := newHuffmanTable(byte(class), counts, other)
			if err != nil {
				t.Fatal(err)
			}
			if tables[0] != tables[1] || own == tables[0] || own.symbols == tables[0].symbols {
				t.Errorf("class %d: the standard's table is made twice, or is another's", class)
			}
			var defined huffmanTable
			if err := defined.define(counts, symbols); err != nil || defined != *tables[0] {
				t.Errorf("class %d: not as defined: %v", class, err)
			}
		}
	}
}

// Codes shorter and longer than the lookahead, by their definition: the codes of a length count up, and a longer length
// goes on with twice the next.
func TestHuffman(t *testing.T) {
	counts := [16]byte{1: 1, 2: 2, 8: 1, 9: 2, 15: 3}
	symbols := []byte{10, 11, 12, 13, 14, 15, 16, 17, 18}
	codes := []string{
		"00", "010", "011", "100000000", "1000000010", "1000000011", "1000000100000000", "1000000100000001", "1000000100000010",
	}
	var table huffmanTable
	if err := table.define(counts, symbols); err != nil {
		t.Fatal(err)
	}
	for i, code := range codes {
		r := reader(code + "1100110011001100")
		got, err := r.symbol(&table)
		if err != nil || got != symbols[i] {
			t.Errorf("code %s is symbol %d (%v), want %d", code, got, err, symbols[i])
		}
		if rest := r.bits(4); rest != 0xC {
			t.Errorf("after code %s come %04b, want 1100", code, rest)
		}
	}
	if _, err := reader("1111111111111110").symbol(&table); err != errBadCode {
		t.Errorf("undefined code: %v", err)
	}
	// All ones is reserved, at every length.
	if err := table.define([16]byte{2}, []byte{1, 2}); err == nil {
		t.Error("two codes of one bit were accepted")
	}
}

// reader reads a string of bits, packed and stuffed.
func reader(s string) *bitReader {
	s += strings.Repeat("0", -len(s)&7)
	var data []byte
	for ; s != ""; s = s[8:] {
		b := byte(0)
		for _, c := range s[:8] {
			b = b<<1 | byte(c-'0')
		}
		if data = append(data, b); b == 0xFF {
			data = append(data, 0)
		}
	}
	return &bitReader{data: data}
}

// Go's decoder follows the standard too, with another inverse DCT; grey pictures may differ by the rounding of the two.
func TestAgreesWithStandardLibrary(t *testing.T) {
	for _, name := range []string{"gray.jpg", "gray-progressive.jpg"} {
		data := readFixture(t, name)
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		m, err := stdjpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		gray := m.(*image.Gray)
		for y := range got.Height {
			for x := range got.Width {
				a, b := int(got.Pix[3*(y*got.Width+x)]), int(gray.GrayAt(x, y).Y)
				if a-b > 1 || b-a > 1 {
					t.Fatalf("%s: sample (%d,%d) is %d, in Go's decoder %d", name, x, y, a, b)
				}
			}
		}
	}
}

func TestDecodeHeader(t *testing.T) {
	h, err := DecodeHeader(readFixture(t, "420-progressive.jpg"))
	if want := (Header{67, 45, 3, true}); h != want || err != nil {
		t.Errorf("%+v, %v, want %+v", h, err, want)
	}
}

// edit changes the payload of the first segment with a marker, in place.
func edit(t *testing.T, data []byte, marker byte, f func(payload []byte)) []byte {
	data = bytes.Clone(data)
	at := bytes.Index(data, []byte{0xFF, marker})
	if at < 0 {
		t.Fatalf("no marker %x", marker)
	}
	f(data[at+4 : at+2+int(data[at+2])<<8+int(data[at+3])])
	return data
}

// insert puts a segment before the first one with a marker.
func insert(data []byte, before byte, segment string) []byte {
	at := bytes.Index(data, []byte{0xFF, before})
	return bytes.Join([][]byte{data[:at], []byte(segment), data[at:]}, nil)
}

func TestErrors(t *testing.T) {
	small := readFixture(t, "420-5x4.jpg")
	progressive := readFixture(t, "gray-progressive.jpg")
	restart := readFixture(t, "420-restart-blocks.jpg")
	scans := readFixture(t, "scans-444.jpg")
	firstTable, firstScan := bytes.Index(progressive, []byte{0xFF, dht}), bytes.Index(progressive, []byte{0xFF, sos})
	lastScan := bytes.LastIndex(progressive, []byte{0xFF, sos})
	lastTable := bytes.LastIndex(progressive, []byte{0xFF, dht})
	secondScan := bytes.LastIndex(scans, []byte{0xFF, sos})
	frame := func(f func(p []byte)) []byte { return edit(t, small, sof0, f) }
	scan := func(f func(p []byte)) []byte { return edit(t, small, sos, f) }
	asFrame := func(marker byte) []byte {
		data := bytes.Clone(small)
		data[bytes.Index(data, []byte{0xFF, sof0})+1] = marker
		return data
	}
	eoiMarker := []byte{0xFF, eoi}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"no SOI", []byte("\x00\x00"), "no start-of-image"},
		{"two SOI", []byte("\xFF\xD8\xFF\xD8\xFF\xD9"), "second start-of-image"},
		{"nothing", []byte("\xFF\xD8\xFF\xD9"), "no frame header"},
		{"no end", small[:len(small)-2], string(errTruncated)},
		{"half an end", small[:len(small)-1], string(errTruncated)},
		{"segment length", insert(small, dqt, "\xFF\xE1\x00\x01"), "impossible length"},
		{"12 bit", frame(func(p []byte) { p[0] = 12 }), "12-bit"},
		{"height 0", frame(func(p []byte) { p[1], p[2] = 0, 0 }), "5x0"},
		{"number of components", frame(func(p []byte) { p[5] = 2 }), "wrong length"},
		{"equal components", frame(func(p []byte) { p[9] = p[6] }), "two components"},
		{"factor 0", frame(func(p []byte) { p[7] = 0x02 }), "bad component"},
		{"factor 5", frame(func(p []byte) { p[7] = 0x51 }), "bad component"},
		{"factors 3:2", frame(func(p []byte) { p[7], p[10] = 0x31, 0x21 }), "not whole"},
		{"too many blocks", frame(func(p []byte) { p[7], p[10], p[13] = 0x44, 0x44, 0x44 }), "more than 10 blocks"},
		{"missing quantization", frame(func(p []byte) { p[8] = 3 }), "no quantization table"},
		{"lossless", asFrame(0xC3), "lossless"},
		{"arithmetic", asFrame(0xC9), "arithmetic"},
		{"two frames", insert(small, sos, "\xFF\xC0\x00\x0B\x08\x00\x01\x00\x01\x01\x01\x11\x00"), "second frame"},
		{"scan first", []byte("\xFF\xD8\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00\xFF\xD9"), "before the frame"},
		{"unknown component", scan(func(p []byte) { p[1] = 77 }), "component 77"},
		{"repeated component", scan(func(p []byte) { p[3] = p[1] }), "twice"},
		{"table number", scan(func(p []byte) { p[2] = 0x44 }), "table number"},
		{"missing Huffman table", scan(func(p []byte) { p[2] = 0x33 }), "no Huffman table"},
		{"scan of wrong length", scan(func(p []byte) { p[0] = 2 }), "wrong length"},
		{"no data", insert(small, sos, "")[:bytes.Index(small, []byte{0xFF, sos})+14], string(errTruncated)},
		{"end in place of data", append(small[:bytes.Index(small, []byte{0xFF, sos})+14:bytes.Index(small, []byte{0xFF, sos})+14],
			eoiMarker...), "scan without data"},
		{"bad quantization", insert(small, dqt, "\xFF\xDB\x00\x03\x24"), "bad quantization"},
		{"short Huffman", insert(small, dht, "\xFF\xC4\x00\x03\x00"), "short Huffman"},
		{"overfull Huffman", insert(small, dht, "\xFF\xC4\x00\x16\x00\x03"+strings.Repeat("\x00", 15)+"abc"), "more codes"},
		{"restart interval", insert(small, dht, "\xFF\xDD\x00\x03\x00"), "wrong length"},
		{"restart out of order", bytes.Replace(restart, []byte{0xFF, rst0 + 1}, []byte{0xFF, rst0 + 5}, 1), "restart marker 5 where 1 is due"},
		{"last scan missing, and the end too", progressive[:lastTable], string(errTruncated)},
		{"little after the picture", append(small[:len(small)-2:len(small)-2], make([]byte, enoughAfter-9)...), string(errTruncated)},
		{"junk segment after the picture", append(small[:len(small)-2:len(small)-2], "\xFF\xC4\x00\x03\x77 and nothing more at all"...), "short Huffman"},
		{"progressive without tables", append(progressive[:firstTable:firstTable], progressive[firstScan:]...), "no Huffman table"},
		{"last scan twice", append(progressive[:len(progressive)-2:len(progressive)-2], progressive[lastScan:]...), "out of order"},
		{"component missing", append(scans[:secondScan:secondScan], eoiMarker...), "scans are missing"},
		{"component twice", append(scans[:len(scans)-2:len(scans)-2], scans[secondScan:]...), "second scan"},
		{"progressive band", edit(t, progressive, sos, func(p []byte) { p[3] = 1 }), "impossible progressive scan"},
		{"AC before DC", edit(t, progressive, sos, func(p []byte) { p[3], p[4], p[5] = 1, 5, 0 }), ""},
	} {
		_, err := Decode(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	// Scan after scan of no use would make a small file expensive.
	first := bytes.Index(progressive, []byte{0xFF, sos})
	next := first + 2 + bytes.Index(progressive[first+2:], []byte{0xFF, dht})
	many := bytes.Clone(progressive[:first])
	for range maxScans + 1 {
		many = append(many, edit(t, progressive[first:next], sos, func(p []byte) { p[5] = 0 })...)
	}
	if _, err := Decode(append(many, eoiMarker...)); err == nil || !strings.Contains(err.Error(), "more than 500 scans") {
		t.Errorf("file of %d scans: %v", maxScans+1, err)
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob(fixtures + "/*.jpg")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		if data := readFixture(f, filepath.Base(name)); len(data) < 1500 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHeader(data)
		if err != nil || h.Width*h.Height > 1<<16 {
			return
		}
		m, err := Decode(data)
		if err != nil {
			return
		}
		if m.Width != h.Width || m.Height != h.Height || len(m.Pix) != 3*h.Width*h.Height {
			t.Errorf("header %+v, picture %dx%d of %d samples", h, m.Width, m.Height, len(m.Pix))
		}
		portable(func() {
			if again, err := Decode(data); err != nil || !bytes.Equal(again.Pix, m.Pix) {
				t.Errorf("without assembly the picture is another, %v", err)
			}
		})
	})
}
