package datasets

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inMemory is a small data set without files.
func inMemory(t *testing.T) *Dataset {
	t.Helper()
	item := func(label int32, shade uint8) Item { return pngItem(t, label, shade) }
	d, err := New("shapes", "Shapes", "a drawing of a {}.", []string{"red circle", "Ünit/1", "red-circle", "RED CIRCLE"},
		[]Item{item(2, 1), item(0, 2), item(0, 3), item(1, 4), item(3, 9)}, []Item{item(0, 5)}, []Item{item(1, 6), item(2, 7), item(0, 8)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNew(t *testing.T) {
	d := inMemory(t)
	want := []string{"red-circle/0001.png", "red_circle/0001.png", "red_circle/0002.png", "Ünit_1/0001.png", "RED_CIRCLE.3/0001.png"}
	if diff := cmp.Diff(want, paths(d.Train)); diff != "" {
		t.Errorf("train (-want +got):\n%s", diff)
	}
	if d.Train[1].Class != "red circle" || d.Val[0].Path != "red_circle/0003.png" {
		t.Errorf("items %+v, %+v", d.Train[1], d.Val[0])
	}
	for name, f := range map[string]func() (*Dataset, error){
		"label": func() (*Dataset, error) {
			return New("x", "X", "{}", []string{"a"}, []Item{pngItem(t, 1, 0)}, nil, nil)
		},
		"no image": func() (*Dataset, error) {
			return New("x", "X", "{}", []string{"a"}, []Item{{Data: []byte("x")}}, nil, nil)
		},
		"empty": func() (*Dataset, error) { return New("x", "X", "{}", nil, nil, nil, nil) },
		"unused": func() (*Dataset, error) {
			return New("x", "X", "{}", []string{"a", "b"}, []Item{pngItem(t, 0, 0)}, nil, nil)
		},
		"title": func() (*Dataset, error) {
			return New("x", "../X", "{}", []string{"a"}, []Item{pngItem(t, 0, 0)}, nil, nil)
		},
		"template": func() (*Dataset, error) { return New("x", "X", "", []string{"a"}, []Item{pngItem(t, 0, 0)}, nil, nil) },
		"underscore": func() (*Dataset, error) {
			return New("x", "X", "{}", []string{"a_b"}, []Item{pngItem(t, 0, 0)}, nil, nil)
		},
		"path": func() (*Dataset, error) {
			it := pngItem(t, 0, 0)
			it.Path = "../x.png"
			return New("x", "X", "{}", []string{"a"}, []Item{it}, nil, nil)
		},
		"same path": func() (*Dataset, error) {
			it := pngItem(t, 0, 0)
			it.Path = "x.png"
			return New("x", "X", "{}", []string{"a"}, []Item{it, it}, nil, nil)
		},
	} {
		if d, err := f(); err == nil || d != nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestExport(t *testing.T) {
	d := inMemory(t)
	root := t.TempDir()
	dir := filepath.Join(root, "deeper", "shapes")
	// Twice: the second replaces what the first wrote.
	for range 2 {
		if err := Export(dir, d); err != nil {
			t.Fatal(err)
		}
	}
	for name, open := range map[string]func() (*Dataset, error){
		"Open":       func() (*Dataset, error) { return Open(filepath.Dir(dir), "shapes") },
		"OpenFolder": func() (*Dataset, error) { return OpenFolder(dir, "") },
	} {
		got, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.SplitHash() != d.SplitHash() {
			t.Errorf("%s: other split", name)
		}
		if diff := cmp.Diff([]string{d.Name, d.Title, d.Template, d.Templates[0]}, []string{got.Name, got.Title, got.Template, got.Templates[0]}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for i, part := range d.splits() {
			for j, it := range part.items {
				read := got.splits()[i].items[j]
				data, err := got.ReadItem(read)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(it.Data, data); diff != "" {
					t.Errorf("%s: %s[%d] differs", name, part.name, j)
				}
				read.Data = data
				if diff := cmp.Diff(it, read); diff != "" {
					t.Errorf("%s: %s[%d] (-want +got):\n%s", name, part.name, j, diff)
				}
			}
		}
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// TestExportEnsemble keeps a prompt and an ensemble that does not contain it.
func TestExportEnsemble(t *testing.T) {
	d := inMemory(t)
	d.Templates = []string{"one {}", "two {}"}
	dir := filepath.Join(t.TempDir(), "shapes")
	if err := Export(dir, d); err != nil {
		t.Fatal(err)
	}
	got, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if got.Template != d.Template {
		t.Errorf("template %q", got.Template)
	}
	if diff := cmp.Diff(d.Templates, got.Templates); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
}

func TestExportRefuses(t *testing.T) {
	d := inMemory(t)
	for _, c := range []struct {
		name  string
		build func(dir string)
		want  string
	}{
		{"someone's folder", func(dir string) { writeFile(t, dir, "thesis.tex", "") }, "was not written by an export"},
		{"a file", func(dir string) { writeFile(t, filepath.Dir(dir), filepath.Base(dir), "x") }, "is not a folder"},
		{"an added file", func(dir string) {
			if err := Export(dir, d); err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir, "images/notes.txt", "")
		}, "notes.txt\" was added since"},
		{"a changed split", func(dir string) {
			if err := Export(dir, d); err != nil {
				t.Fatal(err)
			}
			writeFile(t, dir, "split_zhou_Shapes.json", "{}")
		}, "changed since"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			c.build(dir)
			before := listing(t, filepath.Dir(dir))
			asError(t, Export(dir, d), c.want)
			if diff := cmp.Diff(before, listing(t, filepath.Dir(dir))); diff != "" {
				t.Errorf("the refused export changed something:\n%s", diff)
			}
		})
	}
}

// TestExportFails leaves the old export alone when the new one can not be finished.
func TestExportFails(t *testing.T) {
	d := inMemory(t)
	dir := filepath.Join(t.TempDir(), "out")
	if err := Export(dir, d); err != nil {
		t.Fatal(err)
	}
	before := listing(t, filepath.Dir(dir))
	broken := *d
	broken.Test = append([]Item(nil), d.Test...)
	broken.Test[2].Data = nil // now a file, and there is none
	if err := Export(dir, &broken); err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(before, listing(t, filepath.Dir(dir))); diff != "" {
		t.Errorf("the failed export changed something:\n%s", diff)
	}
}

// TestExportFiles copies the few shots of a data set on disk.
func TestExportFiles(t *testing.T) {
	root := t.TempDir()
	classImages(t, filepath.Join(root, "mine"), 10, "a", "b")
	d, err := Open(root, "mine")
	if err != nil {
		t.Fatal(err)
	}
	few, err := d.FewShot(2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := Export(filepath.Join(root, "few"), few); err != nil {
		t.Fatal(err)
	}
	got, err := Open(root, "few")
	if err != nil {
		t.Fatal(err)
	}
	if got.SplitHash() != few.SplitHash() {
		t.Error("other split")
	}
	if err := got.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// listing returns the files below a folder with their contents.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
