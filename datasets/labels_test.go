package datasets

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTables reads tables as people and programs write them.
func TestTables(t *testing.T) {
	four := []string{"cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "cat/4.jpg", "dog/1.jpg", "dog/2.jpg", "dog/3.jpg", "dog/4.jpg"}
	// lines renders a row a picture.
	lines := func(header, sep, before string) string {
		var b strings.Builder
		b.WriteString(header)
		for _, f := range four {
			class, _, _ := strings.Cut(f, "/")
			b.WriteString(before + f + sep + class + "\n")
		}
		return b.String()
	}
	divided := "split,image_path,class_name\n"
	for i, f := range four {
		class, _, _ := strings.Cut(f, "/")
		divided += []string{"train", "train", "Validation", "test"}[i%4] + "," + f + "," + class + "\n"
	}
	catDog := []string{"cat", "dog"}
	half := Counts{2, 4, 2, 2}
	for _, c := range []struct {
		name    string
		files   map[string]string
		images  string // the folder of the pictures
		open    string // below the folder
		classes []string
		counts  Counts
		note    string
	}{
		{name: "labels.csv beside images", files: map[string]string{"labels.csv": lines("path,label\n", ",", "")}, images: "images", classes: catDog, counts: half, note: "read from labels.csv"},
		{name: "paths from the data set", files: map[string]string{"labels.csv": lines("path,label\n", ",", "images/")}, images: "images", classes: catDog, counts: half},
		{name: "semicolons", files: map[string]string{"l.csv": lines("Image Path;Label\n", ";", "")}, images: "imgs", classes: catDog, counts: half, note: "begin at"},
		{name: "tabs", files: map[string]string{"l.tsv": lines("file_name\tclass\n", "\t", "")}, images: "all", classes: catDog, counts: half},
		{name: "bars", files: map[string]string{"l.csv": lines("file|category\n", "|", "")}, images: "all", classes: catDog, counts: half},
		{name: "no header", files: map[string]string{"l.csv": lines("", ",", "")}, images: "images", classes: catDog, counts: half},
		{name: "no header, mark and CRLF", files: map[string]string{"l.csv": "\ufeff" + strings.ReplaceAll(lines("", ",", "./"), "\n", "\r\n")}, images: "images", classes: catDog, counts: half},
		{name: "quoted", files: map[string]string{"l.csv": "\"path\",\"label\"\n\"cat/1.jpg\",\"a cat, \"\"big\"\"\"\n\"dog/1.jpg\",dog\ncat/2.jpg,\"a cat, \"\"big\"\"\"\ndog/2.jpg,dog\ndog/3.jpg,dog\ndog/4.jpg,dog\ncat/3.jpg,\"a cat, \"\"big\"\"\"\ncat/4.jpg,\"a cat, \"\"big\"\"\"\n"},
			images: "images", classes: []string{`a cat, "big"`, "dog"}, counts: half},
		{name: "a column of parts", files: map[string]string{"l.csv": divided}, images: "images", classes: catDog, counts: half, note: "l.csv"},
		{name: "names before numbers", files: map[string]string{"l.csv": strings.ReplaceAll(strings.ReplaceAll(lines("path,label_name,label\n", ",", ""), ",cat", ",cat,1"), ",dog", ",dog,0")}, images: "images", classes: catDog, counts: half},
		{name: "JSON lines", files: map[string]string{"l.jsonl": "{\"file_name\": \"cat/1.jpg\", \"label\": \"cat\", \"split\": \"train\", \"more\": [1]}\n\n{\"file_name\": \"dog/1.jpg\", \"label\": \"dog\", \"split\": \"test\"}\n"}, images: "images", classes: catDog, counts: Counts{2, 1, 0, 1}},
		{name: "a file of its own", files: map[string]string{"a/l.csv": lines("path,label\n", ",", "")}, images: "a/images", open: "a/l.csv", classes: catDog, counts: half},
		{name: "wrapped", files: map[string]string{"in/labels.csv": lines("path,label\n", ",", "")}, images: "in/images", classes: catDog, counts: half, note: "labels.csv"},
		{name: "numbers named", files: map[string]string{"labels.csv": strings.ReplaceAll(strings.ReplaceAll(lines("path,label\n", ",", ""), ",cat", ",0"), ",dog", ",1"), "classes.txt": "tabby cat\npoodle\n"}, images: "images", open: "labels.csv", classes: []string{"tabby cat", "poodle"}, counts: half, note: "names of 2 of 2 classes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				writeFile(t, dir, name, text)
			}
			for _, f := range four {
				writeImages(t, dir, c.images+"/"+f)
			}
			open := filepath.Join(dir, c.open)
			if c.open == "" {
				for name := range c.files {
					if isTable(name) && len(c.files) < 2 {
						open = filepath.Join(dir, name)
					}
				}
			}
			d, err := Open("nowhere", open)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.classes, d.Classes); diff != "" {
				t.Errorf("classes (-want +got):\n%s", diff)
			}
			if d.Counts() != c.counts {
				t.Errorf("counts %v, want %v", d.Counts(), c.counts)
			}
			if !strings.Contains(strings.Join(d.Notes, "\n"), c.note) {
				t.Errorf("no note says %q: %q", c.note, d.Notes)
			}
			readAll(t, d)
		})
	}
}

