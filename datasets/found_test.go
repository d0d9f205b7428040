package datasets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readAll reads every image of a data set.
func readAll(t *testing.T, d *Dataset) {
	t.Helper()
	for _, part := range d.splits() {
		for _, it := range part.items {
			if data, err := d.ReadItem(it); err != nil || !strings.HasPrefix(string(data), jpegHead) {
				t.Errorf("%s: %v, %q", it.Path, err, data)
			}
		}
	}
}

// TestLinksInside follows links that stay inside the data set, wherever they begin, and none that leads out.
func TestLinksInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	classImages(t, filepath.Join(dir, "pool"), 2, "cat", "dog")
	classImages(t, outside, 2, "cow")
	for _, part := range []string{"train", "test"} {
		for _, class := range []string{"cat", "dog"} {
			if err := os.MkdirAll(filepath.Join(dir, part, class), 0o777); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"00.jpg", "01.jpg"} {
				link(t, filepath.Join("..", "..", "pool", class, name), filepath.Join(dir, part, class, name))
			}
		}
	}
	link(t, filepath.Join("..", "pool", "dog"), filepath.Join(dir, "train", "hound")) // a class
	link(t, filepath.Join("..", "..", "pool", "dog"), filepath.Join(dir, "train", "cat", "more"))
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Counts{3, 8, 0, 4}, d.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	readAll(t, d)
	r, err := Check(t.Context(), "", dir, CheckOptions{})
	if err != nil || r.Unreadable.Total != 0 || r.Missing.Total != 0 {
		t.Errorf("%v, %+v", err, r)
	}

	link(t, filepath.Join(outside, "cow", "00.jpg"), filepath.Join(dir, "test", "cat", "out.jpg"))
	link(t, filepath.Join("..", "..", "..", filepath.Base(outside), "cow"), filepath.Join(dir, "train", "dog", "out"))
	link(t, "..", filepath.Join(dir, "train", "dog", "up"))
	link(t, "nowhere", filepath.Join(dir, "train", "dog", "gone"))
	if d, err = OpenFolder(dir, ""); err != nil {
		t.Fatal(err)
	}
	wantWarning(t, d, "train/dog/out is a symbolic link that leads out of the data set, not used")
	wantWarning(t, d, "train/dog/up is a symbolic link to a folder that it is in, not used")
	wantWarning(t, d, "train/dog/gone is a symbolic link that leads nowhere, not used")
	_, err = d.ReadItem(d.Test[2])
	asError(t, err, "out.jpg: is a symbolic link that leads out of the data set")
}

// TestLinkedParts opens a folder of one's own whose parts lie on another disk.
func TestLinkedParts(t *testing.T) {
	dir, disk := filepath.Join(t.TempDir(), "mine"), t.TempDir()
	spread(t, disk, 2, "a,b/cat,dog")
	if err := os.MkdirAll(filepath.Join(dir, "in"), 0o777); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join(disk, "a"), filepath.Join(dir, "in", "Train"))
	link(t, filepath.Join(disk, "b"), filepath.Join(dir, "in", "valid"))
	link(t, filepath.Join(disk, "a", "cat", "00.jpg"), filepath.Join(disk, "b", "cat", "out.jpg"))
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.Counts() != (Counts{2, 4, 0, 5}) {
		t.Errorf("counts %v", d.Counts())
	}
	_, err = d.ReadItem(d.Test[2])
	asError(t, err, "out.jpg: is a symbolic link that leads out of the data set")
	d.Test = append(d.Test[:2], d.Test[3:]...)
	readAll(t, d)
}

