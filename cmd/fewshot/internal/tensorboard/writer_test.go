package tensorboard

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// clock goes on by a second a call.
func clock(from int64) func() time.Time {
	return func() time.Time { from++; return time.Unix(from, 0).UTC() }
}

// all reads a folder's files in the order of their names, as TensorBoard does.
func all(t *testing.T, dir string) (got []point, files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, e.Name())
		for _, r := range records(b) {
			got = append(got, points(r)...)
		}
	}
	return got, files
}

func steps(t *testing.T, w *Writer, from, to int64) {
	t.Helper()
	for s := from; s <= to; s++ {
		if err := w.Scalars(s, Scalar{"train/loss", 1 / float64(s)}, Scalar{"train/accuracy", float64(s)}); err != nil {
			t.Fatal(err)
		}
	}
}

// A run that is killed while it writes, and resumed from an earlier epoch, with a clock that has gone back, has each
// point once and in order.
func TestResume(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "run")
	w, err := Open(dir, clock(5000))
	if err != nil {
		t.Fatal(err)
	}
	if got, files := all(t, dir); got != nil || files != nil {
		t.Errorf("before anything is written there are %v", files)
	}
	if err := w.Start(map[string]any{"lr": 0.1, "rule": "ce", "on": true, "off": false, "list": []int{1}}); err != nil {
		t.Fatal(err)
	}
	steps(t, w, 1, 5)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, files := all(t, dir)
	path := filepath.Join(dir, files[0])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)-7], 0o666); err != nil { // step 5 is cut off
		t.Fatal(err)
	}
	if w, err = Open(dir, clock(100)); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(map[string]any{"lr": 0.1}); err != nil {
		t.Fatal(err)
	}
	steps(t, w, 3, 7)
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	got, files := all(t, dir)
	if len(files) != 2 || files[0] >= files[1] {
		t.Fatalf("files %v", files)
	}
	var want []point
	want = append(want, point{tag: startTag})
	for s := int64(1); s <= 7; s++ {
		want = append(want, point{"train/loss", s, float32(1 / float64(s))}, point{"train/accuracy", s, float32(s)})
	}
	want = append(want, point{tag: endTag})
	if fmt.Sprint(flat(got)) != fmt.Sprint(flat(want)) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	// Nothing new, no file.
	if w, err = Open(dir, clock(100)); err != nil {
		t.Fatal(err)
	}
	steps(t, w, 1, 7)
	w.Close()
	if _, again := all(t, dir); !slices.Equal(again, files) {
		t.Errorf("%v", again)
	}
}

// flat leaves out the values of what are no scalars.
func flat(all []point) (out []point) {
	for _, p := range all {
		if p.value != p.value {
			p.value = 0
		}
		out = append(out, p)
	}
	return out
}

// Two writers of one folder at the same second have files of their own; a file of another program is left alone.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	still := func() time.Time { return time.Unix(77, 0).UTC() }
	a, err := Open(dir, still)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, still)
	if err != nil {
		t.Fatal(err)
	}
	steps(t, a, 1, 1)
	steps(t, b, 2, 2)
	a.Close()
	b.Close()
	if _, files := all(t, dir); !slices.Equal(files, []string{"events.out.tfevents.0000000077.fewshot", "events.out.tfevents.0000000078.fewshot", "notes.txt"}) {
		t.Errorf("%v", files)
	}
}

// The checksum is the one that TensorFlow writes: of the eight bytes of length 24, and of nothing.
func TestChecksum(t *testing.T) {
	r := record(bytes.Repeat([]byte{0}, 24))
	if got := hex.EncodeToString(r[:12]); got != "1800000000000000a37f4b22" {
		t.Errorf("%s", got)
	}
	for i := range r {
		broken := slices.Clone(r)
		broken[i] ^= 1
		if records(broken) != nil {
			t.Errorf("byte %d is changed and the record is read", i)
		}
	}
	for n := range r {
		if records(r[:n]) != nil {
			t.Errorf("%d bytes of a record are read", n)
		}
	}
}

// FuzzRecords reads event files that anybody wrote: no panic, and what is read was framed.
func FuzzRecords(f *testing.F) {
	var s message
	s.bytes(1, scalar("a", 1))
	e := event(1, 2, func(m *message) { m.bytes(5, s) })
	f.Add(record(e))
	f.Add(append(record(e), record([]byte{0x2a, 0x03, 0x0a, 0x01, 0x0d})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, r := range records(b) {
			points(r)
			n += len(record(r))
		}
		if n > len(b) {
			t.Errorf("%d bytes of records in %d", n, len(b))
		}
		points(b)
	})
}
