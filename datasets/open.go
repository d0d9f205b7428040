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
// the path of a folder.
//
// A name of the table ([Names], or another usual spelling) opens that data set. Any other name is
// one of the user's own: root/name, or name itself if it is a path (it has a slash in it or is "." or
// ".."), is opened as [OpenFolder] does. Errors are *Error, or *UnknownError for a name that is
// neither.
func Open(root, name string) (*Dataset, error) {
	if spec := lookup(name); spec != nil {
		return openSpec(root, spec)
	}
	if isPath(name) {
		return OpenFolder(name, "")
	}
	dir := filepath.Join(root, name)
	if name == "" || !isDir(dir) {
		return nil, &UnknownError{Root: root, Name: name}
	}
	return OpenFolder(dir, "")
}

// isPath reports whether a data set's name is a path to a folder.
func isPath(name string) bool {
	return name == "." || name == ".." || strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator)
}

// An UnknownError is returned for a data set that is neither in the table nor a folder.
type UnknownError struct {
	Root, Name string
}

// Error lists the names that would be known.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("unknown data set %s: not a folder in %s (a path needs a slash, as in ./%s) and not one of %s",
		quote.String(e.Name), e.Root, e.Name, strings.Join(Names(), ", "))
}

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
		mounts: spec.mounts,
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
		if first[c] {
			twins.add(c)
		}
		first[c] = true
	}
	if twins.total > 0 {
		d.warn("class names that belong to more than one class, which no model can tell apart: " + twins.String())
	}
	if len(d.Train) > 0 {
		trained := make([]bool, len(d.Classes))
		for _, it := range d.Train {
			trained[it.Label] = true
		}
		var untrained tally
		for l, c := range d.Classes {
			if !trained[l] {
				untrained.add(c)
			}
		}
		if untrained.total > 0 {
			d.warn("classes without a training image: " + untrained.String())
		}
	}
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