// TestSplitPaths finds images where a split file may mean them to be.
func TestSplitPaths(t *testing.T) {
	items := func(prefix, suffix string) []Item {
		return []Item{{Path: prefix + "cat/1" + suffix + ".jpg", Label: 0, Class: "cat"}, {Path: prefix + "caf\u00e9/2" + suffix + ".jpg", Label: 1, Class: "caf\u00e9"}}
	}
	for _, c := range []struct{ name, in, where, split string }{
		{"in images", "", "images/", ""},
		{"beside the file", "", "", ""},
		{"from the data set", "images/", "images/", ""},
		{"from above the data set", "mine/images/", "images/", ""},
		{"from above, in images", "mine/", "images/", ""},
		{"from above, beside the file", "mine/", "", ""},
		{"with a dot", "./", "images/", ""},
		{"doubled images", "", "images/images/", ""},
		{"in one folder", "", "in/images/", "in/"},
		{"from a folder of the data set", "images/", "in/images/", "in/"},
		{"byte order mark", "", "images/", "\ufeff"},
	} {
		for what, spell := range map[string]func(string) string{
			"as written":                func(s string) string { return s },
			"accents in two characters": func(s string) string { return strings.ReplaceAll(s, "\u00e9", "e\u0301") },
		} {
			dir := filepath.Join(t.TempDir(), "mine")
			train, test := items(c.in, "a"), items(c.in, "b")
			text := splitJSON(t, train, nil, test)
			folder := c.split
			if folder == "\ufeff" {
				folder, text = "", c.split+text
			}
			writeFile(t, dir, folder+"split_zhou_Mine.json", text)
			for _, it := range append(items("", "a"), items("", "b")...) {
				writeImages(t, dir, c.where+spell(it.Path))
			}
			d, err := OpenFolder(dir, "")
			if err != nil {
				t.Errorf("%s, %s: %v", c.name, what, err)
				continue
			}
			if d.Counts() != (Counts{2, 2, 0, 2}) {
				t.Errorf("%s, %s: counts %v", c.name, what, d.Counts())
			}
			readAll(t, d)
			if err := d.Verify(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", c.name, what, err)
			}
		}
	}
	dir := t.TempDir()
	writeFile(t, dir, "split_zhou_Mine.json", splitJSON(t, items("", "a"), nil, items("", "b")))
	writeImages(t, dir, "images/x.jpg")
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.ReadItem(d.Train[0])
	asError(t, err, filepath.Join(dir, "images", "cat", "1a.jpg")+": no such file", "it is not in "+dir+" either")
}

// TestDoubledFolders opens archives that were unpacked into a folder of their own name.
func TestDoubledFolders(t *testing.T) {
	for _, c := range []struct{ name, dir, from, to string }{
		{"stanford_cars", "stanford_cars", "cars_train", "cars_train/cars_train"},
		{"eurosat", "eurosat", "2750", "2750/2750"},
		{"dtd", "dtd", "images", "images/images"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for _, l := range layouts {
				if l.label == c.name+"/json" {
					l.build(t, root)
				}
			}
			base := filepath.Join(root, c.dir)
			if err := os.Rename(filepath.Join(base, c.from), filepath.Join(base, "aside")); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(base, c.to)), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(base, "aside"), filepath.Join(base, c.to)); err != nil {
				t.Fatal(err)
			}
			d, err := Open(root, c.name)
			if err != nil {
				t.Fatal(err)
			}
			readAll(t, d)
		})
	}
	root := t.TempDir()
	classImages(t, filepath.Join(root, "eurosat/2750/2750"), 4, "AnnualCrop", "Forest")
	d, err := Open(root, "eurosat")
	if err != nil || len(d.Classes) != 2 {
		t.Fatalf("%v, %+v", err, d)
	}
	readAll(t, d)
}

