package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goodSplit = `{"train": [["a/1.jpg", 0, "a"], ["b/1.jpg", 1, "b"]], "val": [], "test": [["a/2.jpg", 0, "a"]]}`

func TestParseSplit(t *testing.T) {
	s, err := parseSplit("s.json", []byte(goodSplit))
	if err != nil {
		t.Fatal(err)
	}
	want := &split{
		train:   []Item{{Path: "a/1.jpg", Label: 0, Class: "a"}, {Path: "b/1.jpg", Label: 1, Class: "b"}},
		test:    []Item{{Path: "a/2.jpg", Label: 0, Class: "a"}},
		classes: []string{"a", "b"},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(split{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Harmless spellings are brought to one; escapes are Python's way of writing non-ASCII.
	s, err = parseSplit("s.json", []byte(`{"test": [], "val": [], "train": [["./a//caf\u00e9.jpg", 0, "caf\u00e9"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.train[0]; got.Path != "a/café.jpg" || got.Class != "café" {
		t.Errorf("read %+v", got)
	}
}

// one wraps a single train item.
func one(item string) string { return `{"train": [` + item + `], "val": [], "test": []}` }

func TestParseSplitRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty file", "", "line 1: the file ends in the middle"},
		{"cut short", "{\n\"train\": [[\"a\", 0", "line 2: the file ends in the middle"},
		{"no object", "[]", "starts with a list, not with an object"},
		{"text", "<!DOCTYPE html>", "line 1: invalid character '<'"},
		{"not UTF-8", one("[\"\xff\", 0, \"a\"]"), "is not UTF-8 text"},
		{"tail", goodSplit + "x", "text follows the end"},
		{"second object", goodSplit + goodSplit, "text follows the end"},
		{"missing key", `{"train": [["a", 0, "a"]], "test": []}`, "val: is missing"},
		{"unknown key", `{"train": [["a", 0, "a"]], "val": [], "test": [], "Test": [{"x": [1]}]}`, `"Test": is not one of`},
		{"twice", `{"train": [["a", 0, "a"]], "val": [], "test": [], "val": [["b"]]}`, `"val": appears twice`},
		{"list is object", `{"train": {"a": [0]}, "val": [], "test": []}`, "train: is an object, not a list"},
		{"list is null", `{"train": null, "val": [], "test": []}`, "train: is null, not a list"},
		{"item is string", one(`"a"`), `train[0]: is the string "a", not [path, label, class name]`},
		{"item is object", one(`{"path": ["a"]}`), "train[0]: is an object"},
		{"two entries", one(`["a", 0]`), "train[0]: has 2 entries"},
		{"four entries", one(`["a", 0, "a", [[1]]]`), "train[0]: has 4 entries"},
		{"path is number", one(`[1, 0, "a"]`), `path is the number "1", not a string`},
		{"path is list", one(`[["a"], 0, "a"]`), "path is a list, not a string"},
		{"empty path", one(`["", 0, "a"]`), "is empty"},
		{"absolute", one(`["/etc/passwd", 0, "a"]`), "is absolute"},
		{"climbing", one(`["a/../../b", 0, "a"]`), "leads out of the image folder"},
		{"folder", one(`["./", 0, "a"]`), "names no file"},
		{"NUL", one(`["a\u0000b", 0, "a"]`), "contains a control character"},
		{"backslash", one(`["a\\b", 0, "a"]`), "contains a backslash"},
		{"half a surrogate", one(`["a\ud800", 0, "a"]`), "contains a broken character"},
		{"long path", one(`["` + strings.Repeat("a", 5000) + `", 0, "a"]`), "is longer than 4096 bytes"},
		{"label is float", one(`["a", 0.0, "a"]`), `label is "0.0", not a whole number`},
		{"label is negative", one(`["a", -1, "a"]`), `label is "-1", not a whole number`},
		{"label is huge", one(`["a", 99999999999, "a"]`), `label is "99999999999"`},
		{"label is string", one(`["a", "0", "a"]`), `label is the string "0"`},
		{"label is true", one(`["a", true, "a"]`), "label is true"},
		{"empty class", one(`["a", 0, " "]`), `class name " " is empty`},
		{"class with newline", one(`["a", 0, "a\nb"]`), "contains a control character"},
		{"class is null", one(`["a", 0, null]`), "class name is null"},
		{"long class", one(`["a", 0, "` + strings.Repeat("a", 2000) + `"]`), "is longer than 1024 bytes"},
		{"gap", one(`["a", 0, "a"], ["b", 2, "b"]`), "no item has label 1"},
		{"enormous gap", one(`["a", 2147483647, "a"]`), "no item has label 0"},
		{"two names", one(`["a", 0, "a"], ["b", 0, "b"]`), `train[1]: label 0 is "b", but train[0] calls it "a"`},
		{"two labels", `{"train": [["a", 0, "a"], ["b", 1, "b"]], "val": [], "test": [["a", 1, "b"]]}`, `test[0]: "a" has label 1, but label 0 in train[0]`},
		{"nothing", `{"train": [], "val": [], "test": []}`, "has no items"},
		{"deep", `{"x": ` + strings.Repeat("[", 100000), "nested more than 32 deep"},
		{"deep item", one(strings.Repeat("[", 100000)), "nested more than 32 deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseSplit("s.json", []byte(c.text))
			if err == nil {
				t.Fatalf("accepted: %+v", s)
			}
			asError(t, err, "s.json: ", c.want)
			if len(err.Error()) > 10000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestParseSplitReportsEverything(t *testing.T) {
	var items []string
	for i := range 50 {
		items = append(items, fmt.Sprintf(`["../%d", 0, "a"]`, i))
	}
	_, err := parseSplit("s.json", []byte(one(strings.Join(items, ","))))
	e := asError(t, err, "50 problems:", "train[0]:", "train[19]:", "… and 30 more")
	if len(e.Problems) != 20 || e.Total != 50 {
		t.Errorf("%d problems spelt out of %d", len(e.Problems), e.Total)
	}
	if strings.Contains(err.Error(), "train[20]:") {
		t.Error("more than 20 problems spelt out")
	}
}

// TestParseSplitGivesUp refuses a large file of nonsense without reading all of it.
func TestParseSplitGivesUp(t *testing.T) {
	text := one(strings.Repeat("0,", 16<<20) + "0")
	_, err := parseSplit("s.json", []byte(text))
	asError(t, err, "1000 problems", "reading stopped at 1000 problems")
	rest := strings.NewReader(text)
	if err := newSplitParser("s.json", rest).file(new(split)); err != errGaveUp {
		t.Errorf("error %v", err)
	}
	// A problem is two bytes here, and the decoder reads ahead by some blocks.
	if n := len(text) - rest.Len(); n > 64<<10 {
		t.Errorf("read %d of %d bytes", n, len(text))
	}
}

func TestParseSplitWarnsOfRepeats(t *testing.T) {
	s, err := parseSplit("s.json", []byte(`{"train": [["a", 0, "a"], ["a", 0, "a"]], "val": [], "test": [["a", 0, "a"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"items that repeat an image of their own split: 1 (a)",
		"images that are in more than one split: 1 (a)",
	}
	if diff := cmp.Diff(want, s.warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestSplitFileTooLarge(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "split_zhou_X.json")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	// A hole in the file: nothing is written, and nothing of it needs to be read.
	if err := f.Truncate(1 << 40); err != nil {
		t.Skip(err)
	}
	f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = OpenFolder(dir, "")
	runtime.ReadMemStats(&after)
	asError(t, err, "limit of 67108864 bytes")
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("took %d bytes of memory to refuse", n)
	}
}

// TestReadItem tries to read what a split file or an archive from a stranger could point at.
func TestReadItem(t *testing.T) {
	outside := t.TempDir()
	writeFile(t, outside, "secret", "s")
	dir := t.TempDir()
	writeFile(t, dir, "root/in.jpg", "in")
	root := filepath.Join(dir, "root")
	writeFile(t, dir, "above.jpg", "above")
	if err := os.Mkdir(filepath.Join(root, "folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	d := &Dataset{Root: root}
	read := func(p string) error {
		_, err := d.ReadItem(Item{Path: p})
		return err
	}
	if err := read("in.jpg"); err != nil {
		t.Error(err)
	}
	asError(t, read("gone.jpg"), filepath.Join(root, "gone.jpg")+": no such file")
	if err := read("gone.jpg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	asError(t, read("folder"), "not a regular file")
	for _, p := range []string{"../above.jpg", "/etc/passwd", "a/../../above.jpg", "", ".", "a//b"} {
		if err := read(p); err == nil {
			t.Errorf("read %q", p)
		}
	}
	link(t, filepath.Join(outside, "secret"), filepath.Join(root, "abs.jpg"))
	link(t, filepath.Join("..", "above.jpg"), filepath.Join(root, "rel.jpg"))
	link(t, outside, filepath.Join(root, "dir"))
	link(t, "in.jpg", filepath.Join(root, "inside.jpg"))
	link(t, "loop.jpg", filepath.Join(root, "loop.jpg"))
	for _, p := range []string{"abs.jpg", "rel.jpg", "dir/secret"} {
		asError(t, read(p), "symbolic link that leads out of the data set")
	}
	if err := read("inside.jpg"); err != nil {
		t.Error(err)
	}
	if err := read("loop.jpg"); err == nil {
		t.Error("read a loop of links")
	}
	if err := os.Truncate(filepath.Join(root, "in.jpg"), MaxImageBytes+1); err != nil {
		t.Fatal(err)
	}
	asError(t, read("in.jpg"), "the limit for an image is 268435456")

	data, err := (&Dataset{}).ReadItem(Item{Data: []byte("x"), Path: "../name"})
	if err != nil || string(data) != "x" {
		t.Errorf("in memory: %q, %v", data, err)
	}
}
