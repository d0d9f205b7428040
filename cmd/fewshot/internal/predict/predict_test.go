package predict

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// list is what List makes of a text, and its error.
func list(text string, nul bool) (paths []string, problem string) {
	for p, err := range List(strings.NewReader(text), nul) {
		if err != nil {
			return paths, err.Error()
		}
		paths = append(paths, p)
	}
	return paths, ""
}

func TestList(t *testing.T) {
	long := strings.Repeat("a", maxPath)
	for _, c := range []struct {
		text    string
		nul     bool
		want    []string
		problem string
	}{
		{text: ""},
		{text: "a.png\nb c.png\n", want: []string{"a.png", "b c.png"}},
		{text: "\ufeffa.png\r\n\r\n\nb.png", want: []string{"a.png", "b.png"}},
		{text: " a,\"\xff.png \n", want: []string{" a,\"\xff.png "}},
		{text: "a\nb.png\x00c\r\x00", nul: true, want: []string{"a\nb.png", "c\r"}},
		{text: "a\x00b", nul: true, want: []string{"a", "b"}},
		{text: "a\x00b\x00", problem: "line 1 of the list: has a zero byte: paths that end with one are read with -0"},
		{text: "a\x00\x00", nul: true, want: []string{"a"}, problem: "entry 2 of the list: is empty"},
		{text: "\xff\xfea\x00\n\x00", problem: "line 1 of the list: the list is UTF-16 text: write it as UTF-8"},
		{text: long + "\n" + long, want: []string{long, long}},
		{text: "a\n" + long + "b\n", want: []string{"a"}, problem: "line 2 of the list: is longer than a path of 32768 bytes"},
		{text: long + long, problem: "line 1 of the list: is longer than a path of 32768 bytes"},
	} {
		if got, problem := list(c.text, c.nul); !slices.Equal(got, c.want) || problem != c.problem {
			t.Errorf("%.40q: %.60q, %q; want %.60q, %q", c.text, got, problem, c.want, c.problem)
		}
	}
}