// TestTablesInFolders opens folders, whose images are in no class folders, by their tables.
func TestTablesInFolders(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		images []string
		counts Counts
		class  string // of the first training image
	}{
		{"images and labels.csv", map[string]string{"labels.csv": "id_path,image,label\nx,1.jpg,cat\nx,2.jpg,dog\nx,3.jpg,cat\nx,4.jpg,dog\nx,5.jpg,cat\nx,6.jpg,dog\nx,7.jpg,cat\nx,8.jpg,dog\n"},
			[]string{"images/1.jpg", "images/2.jpg", "images/3.jpg", "images/4.jpg", "images/5.jpg", "images/6.jpg", "images/7.jpg", "images/8.jpg"}, Counts{2, 4, 2, 2}, "cat"},
		{"paths without endings", map[string]string{"train.csv": "id,breed_name,class\n1,x,cat\n2,y,dog\n", "test.csv": "image_id,label\n3,cat\n"}, []string{"train/1.JPG", "train/2.JPG", "train/1.jpg", "train/2.jpg", "train/3.jpg"}, Counts{2, 2, 0, 1}, "cat"},
		{"images with the table", map[string]string{"labels.csv": "image,label,split\n1.jpg,cat,train\n2.jpg,dog,test\n"}, []string{"1.jpg", "2.jpg"}, Counts{2, 1, 0, 1}, "cat"},
		{"metadata.csv in each part", map[string]string{"train/metadata.csv": "file_name,label\n1.jpg,cat\n2.jpg,dog\n", "test/metadata.csv": "file_name,label\n1.jpg,dog\n"},
			[]string{"train/1.jpg", "train/2.jpg", "test/1.jpg"}, Counts{2, 2, 0, 1}, "cat"},
		{"metadata.jsonl in each part", map[string]string{"train/metadata.jsonl": "{\"file_name\": \"1.jpg\", \"label\": \"cat\"}\n{\"file_name\": \"./2.jpg\", \"label\": \"dog\"}\n", "validation/metadata.jsonl": "{\"file_name\": \"1.jpg\", \"label\": \"dog\"}\n"},
			[]string{"train/1.jpg", "train/2.jpg", "validation/1.jpg"}, Counts{2, 2, 0, 1}, "cat"},
		{"tables of parts", map[string]string{"train.csv": "image,label\n1.jpg,cat\n2.jpg,dog\n", "val.csv": "image,label\n3.jpg,cat\n", "test.csv": "image,label\n4.jpg,dog\n"},
			[]string{"images/1.jpg", "images/2.jpg", "images/3.jpg", "images/4.jpg"}, Counts{2, 2, 1, 1}, "cat"},
		{"tables of parts and flat parts", map[string]string{"train.csv": "image,label\ntrain/1.jpg,cat\ntrain/2.jpg,dog\n", "test.csv": "image,label\ntest/4.jpg,dog\n"},
			[]string{"train/1.jpg", "train/2.jpg", "test/4.jpg"}, Counts{2, 2, 0, 1}, "cat"},
		{"a table that does not count", map[string]string{"notes.csv": "a,b\n1,2\n"}, []string{"train/cow/1.jpg", "train/pig/1.jpg", "test/cow/1.jpg", "test/pig/1.jpg"}, Counts{2, 2, 0, 2}, "cow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				writeFile(t, dir, name, text)
			}
			writeImages(t, dir, c.images...)
			d, err := OpenFolder(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			if d.Counts() != c.counts || d.Train[0].Class != c.class {
				t.Errorf("counts %v, want %v; first %+v", d.Counts(), c.counts, d.Train[0])
			}
			readAll(t, d)
			if len(d.Notes) == 0 {
				t.Error("nothing says what was read")
			}
		})
	}
}

