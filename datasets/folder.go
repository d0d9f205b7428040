package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// defaultTemplate is the prompt for people's own images.
const defaultTemplate = photo

// maxTemplateBytes bounds template.txt.
const maxTemplateBytes = 1 << 20

// OpenFolder opens a folder of the user's own images. It has one of three layouts, tried in this
// order:
//
//	dir/split_zhou_*.json            CoOp's split format, images in dir/images or in dir itself
//	dir/{train,val,test}/CLASS/…     an ImageFolder with its own division; val is optional
//	dir/CLASS/…                      an ImageFolder, divided 50/20/30 within each class as CoOp would
//
// A class is called like its folder, with spaces for underscores, and labels follow the sorted folder
// names. Images are files ending in .jpg, .jpeg, .png, .gif or .webp, at any depth below the class;
// what begins with a dot is passed over. If there is no test folder, val is the test set, as in
// ImageNet, and nothing is left for validation.
//
// template is the prompt, with {} for the class name. If it is empty, it is the first line of
// dir/template.txt, whose further lines are the prompt ensemble; without that file it is
// "a photo of a {}.".
func OpenFolder(dir, template string) (*Dataset, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, readError(dir, err)
	} else if !info.IsDir() {
		return nil, fault(dir, nil, "a data set is a folder of images", "is not a folder")
	}
	name := filepath.Base(dir)
	if abs, err := filepath.Abs(dir); err == nil {
		name = filepath.Base(abs) // for "." and ".."
	}
	d := &Dataset{Name: name, Title: name, Root: dir}
	if err := d.useTemplate(dir, template); err != nil {
		return nil, err
	}
	splitFiles, err := filepath.Glob(filepath.Join(escapeGlob(dir), splitPrefix+"*.json"))
	if err != nil {
		return nil, err
	}
	switch {
	case len(splitFiles) > 1:
		return nil, fault(dir, nil, "keep the one that counts", "has %d split files: %s", len(splitFiles), quote.String(strings.Join(splitFiles, " ")))
	case len(splitFiles) == 1:
		err = d.readCustomSplit(dir, splitFiles[0])
	case isDir(filepath.Join(dir, "train")):
		err = d.readDivided()
	default:
		err = d.readUndivided()
	}
	if err != nil {
		return nil, err
	}
	d.finish()
	return d, nil
}

const splitPrefix = "split_zhou_"

// escapeGlob makes filepath.Glob take a folder's name literally.
func escapeGlob(dir string) string {
	if filepath.Separator == '\\' {
		return dir // Windows has no escapes, and file names have no stars
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// useTemplate sets the prompts from the argument, from dir/template.txt, or to the default.
func (d *Dataset) useTemplate(dir, template string) error {
	if template != "" {
		if problem := checkTemplate(template); problem != "" {
			return fmt.Errorf("template %s %s", quote.String(template), problem)
		}
		d.Template = template
		return nil
	}
	file := filepath.Join(dir, "template.txt")
	data, err := readText(file, maxTemplateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		d.Template = defaultTemplate
		return nil
	}
	if err != nil {
		return err
	}
	p := problems{file: file}
	for i, l := range textLines(&p, data) {
		if problem := checkTemplate(l.text); problem != "" {
			p.add("line %d: %s %s", l.number, quote.String(l.text), problem)
		}
		if i == 0 {
			d.Template = l.text
		} else {
			d.Templates = append(d.Templates, l.text)
		}
	}
	if d.Template == "" {
		p.add("is empty")
	}
	return p.err("a template is a line such as: " + defaultTemplate)
}

// readCustomSplit reads a data set that has CoOp's split file but no row in the table.
func (d *Dataset) readCustomSplit(dir, file string) error {
	d.Title = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), splitPrefix), ".json")
	if images := filepath.Join(dir, "images"); isDir(images) {
		d.Root = images
	}
	data, err := readText(file, maxSplitBytes)
	if err != nil {
		return err
	}
	return d.useSplitFile(file, data)
}

