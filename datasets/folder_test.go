package datasets

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpenFolderDivided(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my pets")
	classImages(t, filepath.Join(dir, "train"), 2, "tabby_cat", "Dog")
	writeImages(t, dir, "train/Dog/deeper/x.JPEG", "train/.cache/1.jpg", "train/loose.png", "train/Dog/.hidden.jpg")
	writeFile(t, dir, "train/Dog/notes.txt", "")
	writeFile(t, dir, "train/README", "")
	classImages(t, filepath.Join(dir, "val"), 1, "Dog")
	classImages(t, filepath.Join(dir, "test"), 1, "tabby_cat", "Dog")
	d, err := Open("nowhere", dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "my pets" || d.Generated || d.Template != "a photo of a {}." {
		t.Errorf("opened %+v", d)
	}
	if diff := cmp.Diff([]string{"Dog", "tabby cat"}, d.Classes); diff != "" {
		t.Errorf("classes:\n%s", diff)
	}
	if diff := cmp.Diff([][]string{
		{"train/Dog/00.jpg", "train/Dog/01.jpg", "train/Dog/deeper/x.JPEG", "train/tabby_cat/00.jpg", "train/tabby_cat/01.jpg"},
		{"val/Dog/00.jpg"},
		{"test/Dog/00.jpg", "test/tabby_cat/00.jpg"},
	}, [][]string{paths(d.Train), paths(d.Val), paths(d.Test)}); diff != "" {
		t.Errorf("items:\n%s", diff)
	}
	wantWarning(t, d, "outside of any class folder", "loose.png")
	wantWarning(t, d, "not named like an image", "Dog/notes.txt")
	wantWarning(t, d, "classes without a validation image", "tabby cat")
	if _, err := d.ReadItem(d.Test[0]); err != nil {
		t.Error(err)
	}
}

func TestOpenFolderUndivided(t *testing.T) {
	root := t.TempDir()
	classImages(t, filepath.Join(root, "mine"), 10, "a", "b")
	d, err := Open(root, "mine")
	if err != nil {
		t.Fatal(err)
	}
	if !d.Generated || d.Counts() != (Counts{2, 10, 4, 6}) {
		t.Errorf("opened %+v", d)
	}
	again, err := OpenFolder(filepath.Join(root, "mine"), "an old photo of a {}.")
	if err != nil {
		t.Fatal(err)
	}
	if again.SplitHash() != d.SplitHash() {
		t.Error("two openings differ")
	}
	if diff := cmp.Diff([]string{"an old photo of a {}."}, again.Templates); diff != "" {
		t.Errorf("templates:\n%s", diff)
	}
}

func TestOpenFolderValIsTest(t *testing.T) {
	dir := t.TempDir()
	classImages(t, filepath.Join(dir, "train"), 1, "a")
	classImages(t, filepath.Join(dir, "val"), 2, "a")
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.Counts() != (Counts{1, 1, 0, 2}) {
		t.Errorf("counts %v", d.Counts())
	}
	wantWarning(t, d, "val/ is the test set")
}

func TestOpenFolderTemplates(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "split_zhou_Mine.json", goodSplit)
	writeFile(t, dir, "template.txt", "a drawing of a {}.\n\n")
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.Title != "Mine" || d.Template != "a drawing of a {}." || len(d.Templates) != 1 {
		t.Errorf("opened %+v", d)
	}
	writeFile(t, dir, "template.txt", "a drawing of a {}.\r\none {}\r\ntwo {}\r\n")
	if d, err = OpenFolder(dir, ""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one {}", "two {}"}, d.Templates); diff != "" {
		t.Errorf("templates:\n%s", diff)
	}
	writeFile(t, dir, "template.txt", "{}\nno place\n{} and {}\n")
	_, err = OpenFolder(dir, "")
	asError(t, err, `line 2: "no place" has no {}`, "line 3", "2 times")
	if _, err = OpenFolder(dir, "no place"); err == nil {
		t.Error("took a template without {}")
	}
	writeFile(t, dir, "template.txt", "\n")
	_, err = OpenFolder(dir, "")
	asError(t, err, "is empty")

	other, err := d.WithTemplates("x {}", "y {}")
	if err != nil {
		t.Fatal(err)
	}
	if other.Template != "x {}" || len(other.Templates) != 2 || d.Template != "a drawing of a {}." {
		t.Errorf("templates %q and %q", other.Templates, d.Template)
	}
	if _, err := d.WithTemplates("x"); err == nil {
		t.Error("took a template without {}")
	}
	if _, err := d.WithTemplates(); err == nil {
		t.Error("took no template")
	}
}

func TestOpenFolderErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(dir string)
		want  []string
	}{
		{"empty", func(dir string) {}, []string{"has no class folders"}},
		{"loose images", func(dir string) { writeImages(t, dir, "1.jpg", "2.png") }, []string{"has 2 images but no class folders", "one folder per class"}},
		{"two splits", func(dir string) {
			writeFile(t, dir, "split_zhou_A.json", goodSplit)
			writeFile(t, dir, "split_zhou_B.json", goodSplit)
		}, []string{"2 split files"}},
		{"train alone", func(dir string) { writeImages(t, dir, "train/a/1.jpg") }, []string{"neither test/ nor val/"}},
		{"other classes", func(dir string) {
			writeImages(t, dir, "train/a/1.jpg", "test/b/1.jpg", "val/c/1.jpg")
		}, []string{"test/b: there is no such class", "val/c: there is no such class"}},
		{"empty class", func(dir string) {
			writeImages(t, dir, "train/a/1.jpg", "test/a/1.jpg")
			writeFile(t, dir, "train/b/x.txt", "")
		}, []string{"train/b: has no images"}},
		{"few images", func(dir string) { classImages(t, dir, 3, "a", "b") }, []string{`"a": has 3 images, too few`, `"b"`, "at least 4"}},
		{"bad names", func(dir string) {
			classImages(t, dir, 4, "a\nb", "c")
			writeImages(t, dir, "c/x\ty.jpg")
		}, []string{`"a\nb" contains a control character`, `"c/x\ty.jpg" contains a control character`}},
		{"broken split", func(dir string) { writeFile(t, dir, "split_zhou_A.json", "{") }, []string{"split_zhou_A.json: line 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.build(dir)
			_, err := OpenFolder(dir, "")
			asError(t, err, c.want...)
		})
	}
	_, err := OpenFolder(filepath.Join(t.TempDir(), "gone"), "")
	asError(t, err, "no such file or folder")
	dir := t.TempDir()
	writeFile(t, dir, "file", "")
	_, err = OpenFolder(filepath.Join(dir, "file"), "")
	asError(t, err, "is not a folder")
}

// TestLinkedClass refuses a class folder that leads out of the data set, by name.
func TestLinkedClass(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	classImages(t, dir, 4, "a")
	classImages(t, outside, 4, "b")
	link(t, filepath.Join(outside, "b"), filepath.Join(dir, "b"))
	_, err := OpenFolder(dir, "")
	asError(t, err, `"b": is a symbolic link that leads out`)
}