func TestTableRefusals(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []string
	}{
		{"unknown columns", "l.csv", "key,breed\n1.jpg,cat\n", []string{`no column of paths, such as filename, path`, `it has "key", "breed"`, "a table of images is"}},
		{"no labels", "l.csv", "path,width\n1.jpg,3\n", []string{"no column of labels", `"width"`}},
		{"two columns of a name", "l.csv", "path,Path,label\n1.jpg,2.jpg,a\n", []string{`2 columns called "Path"`}},
		{"no header and a wrong first line", "l.csv", "1.jpg,cat,5\n2.jpg,dog,6\n", []string{"no column of paths"}},
		{"ragged", "l.csv", "path,label\n1.jpg,a\n2.jpg\n3.jpg,b,c\n", []string{"line 3: has 1 field, not the 2", "line 4: has 3 fields"}},
		{"open quote", "l.csv", "path,label\n1.jpg,\"a\n", []string{"line "}},
		{"bad paths", "l.csv", "path,label\n../1.jpg,a\n/etc/passwd,b\nc\\1.jpg,c\n,d\n", []string{"line 2", "leads out", "line 3", "is absolute", "line 4", "backslash", "line 5", "is empty"}},
		{"no words", "l.csv", "path,label\n1.jpg,_\n", []string{"line 2: label \"_\" is empty"}},
		{"empty label", "l.csv", "path,label\n1.jpg,\n", []string{"line 2: label \"\" is empty"}},
		{"two labels", "l.csv", "path,label\n1.jpg,a\n./1.jpg,b\n", []string{`"1.jpg" is "b" here and "a" on line 2: an image has one label`}},
		{"two parts", "l.csv", "path,label,split\n1.jpg,a,train\n1.jpg,a,test\n", []string{`is in test here and in train on line 2`}},
		{"unknown part", "l.csv", "path,label,split\n1.jpg,a,extra\n", []string{`split "extra" is not one of train, val and test`}},
		{"some without a part", "l.jsonl", "{\"path\":\"1.jpg\",\"label\":\"a\",\"split\":\"train\"}\n{\"path\":\"2.jpg\",\"label\":\"a\"}\n", []string{"1 row says a split and 1 does not"}},
		{"nothing", "l.csv", "", []string{"is empty"}},
		{"a header alone", "l.csv", "path,label\n", []string{"has no rows"}},
		{"UTF-16", "l.csv", "\xff\xfep\x00", []string{"UTF-16"}},
		{"not JSON", "l.jsonl", "{\"path\":\"1.jpg\",\"label\":\"a\"}\n[1]\nnull\n{\n", []string{"line 2: is not a JSON object", "line 3", "line 4"}},
		{"a name twice", "l.jsonl", "{\"path\":\"1.jpg\",\"label\":\"a\",\"label\":\"b\"}\n", []string{"line 1: has \"label\" twice"}},
		{"a path that is a number", "l.jsonl", "{\"path\":1,\"label\":\"a\"}\n", []string{"line 1: path is \"1\", not a text"}},
		{"a label that is a list", "l.jsonl", "{\"path\":\"1.jpg\",\"label\":[\"a\"]}\n{\"path\":\"2.jpg\",\"label\":null}\n{\"path\":\"2.jpg\",\"label\":1.5}\n", []string{"line 1: label is", "line 2: label is", "line 3: label is"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, c.file, c.text)
			_, err := Open("", filepath.Join(dir, c.file))
			asError(t, err, c.want...)
		})
	}
	dir := t.TempDir()
	writeFile(t, dir, "a.csv", "path,label\n1.jpg,a\n")
	writeFile(t, dir, "b.csv", "path,label\n1.jpg,a\n")
	writeImages(t, dir, "images/1.jpg")
	_, err := OpenFolder(dir, "")
	asError(t, err, "has 2 tables", "a.csv b.csv", "give the one that counts")
	_, err = OpenWith("", filepath.Join(dir, "a.csv"), Options{ClassLevel: 1})
	asError(t, err, "leave -class-level out")
}

