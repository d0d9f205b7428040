package parquet

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../../testdata/parquet/*.parquet")
	if err != nil || len(names) < 10 {
		t.Fatalf("%v, %q", err, names)
	}
	files := make(map[string][]byte)
	for _, name := range names {
		if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// readAll reads every column, and returns how many values it has seen.
func readAll(t testing.TB, data []byte) (values int64, err error) {
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return 0, err
	}
	for i := range f.Columns {
		var n int64
		e := f.Read(i, func(v Value) error {
			n++
			if v.Offset >= 0 && !bytes.Equal(v.Bytes, data[v.Offset:][:len(v.Bytes)]) {
				t.Fatalf("column %q: value %d is not at %d", f.Columns[i].Name(), n-1, v.Offset)
			}
			return nil
		})
		if e == nil && n != f.Rows {
			t.Fatalf("column %q has %d values of %d", f.Columns[i].Name(), n, f.Rows)
		}
		if e != nil && err == nil && !f.Columns[i].Repeated {
			err = e
		}
		values += n
	}
	return values, err
}

// TestCut reads files cut at many lengths, and with every byte changed: errors, never a panic, never values of another file's size.
func TestCut(t *testing.T) {
	for name, data := range fixtures(t) {
		if _, err := readAll(t, data); err != nil && !strings.Contains(err.Error(), "ZSTD") {
			t.Errorf("%s: %v", name, err)
		}
		for n := 0; n < len(data); n += 5 {
			if _, err := readAll(t, data[:n]); err == nil {
				t.Fatalf("%s: read of %d bytes", name, n)
			}
		}
		if name != "gzip-v2.parquet" && name != "dictionary.parquet" && name != "text.parquet" {
			continue // these have all of the format; the fuzz target goes further
		}
		changed := bytes.Clone(data)
		for i := range data {
			for _, flip := range []byte{0xff, 0x01} {
				changed[i] ^= flip
				readAll(t, changed)
				changed[i] = data[i]
			}
		}
	}
}

func FuzzParquet(f *testing.F) {
	for _, data := range fixtures(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

func FuzzSnappy(f *testing.F) {
	f.Add([]byte("\x0c\x08abc\x15\x03"), int64(12))
	f.Fuzz(func(t *testing.T, data []byte, whole int64) {
		out, err := unsnap(data, whole)
		if err == nil && int64(len(out)) != whole {
			t.Fatalf("%d bytes, want %d", len(out), whole)
		}
	})
}

func TestSnappy(t *testing.T) {
	// "abc", then nine bytes from three back: overlapping copies repeat.
	if out, err := unsnap([]byte("\x0c\x08abc\x15\x03"), 12); err != nil || string(out) != "abcabcabcabc" {
		t.Errorf("%q, %v", out, err)
	}
	long := strings.Repeat("x", 300)
	if out, err := unsnap([]byte("\xac\x02\xf4\x2b\x01"+long), 300); err != nil || string(out) != long {
		t.Errorf("%q, %v", out, err)
	}
	for _, bad := range []string{"", "\x0c", "\x0c\x08ab", "\x0c\x08abc\x15\x04", "\x0c\x08abc\x15\x00", "\x02\x08abc", "\xff\xff\xff\xff\x0f\x00"} {
		if out, err := unsnap([]byte(bad), 12); err == nil {
			t.Errorf("%q gives %q", bad, out)
		}
	}
}
