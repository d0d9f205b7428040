package datasets

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/quote"
)

// Open opens a data set by name under a data root laid out as CoOp's DATASETS.md describes, or by
// the path of a folder, as [OpenWith] does without options.
func Open(root, name string) (*Dataset, error) { return OpenWith(root, name, Options{}) }

// Options say how a data set is opened. The zero value takes what the data set says itself.
type Options struct {
	// Templates are the prompts, with {} for the class name, in place of the data set's own.
	Templates []string
	// ClassLevel is how many folders below its part, or below the data set where it has no parts, a class is: 1 or more.
	// 0 means that the folders show it.
	ClassLevel int
	// Division divides a folder that has no parts; the zero value divides it 50/20/30, as CoOp does.
	Division Division
	// ClassNames is a file that says what the classes are called, in place of classes.txt in the data set's folder.
	ClassNames string
	// LabelColumn is the column of labels in a table, in place of the first that is called like one.
	LabelColumn string
}

// OpenWith opens a data set.
//
// A name of the table ([Names], or another usual spelling) opens that data set. Any other name is
// one of the user's own: root/name, or name itself if it is a path (it has a slash in it or is "." or
// ".."). Errors are *Error, or *UnknownError for a name that is neither.
//
// A folder of one's own is read by what its folders are called and where its images lie:
//
//	dir/split_zhou_*.json          CoOp's split format, images in dir/images or in dir itself
//	dir/train/CLASS/…              parts: train, training; val, valid, validation, dev; test, testing; in any case, alone (test/
//	                               is enough to evaluate), in a folder of their own, or with a word before or behind (seg_train)
//	dir/CLASS/train/…              parts within each class
//	dir/CLASS/…                    a folder per class, divided by Options.Division
//	dir/fold1/CLASS/…              folds, one of them for testing by Options.Division
//	dir/labels.csv, dir/images/…   a table of paths and labels (.csv, .tsv, .jsonl), where there are no class folders; train.csv
//	                               and test.csv; metadata.csv in each part; a table's own path may be given too
//	dir/….parquet                  Hugging Face's datasets with images inside; parts by the names of files or folders
//
// A table has columns for the path and the label of an image, and one for its part if it divides them. classes.txt in
// the folder, or Options.ClassNames, gives the classes other names than their folders or labels have.
//
// Folders that are alone are passed through. What was read as what is in Dataset.Notes where it is not plain, and
// what could be read in two ways is refused, with the path or the flag that would do. A class is called like its
// folder, with spaces for underscores, and labels follow the sorted folder names. Images count at any depth below
// their class; what systems and programs leave behind (names that begin with a dot, __MACOSX, @eaDir, …) is passed
// over. If there is no test folder, val is the test set, as in ImageNet, and nothing is left for validation.
func OpenWith(root, name string, o Options) (*Dataset, error) {
	if o.ClassLevel < 0 || o.ClassLevel > maxTreeDepth {
		return nil, fmt.Errorf("class level %d: not a number of folders from 1 to %d", o.ClassLevel, maxTreeDepth)
	}
	if spec := lookup(name); spec != nil {
		return openNamed(root, name, spec, o)
	}
	if isPath(name) {
		return openFolder(name, o)
	}
	dir := filepath.Join(root, name)
	switch {
	case name == "":
		return nil, unknown(root, name)
	case isDir(dir), isDataFile(name) && exists(dir):
		return openFolder(dir, o)
	case strings.ContainsRune(name, '.') && (isDir(name) || isDataFile(name) && exists(name)):
		return openFolder(name, o)
	}
	return nil, unknown(root, name)
}

// openNamed opens a data set of the table.
func openNamed(root, name string, spec *Spec, o Options) (*Dataset, error) {
	switch {
	case o.Division.set():
		return nil, fmt.Errorf("%s has a published division: leave -split out", spec.Title)
	case o.ClassLevel != 0:
		return nil, fmt.Errorf("%s has classes of its own: leave -class-level out", spec.Title)
	case o.ClassNames != "":
		return nil, fmt.Errorf("%s has names of its own: leave -class-names out", spec.Title)
	}
	d, err := openSpec(root, spec)
	if err != nil {
		return nil, notThat(root, name, spec, err)
	}
	if len(o.Templates) > 0 {
		err = d.setTemplates(o.Templates)
	}
	return d, err
}