func TestClassNames(t *testing.T) {
	dir := t.TempDir()
	spread(t, dir, 1, "train,test/n01440764,cat,cat house,b737")
	open := func(text string) (*Dataset, error) {
		writeFile(t, dir, "classes.txt", text)
		return OpenFolder(dir, "")
	}
	d, err := open("\ufeffn01440764\ttench, Tinca tinca\r\ncat: tabby_cat\ncat house cattery\nb737,Boeing 737\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Boeing 737", "tabby cat", "cattery", "tench, Tinca tinca"}, d.Classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	if d.Train[0].Class != "Boeing 737" || !slices.ContainsFunc(d.Notes, func(n string) bool { return strings.Contains(n, "names of 4 of 4 classes") }) {
		t.Errorf("%+v, %q", d.Train[0], d.Notes)
	}
	if d, err = open("1 cat\n2 b737\n"); err != nil || d.Classes[1] != "cat" {
		t.Errorf("%v", err)
	}
	wantWarning(t, d, "does not name the classes 2 (cat house, n01440764)")
	for text, want := range map[string]string{
		"dog poodle\n":          `line 1: "dog poodle" begins with no folder or label`,
		"cat a\ncat b\n":        `line 2: "cat" has a name already, "a"`,
		"":                      "is empty",
		"cat \x1b[31m\n":        "contains a control character",
		"one\ntwo\nthree\nfour": "begins with no folder",
	} {
		_, err := open(text)
		asError(t, err, want, "a line is a folder or label")
	}
	other := filepath.Join(t.TempDir(), "names.csv")
	writeFile(t, filepath.Dir(other), "names.csv", "cat,lion\n")
	if d, err = OpenWith("", dir, Options{ClassNames: other}); err != nil || d.Classes[1] != "lion" {
		t.Errorf("%v", err)
	}
	_, err = OpenWith("", dir, Options{ClassNames: other + "x"})
	asError(t, err, "no such file")

	ids := t.TempDir()
	spread(t, ids, 1, "train,test/n01440764,n01440765")
	if d, err = OpenFolder(ids, ""); err != nil {
		t.Fatal(err)
	}
	wantWarning(t, d, "called by WordNet ids, such as n01440764, which say nothing to CLIP", "classes.txt")
	digits := t.TempDir()
	spread(t, digits, 1, "train,test/0,1,2,10")
	if d, err = OpenFolder(digits, ""); err != nil {
		t.Fatal(err)
	}
	wantWarning(t, d, "called by numbers")
}

func FuzzTable(f *testing.F) {
	f.Add("l.csv", []byte("path,label,split\ncat/1.jpg,cat,train\n\"a,b.jpg\",\"c\"\"d\",test\n"))
	f.Add("l.csv", []byte("\ufeff1.jpg;cat\r\n2.jpg;dog\r\n"))
	f.Add("l.tsv", []byte("file_name\tclass\tlabel\n1.png\ta\t0\n"))
	f.Add("l.jsonl", []byte("{\"file_name\": \"1.jpg\", \"label\": 3}\n{\"path\": \"2.jpg\", \"class_name\": \"x\", \"set\": \"dev\"}\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		rows, err := parseRows(name, data, "")
		checkProblems(t, err)
		if err != nil {
			return
		}
		for _, r := range rows {
			if clean, problem := cleanPath(r.path); problem != "" || clean != r.path || checkClass(r.class) != "" {
				t.Fatalf("row %+v got through", r)
			}
			switch r.part {
			case "", partTrain, partVal, partTest:
			default:
				t.Fatalf("part %q got through", r.part)
			}
		}
		d := &Dataset{}
		n := len(rows)
		err = d.useRows(name, rows, nil, Division{})
		checkProblems(t, err)
		if err == nil {
			d.finish()
			if c := d.Counts(); c.Train+c.Val+c.Test > n {
				t.Fatalf("%d rows make %+v", n, c)
			}
			for _, part := range d.splits() {
				checkItems(t, part.items, len(d.Classes))
			}
		}
	})
}