// TestOwnFolderNamedLikeAnother says what is in the way, and how it is opened.
func TestOwnFolderNamedLikeAnother(t *testing.T) {
	for name, title := range map[string]string{"pets": "OxfordPets", "sun": "SUN397", "cars": "StanfordCars", "food": "Food101", "flowers": "OxfordFlowers", "ucf": "UCF101", "aircraft": "FGVCAircraft", "dtd": "DescribableTextures"} {
		root := t.TempDir()
		spread(t, root, 1, name+"/train,test/a,b")
		_, err := Open(root, name)
		dir := filepath.Join(root, name)
		asError(t, err, dir+": is not "+title, "to open it write -dataset "+dir)
		if d, err := Open(root, dir); err != nil || len(d.Train) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A relative root, as in the default -data data.
	dir := t.TempDir()
	t.Chdir(dir)
	spread(t, dir, 1, "data/pets/train,test/a,b")
	_, err := Open("data", "pets")
	asError(t, err, "data/pets: is not OxfordPets", "write -dataset ./data/pets")
	if _, err := Open("data", "./data/pets"); err != nil {
		t.Error(err)
	}
}

func TestNearestName(t *testing.T) {
	root := t.TempDir()
	classImages(t, root, 4, "my_flowers", ".hidden")
	for name, want := range map[string]string{"eurosta": "eurosat", "oxford_pet": "oxford_pets", "caltech10": "caltech101", "my_flower": "my_flowers", "Fod101": "food101", "zzzz": "", "hidden": ""} {
		_, err := Open(root, name)
		said := ""
		if err != nil {
			_, said, _ = strings.Cut(err.Error(), "Did you mean ")
		}
		if err == nil || strings.TrimSuffix(said, "?") != want {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
}

// TestListsAsEditorsWriteThem reads lists with byte order marks, tabs and line ends of other systems.
func TestListsAsEditorsWriteThem(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "imagenet/classnames.txt", "\ufeff"+wordnetID(0)+"\tname 0\r\n"+wordnetID(1)+" name\t1\r\n")
	classImages(t, filepath.Join(root, "imagenet/val"), 1, wordnetID(0), wordnetID(1))
	d, err := Open(root, "imagenet")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"name 0", "name 1"}, d.Classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	dir := t.TempDir()
	spread(t, dir, 1, "train,test/a,b")
	writeFile(t, dir, "template.txt", "\ufeffa drawing of a {}.\r\n")
	if d, err = OpenFolder(dir, ""); err != nil || d.Template != "a drawing of a {}." {
		t.Errorf("%v, template %q", err, d.Template)
	}
	writeFile(t, dir, "template.txt", "\xff\xfea\x00")
	_, err = OpenFolder(dir, "")
	asError(t, err, "UTF-16 text: save it as UTF-8")
	_, err = parseSplit("s.json", []byte("\xff\xfe{\x00}\x00"))
	asError(t, err, "UTF-16 text: save it as UTF-8")
}

// TestWhatCannotBeMeasured refuses accuracies of nothing and of one class.
func TestWhatCannotBeMeasured(t *testing.T) {
	open := func(folders ...string) *Dataset {
		t.Helper()
		dir := t.TempDir()
		spread(t, dir, 2, folders...)
		d, err := OpenFolder(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open("train,test/a,b")
	if err := d.CanTrain(); err != nil {
		t.Error(err)
	}
	if err := d.CanTest(); err != nil {
		t.Error(err)
	}
	d = open("test/a,b")
	asError(t, d.CanTrain(), "has no training images", "folder test/, all for testing")
	if err := d.CanTest(); err != nil {
		t.Error(err)
	}
	d = open("train,test/a")
	wantWarning(t, d, `there is one class, "a"`, "every model is right")
	asError(t, d.CanTrain(), `has one class, "a"`, "the folder above")
	d = open("train/a,b,c", "test/c,b")
	wantWarning(t, d, "classes without a test image: 1 (a)")
	half, err := d.Subset("new")
	if err != nil {
		t.Fatal(err)
	}
	wantWarning(t, half, "of 3 classes one is new", "every model is right")
	asError(t, half.CanTrain(), "has one class")
	d = open("train/a,b,c", "test/c")
	if half, err = d.Subset("base"); err != nil {
		t.Fatal(err)
	}
	asError(t, half.CanTest(), "has no test images of its base classes", "an accuracy would be of nothing")

	dir := t.TempDir()
	writeFile(t, dir, "split_zhou_X.json", `{"train": [["a", 0, "a"], ["b", 1, "b"]], "val": [], "test": []}`)
	if d, err = OpenFolder(dir, ""); err != nil {
		t.Fatal(err)
	}
	wantWarning(t, d, "no test images, so nothing can be evaluated")
	asError(t, d.CanTest(), "has no test images")
}