// notThat says so where a folder is called like a data set of the table and is none.
func notThat(root, name string, spec *Spec, err error) error {
	if _, _, missing := spec.locate(root); missing == nil {
		return err
	}
	dirs := []string{filepath.Join(root, name), name}
	for _, d := range spec.dirs {
		dirs = append(dirs, filepath.Join(root, filepath.FromSlash(d)))
	}
	for _, dir := range dirs {
		if !isDir(dir) {
			continue
		}
		if _, other := openFolder(dir, Options{}); other != nil {
			continue
		}
		path := filepath.ToSlash(dir)
		if !isPath(path) || !filepath.IsAbs(dir) && !strings.HasPrefix(path, ".") {
			path = "./" + path
		}
		return fault(dir, &ownFolderError{err}, "to open it write -dataset "+quote.Plain(path), "is not %s, which %s stands for", spec.Title, quote.Plain(name))
	}
	return err
}

// isPath reports whether a data set's name is a path to a folder.
func isPath(name string) bool {
	return name == "." || name == ".." || strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator)
}

// ownFolderError is why a data set of the table does not open, where a folder of one's own is in its place.
type ownFolderError struct{ error }

func (e *ownFolderError) Unwrap() error { return e.error }

// source is a data set of the table while it is being read.
type source struct {
	spec *Spec
	root string // the data root
	dir  string // the data set's folder
	d    *Dataset
}

func openSpec(root string, spec *Spec) (*Dataset, error) {
	dir, images, err := spec.locate(root)
	if err != nil {
		return nil, err
	}
	s := &source{spec: spec, root: root, dir: dir, d: &Dataset{
		Name: spec.Name, Title: spec.Title, Root: images,
		Template: spec.Template, Templates: spec.Templates,
		home: dir, mounts: spec.mounts,
	}}
	if err := s.readSplit(); err != nil {
		return nil, err
	}
	s.d.finish()
	s.d.compare(spec.Counts)
	return s.d, nil
}

// locate finds the data set's folder and its image folder under root.
func (spec *Spec) locate(root string) (dir, images string, err error) {
	found := ""
	for _, name := range spec.dirs {
		dir := filepath.Join(root, filepath.FromSlash(name))
		if !isDir(dir) {
			continue
		}
		if found == "" {
			found = dir
		}
		if images, ok := spec.imagesIn(dir); ok {
			return dir, images, nil
		}
	}
	need := spec.Needs[0]
	if found != "" {
		return "", "", fault(filepath.Join(found, filepath.FromSlash(need.Path)), fs.ErrNotExist,
			"it comes from: "+need.What, "no such folder")
	}
	fix := fmt.Sprintf("%s is laid out as %s says", spec.Title, coopDocument)
	if _, ok := spec.imagesIn(root); ok {
		fix = fmt.Sprintf("%s looks like the data set itself: the data root is the folder above it, and the folder in there is called %s",
			root, spec.dirs[0])
	}
	return "", "", fault(filepath.Join(root, spec.dirs[0]), fs.ErrNotExist, fix, "no such folder")
}

// imagesIn finds the image folder in a data set's folder.
func (spec *Spec) imagesIn(dir string) (string, bool) {
	for _, name := range spec.images {
		images := filepath.Join(dir, name)
		if len(spec.mounts) == 0 && isDir(images) {
			return images, true
		}
		for _, m := range spec.mounts {
			if isDir(filepath.Join(images, m)) {
				return images, true
			}
		}
	}
	return "", false
}

// readSplit fills in the items and classes, from the split file if there is one.
func (s *source) readSplit() error {
	if s.spec.split == "" {
		return s.spec.read(s)
	}
	file := filepath.Join(s.dir, s.spec.split)
	data, err := readText(file, maxSplitBytes)
	switch {
	case err == nil:
		return s.d.useSplitFile(file, data)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case s.spec.read == nil:
		return fault(file, fs.ErrNotExist, "fetch "+s.spec.split+needsDrive+" and put it there", "no such file")
	}
	if err := s.spec.read(s); err != nil {
		return s.withoutSplit(err)
	}
	s.d.Generated = true
	s.d.warn(fmt.Sprintf("%s is missing, so the split was made here (%s). It is not the published one, and results on it are not comparable with published results. To have that, fetch %s%s.",
		file, s.d.Split, s.spec.split, needsDrive))
	return nil
}