// oddNames are what files may be called.
var oddNames = []string{"a.png", "a,b", `"`, `a"b"`, "a\nb", "a\r\nb", "\n", " lead", "caf\u00e9", "\xff\xfe", "a\xc3", `\.`, `\`, "\t", "\u2028", "=1+1", "\ufffd", "\x01", "x,,y\n\"z"}

func rowOf(path string) Row {
	z := []float64{1, 4, 4, -2}
	return NewRow(path, []string{"cat", `a "big", dog`, "bird", "fish"}, 3, z, []float64{0.02, 0.48, 0.48, 0.01}, 2, 3)
}

func TestRow(t *testing.T) {
	r := rowOf("x")
	if r.Top[0].Class != `a "big", dog` || r.Top[1].Class != "bird" || r.Top[2].Class != "cat" || r.Margin != 0 || r.Logit != 4 || r.Energy != -6 {
		t.Errorf("%+v", r)
	}
	one := NewRow("x", []string{"cat"}, 5, []float64{-3}, []float64{1}, 1, -3)
	if len(one.Top) != 1 || one.Margin != 1 || one.Energy != 3 {
		t.Errorf("%+v", one)
	}
	f := Format{Top: 3}
	if got, want := string(f.Header()), "path,class,probability,margin,energy,logit,class_2,probability_2,class_3,probability_3,error\n"; got != want {
		t.Errorf("%q", got)
	}
	if got, want := string(f.Encode(r)), "x,\"a \"\"big\"\", dog\",0.48,0,-6,4,bird,0.48,cat,0.02,\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever a file is called, readers of CSV and JSON find its name again.
func TestOddNames(t *testing.T) {
	for _, name := range oddNames {
		for _, r := range []Row{rowOf(name), {Path: name, Err: "no, \"such\" file"}} {
			line := Format{Top: 3}.Encode(r)
			fields, err := csv.NewReader(bytes.NewReader(line)).Read()
			want := strings.ReplaceAll(name, "\r\n", "\n") // what Go's reader makes of it
			if err != nil || fields[0] != want || fields[len(fields)-1] != r.Err {
				t.Errorf("%q: %q, %v", name, fields, err)
			}
			line = Format{JSONL: true, Top: 3}.Encode(r)
			var o struct{ Path, Error string }
			if err := json.Unmarshal(line, &o); err != nil || o.Error != r.Err || bytes.Count(line, []byte("\n")) != 1 || !utf8.Valid(line) {
				t.Errorf("%q: %s %v", name, line, err)
			}
			if utf8.ValidString(name) && o.Path != name {
				t.Errorf("%q: %q", name, o.Path)
			}
		}
	}
	if got, want := jsonString("\xffa\xc3\ufffd"), `"\udcffa\udcc3`+"\ufffd\""; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// file is a file of rows, a third of them without a prediction.
func file(f Format, names []string) []byte {
	b := f.Header()
	for i, n := range names {
		r := rowOf(n)
		if i%3 == 2 {
			r = Row{Path: n, Err: "broken"}
		}
		b = append(b, f.Encode(r)...)
	}
	return b
}

func seq(names []string) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// Wherever a file was cut off, what is written after it makes the same file, and batches begin where they would.
func TestResume(t *testing.T) {
	settings := map[string]any{"top": 3, "classes": []string{"<a>", "b"}}
	for _, f := range []Format{{Top: 3}, {JSONL: true, Top: 3}} {
		whole := file(f, oddNames)
		path := filepath.Join(t.TempDir(), "rows")
		o, err := Open(path, f, settings, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Finish(settings, nil); err != nil {
			t.Fatal(err)
		}
		first := len(file(f, oddNames[:1]))
		for cut := 0; cut <= len(whole); cut++ {
			if cut > 2 && cut < first-2 { // a file without rows is begun anew, settings and all, wherever it ends
				continue
			}
			if cut%5 != 0 && whole[cut-1] != '\n' { // all ends of lines, and some others
				continue
			}
			os.Remove(path) // a file that is written over is flushed to the disk by some systems
			if err := os.WriteFile(path, whole[:cut], 0o666); err != nil {
				t.Fatal(err)
			}
			o, err := Open(path, f, settings, true)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			const batch = 4
			done, again, failed := o.Before.Rows, o.Before.Rows%batch, 0
			at := done - again
			for p, err := range o.After(seq(oddNames), batch) {
				if err != nil || p != oddNames[at] {
					t.Fatalf("cut at %d: %q, %v; want %q", cut, p, err, oddNames[at])
				}
				if at++; again > 0 {
					again--
					continue
				}
				r := rowOf(p)
				if (at-1)%3 == 2 {
					r = Row{Path: p, Err: "broken"}
					failed++
				}
				if err := o.Write(f.Encode(r)); err != nil {
					t.Fatal(err)
				}
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) || o.Before.Failed+failed != len(oddNames)/3 {
				t.Fatalf("cut at %d, after %d rows: %d failed, another file: %q", cut, done, o.Before.Failed+failed, got)
			}
		}
	}
}

func TestResumeRefuses(t *testing.T) {
	f := Format{Top: 3}
	settings := map[string]any{"top": 3, "model": map[string]string{"digest": "x"}}
	path := filepath.Join(t.TempDir(), "rows")
	open := func(settings any, resume bool) (string, *Output) {
		o, err := Open(path, f, settings, resume)
		if err != nil {
			return err.Error(), nil
		}
		return "", o
	}
	want := func(what, problem, part string) {
		t.Helper()
		if !strings.Contains(problem, part) {
			t.Errorf("%s: %q, want %q", what, problem, part)
		}
	}
	_, o := open(settings, false)
	problem, _ := open(settings, true)
	want("two processes", problem, "is in use by another process")
	if err := o.Write(f.Encode(rowOf("a"))); err != nil {
		t.Fatal(err)
	}
	o.Close()
	problem, _ = open(settings, false)
	want("without -resume", problem, "is there already")
	problem, _ = open(map[string]any{"top": 4, "mask": "m", "model": map[string]string{"digest": "x"}}, true)
	want("other settings", problem, `mask was not there and is "m"; top was 3 and is 4; give those`)
	_, o = open(settings, true)
	for names, part := range map[string]string{"b": "row 1 of", "": "has 1 row, and 0 images are given"} {
		err := error(nil)
		for _, e := range o.After(seq(strings.Fields(names)), 4) {
			err = e
		}
		if err == nil {
			t.Fatalf("%q: no error", names)
		}
		want(names, err.Error(), part)
	}
	o.Close()
	sidecar := path + SettingsSuffix
	b, err := os.ReadFile(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(sidecar, bytes.Replace(b, []byte(`"x"`), []byte(`"y"`), 1), 0o666)
	problem, _ = open(settings, true)
	want("edited settings", problem, "was changed")
	os.WriteFile(sidecar, []byte("{}"), 0o666)
	problem, _ = open(settings, true)
	want("no settings", problem, "is no file of settings")
	os.WriteFile(sidecar, b, 0o666)
	for text, part := range map[string]string{"a,b\n": "another header", string(f.Header()) + "a,b\n": "row 1 has 2 fields, and not 11",
		string(f.Header()) + "a,b\"\"\n": "row 1 is no line of a CSV file"} {
		os.WriteFile(path, []byte(text), 0o666)
		problem, _ = open(settings, true)
		want(text, problem, part)
	}
	os.Remove(path)
	os.WriteFile(sidecar, []byte("my notes"), 0o666)
	problem, _ = open(settings, false)
	want("somebody's file in the sidecar's place", problem, "is no file of settings, as fewshot predict writes it; it is not replaced")
	if b, err := os.ReadFile(sidecar); err != nil || string(b) != "my notes" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an empty file of predictions is left")
	}
	os.WriteFile(path, f.Header(), 0o666)
	os.Remove(sidecar)
	problem, _ = open(settings, true)
	want("without a sidecar", problem, "nothing says how it was made")
}

// FuzzRows: what is taken for whole rows is a beginning of the file, and reading that again gives the same.
func FuzzRows(f *testing.F) {
	for _, jsonl := range []bool{false, true} {
		whole := file(Format{JSONL: jsonl, Top: 3}, oddNames)
		f.Add(whole, jsonl)
		f.Add(whole[:len(whole)/2], jsonl)
	}
	f.Add([]byte("path,class\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, jsonl bool) {
		format := Format{JSONL: jsonl, Top: 3}
		w, err := format.scan(bytes.NewReader(b))
		if w.Bytes > int64(len(b)) || w.Rows > len(b) {
			t.Fatalf("%+v of %d bytes", w, len(b))
		}
		if err != nil {
			return
		}
		again, err := format.scan(bytes.NewReader(b[:w.Bytes]))
		if err != nil || again != w {
			t.Fatalf("%+v, then %+v, %v", w, again, err)
		}
		for row, err := range format.rows(bytes.NewReader(b[:w.Bytes])) {
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range oddNames {
				if bytes.HasPrefix(row, format.key(name)) {
					format.failed(row, name)
				}
			}
		}
	})
}

// FuzzList: paths are parts of the list, none empty, none with what ends one.
func FuzzList(f *testing.F) {
	f.Add("a.png\r\nb.png\n", false)
	f.Add("a\x00b\nc\x00", true)
	f.Add("\ufeff\n\xff", false)
	f.Fuzz(func(t *testing.T, text string, nul bool) {
		paths, _ := list(text, nul)
		for _, p := range paths {
			if p == "" || strings.ContainsRune(p, 0) || !nul && strings.Contains(p, "\n") || !strings.Contains(text, p) {
				t.Fatalf("%q", p)
			}
		}
	})
}

// FuzzSettings: what is read as settings is an object that a file of its own holds again.
func FuzzSettings(f *testing.F) {
	path := filepath.Join(f.TempDir(), "rows")
	o, err := Open(path, Format{}, map[string]any{"top": 3, "model": map[string]string{"digest": "<"}}, false)
	if err != nil {
		f.Fatal(err)
	}
	o.Close()
	b, err := os.ReadFile(path + SettingsSuffix)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"settings":{},"settings_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSettings("x", b); err == nil && !json.Valid(s) {
			t.Fatalf("%q", s)
		}
	})
}