func FuzzClassesFile(f *testing.F) {
	f.Add([]byte("cat\ttabby\ndog: poodle\n1 cat house\n"), "cat\ndog\ncat house")
	f.Add([]byte("zero\none\n"), "0\n1")
	f.Fuzz(func(t *testing.T, data []byte, classes string) {
		list := strings.Split(classes, "\n")
		names, err := parseClasses("classes.txt", data, list)
		checkProblems(t, err)
		for key, name := range names {
			if err == nil && (!slices.Contains(list, key) || checkClass(name) != "") {
				t.Fatalf("%q is called %q", key, name)
			}
		}
	})
}

// FuzzRecognize finds a layout of any tree of folders or refuses it with one message.
func FuzzRecognize(f *testing.F) {
	f.Add("train/cat/1.jpg\ntest/cat/1.jpg\nfold1/x/2.jpg", 0)
	f.Add("seg_train/seg_train/a/1.jpg\nseg_test/seg_test/a/1.jpg\nlabels.csv", 1)
	f.Add("images/1.jpg\nlabels.csv\ncat/train/2.jpg\na/b/c/d/1.png\na/b/c/e/1.png", 2)
	f.Fuzz(func(t *testing.T, names string, level int) {
		root := &tree{name: ".", path: ""}
		for n := range strings.SplitSeq(names, "\n") {
			if clean, problem := cleanPath(n); problem == "" && len(clean) < 256 { // as long as a file system lets names be
				root.put(clean)
			}
		}
		l, err := recognize("dir", root, min(max(level, 0), 4))
		checkProblems(t, err)
		if err != nil {
			return
		}
		d := &Dataset{Root: "dir"}
		p := problems{file: "dir"}
		for _, part := range append([]*tree{l.train, l.val, l.test, l.all}, l.folds...) {
			if part == nil || l.inTables {
				continue
			}
			if l.level < 1 {
				t.Fatalf("level %d", l.level)
			}
			n := 0
			for _, c := range d.classes(part, l.level, false, &p) {
				if n += len(c.images); level == 0 && c.folder.count > 0 && partOf(c.folder.name) != "" && !c.folder.flat() {
					t.Fatalf("%s is a class", c.folder.path)
				}
			}
			if n > root.count {
				t.Fatalf("%d images of %d", n, root.count)
			}
		}
		checkProblems(t, p.err(""))
	})
}

// put adds a file to a tree, as walk would find it.
func (t *tree) put(name string) {
	first, rest, deeper := strings.Cut(name, "/")
	switch {
	case isJunk(first), slices.Contains(t.images, first), slices.Contains(t.others, first):
	case !deeper && t.at(first) != nil:
	case !deeper && isImageName(first):
		t.images = append(t.images, first)
		t.count++
	case !deeper:
		t.others = append(t.others, first)
	default:
		c := t.at(first)
		if c == nil {
			c = &tree{name: first, path: strings.TrimPrefix(t.path+"/"+first, "/")}
			t.dirs = append(t.dirs, c)
		}
		t.count -= c.count
		c.put(rest)
		t.count += c.count
	}
}

// at finds a folder below t by its names.
func (t *tree) at(names ...string) *tree {
	for _, name := range names {
		i := slices.IndexFunc(t.dirs, func(c *tree) bool { return c.name == name })
		if i < 0 {
			return nil
		}
		t = t.dirs[i]
	}
	return t
}