// withoutSplit explains why the fall-back was tried that failed with err.
func (s *source) withoutSplit(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	out := *e
	if out.Fix != "" {
		out.Fix += "; or "
	}
	out.Fix += fmt.Sprintf("fetch %s%s and put it into %s, then this is not needed", s.spec.split, needsDrive, s.dir)
	return &out
}

// useSplitFile takes the items of CoOp's split format.
func (d *Dataset) useSplitFile(file string, data []byte) error {
	s, err := parseSplit(file, data)
	if err != nil {
		return err
	}
	d.Train, d.Val, d.Test, d.Classes = s.train, s.val, s.test, s.classes
	d.Split = filepath.Base(file)
	for _, w := range s.warnings {
		d.warn(d.Split + ": " + w)
	}
	return nil
}

// finish gives class names their final form, every item its class, and warns of what is odd.
func (d *Dataset) finish() {
	for i, c := range d.Classes {
		d.Classes[i] = promptName(c)
	}
	for _, part := range d.splits() {
		for i := range part.items {
			part.items[i].Class = d.Classes[part.items[i].Label]
		}
	}
	if d.Templates == nil {
		d.Templates = []string{d.Template}
	}
	var twins tally
	first := make(map[string]bool, len(d.Classes))
	for _, c := range d.Classes {
		// The tokenizer sees neither case nor how many spaces there are.
		seen := strings.ToLower(strings.Join(strings.Fields(c), " "))
		if first[seen] {
			twins.add(c)
		}
		first[seen] = true
	}
	if twins.total > 0 {
		d.warn("class names that belong to more than one class, which no model can tell apart: " + twins.String())
	}
	for _, part := range []struct {
		what  string
		items []Item
	}{{"training", d.Train}, {"validation", d.Val}, {"test", d.Test}} {
		if w := d.classesWithout(part.what, part.items); w != "" {
			d.warn(w)
		}
	}
	if len(d.Test) == 0 {
		d.warn("there are no test images, so nothing can be evaluated")
	}
	if len(d.Classes) == 1 {
		d.warn(fmt.Sprintf("there is one class, %s: %s", quote.String(d.Classes[0]), oneClass))
	}
}

// classesWithout says which classes have no image of a part that has images; "" where all have one.
func (d *Dataset) classesWithout(what string, items []Item) string {
	has := make([]bool, len(d.Classes))
	for _, it := range items {
		has[it.Label] = true
	}
	var without tally
	for l, c := range d.Classes {
		if !has[l] {
			without.add(c)
		}
	}
	if without.total == 0 || len(items) == 0 {
		return ""
	}
	return "classes without a " + what + " image: " + without.String()
}

// compare warns where sizes differ from the published ones.
func (d *Dataset) compare(want Counts) {
	got := d.Counts()
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"classes", got.Classes, want.Classes},
		{"training images", got.Train, want.Train},
		{"validation images", got.Val, want.Val},
		{"test images", got.Test, want.Test},
	} {
		if c.got != c.want {
			d.warn(fmt.Sprintf("%s has %d %s; the published data set has %d", d.Title, c.got, c.what, c.want))
		}
	}
}

// Counts returns the sizes of d.
func (d *Dataset) Counts() Counts {
	return Counts{len(d.Classes), len(d.Train), len(d.Val), len(d.Test)}
}

// isDataFile reports whether a file is called like one that is a data set.
func isDataFile(name string) bool { return isTable(name) || isParquet(name) }

// exists reports whether there is something at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isDir reports whether path is a folder, or a link to one.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readText reads a whole small file whose name is ours, not a stranger's.
func readText(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, readError(file, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault(file, nil, "", "%v", errNotRegular)
	}
	if info.Size() > limit {
		return nil, fault(file, nil, "", "is larger than the limit of %d bytes", limit)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, readError(file, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, readError(file, err)
	}
	if int64(len(data)) > limit {
		return nil, fault(file, nil, "", "is larger than the limit of %d bytes", limit)
	}
	return data, nil
}