// readDivided reads train/, val/ and test/.
func (d *Dataset) readDivided() error {
	d.mounts = []string{"train", "val", "test"}
	train, err := d.scan("train")
	if err != nil {
		return err
	}
	p := problems{file: d.Root}
	label := make(map[string]int, len(train))
	for i, c := range train {
		label[c.name] = i
		d.Classes = append(d.Classes, c.name)
		d.Train = appendItems(d.Train, i, c.images)
		if len(c.images) == 0 {
			p.add("train/%s: has no images", quote.Plain(c.name))
		}
	}
	part := func(sub string) (items []Item, ok bool, err error) {
		if !isDir(filepath.Join(d.Root, sub)) {
			return nil, false, nil
		}
		classes, err := d.scan(sub)
		if err != nil {
			return nil, false, err
		}
		for _, c := range classes {
			l, known := label[c.name]
			if !known {
				p.add("%s/%s: there is no such class in train/", sub, quote.Plain(c.name))
				continue
			}
			items = appendItems(items, l, c.images)
		}
		return items, true, nil
	}
	val, hasVal, err := part("val")
	if err != nil {
		return err
	}
	test, hasTest, err := part("test")
	if err != nil {
		return err
	}
	d.Split = "folders"
	switch {
	case hasTest:
		d.Val, d.Test = val, test
	case hasVal:
		d.Test = val
		d.warn("there is no test/ folder, so val/ is the test set and nothing is left for validation")
	default:
		p.add("has train/ but neither test/ nor val/")
	}
	return p.err("")
}

// readUndivided reads a folder per class and divides each.
func (d *Dataset) readUndivided() error {
	classes, err := d.scan("")
	if err != nil {
		return err
	}
	s, err := divideFolders(d.Root, classes)
	if err != nil {
		return err
	}
	for _, c := range classes {
		d.Classes = append(d.Classes, c.name)
	}
	d.Train, d.Val, d.Test = s.train, s.val, s.test
	d.Split = generatedFolders
	d.Generated = true
	return nil
}

const generatedFolders = "made here: files sorted by name, Python's shuffle with seed 1, 50/20/30 in each class"

// readFolders is the fall-back of data sets whose split file is missing and whose images lie in a
// folder per class.
func readFolders(s *source) error {
	classes, err := s.d.scan("")
	if err != nil {
		return err
	}
	classes = slices.DeleteFunc(classes, func(c folder) bool { return slices.Contains(s.spec.ignore, c.name) })
	parts, err := divideFolders(s.d.Root, classes)
	if err != nil {
		return err
	}
	for _, c := range classes {
		name := c.name
		if n, ok := s.spec.rename[name]; ok {
			name = n
		}
		s.d.Classes = append(s.d.Classes, name)
	}
	s.d.Train, s.d.Val, s.d.Test = parts.train, parts.val, parts.test
	s.d.Split = generatedFolders
	return nil
}

// folder is a class folder: its name, and its images' paths relative to the data set's Root, sorted.
type folder struct {
	name   string
	images []string
}

// scan lists the class folders in a folder of the data set, "" for Root itself, sorted by name.
func (d *Dataset) scan(sub string) ([]folder, error) {
	dir := filepath.Join(d.Root, sub)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, readError(dir, err)
	}
	defer root.Close()
	fsys := root.FS()
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, readError(dir, err)
	}
	p := problems{file: dir}
	var classes []folder
	var loose, other tally
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if info, err := fs.Stat(fsys, name); err != nil {
			p.add("%s: %s", quote.String(name), strings.Join(readError(name, err).Problems, ""))
			continue
		} else if !info.IsDir() {
			if isImageName(name) {
				loose.add(name)
			}
			continue
		}
		if problem := checkClass(name); problem != "" {
			p.add("folder name %s %s", quote.String(name), problem)
			continue
		}
		images, err := listImages(fsys, name, &other)
		if err != nil {
			return nil, readError(filepath.Join(dir, name), err)
		}
		for i, image := range images {
			full := path.Join(sub, image)
			if clean, problem := cleanPath(full); problem != "" || clean != full {
				p.add("file name %s %s", quote.String(full), problem)
			}
			images[i] = full
		}
		classes = append(classes, folder{name, images})
	}
	if len(classes) == 0 && p.total == 0 {
		if loose.total > 0 {
			p.add("has %d images but no class folders", loose.total)
		} else {
			p.add("has no class folders")
		}
	}
	if err := p.err("images belong into one folder per class"); err != nil {
		return nil, err
	}
	if loose.total > 0 {
		d.warn(fmt.Sprintf("%s: images outside of any class folder, not used: %s", dir, &loose))
	}
	if other.total > 0 {
		d.warn(fmt.Sprintf("%s: files that are not named like an image, not used: %s", dir, &other))
	}
	return classes, nil
}

// listImages returns the images below a class folder, sorted. A link counts as a file here; reading
// it is what decides.
func listImages(fsys fs.FS, dir string, other *tally) ([]string, error) {
	var images []string
	err := fs.WalkDir(fsys, dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != dir && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
		case e.IsDir():
		case isImageName(name):
			images = append(images, name)
		default:
			other.add(name)
		}
		return nil
	})
	slices.Sort(images)
	return images, err
}

// isImageName reports whether a file is called like an image that this program reads.
func isImageName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".webp":
		return true
	}
	return false
}
