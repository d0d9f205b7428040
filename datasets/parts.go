package datasets

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// classFolder is a class in a part: its path below the part in one spelling, its own name, and its images' paths
// below Root.
type classFolder struct {
	key    string
	folder *tree
	images []string
}

// name is the folder's own, in one spelling.
func (c classFolder) name() string { return canonical(c.folder.name) }

// classes lists the class folders of a part, sorted by name. What is wrong with them goes to p; empty says that a
// folder without images is wrong.
func (d *Dataset) classes(part *tree, level int, empty bool, p *problems) []classFolder {
	var classes []classFolder
	var loose, other tally
	var visit func(t *tree, key string, level int)
	visit = func(t *tree, key string, level int) {
		if level > 0 {
			for _, name := range t.images {
				loose.add(path.Join(t.path, name))
			}
			for _, c := range t.dirs {
				if c.broken != "" {
					p.add("%s: %s", quote.String(c.path), c.broken)
					continue
				}
				visit(c, path.Join(key, canonical(c.name)), level-1)
			}
			return
		}
		if problem := checkClass(t.name); problem != "" {
			p.add("folder name %s %s", quote.String(t.name), problem)
			return
		}
		if t.count == 0 && empty {
			p.add("%s: %s", quote.Plain(t.path), t.why())
			return
		}
		images := t.all()
		for _, image := range images {
			if clean, problem := cleanPath(image); problem != "" || clean != image {
				p.add("file name %s %s", quote.String(image), problem)
			}
		}
		t.each(func(t *tree) {
			for _, name := range t.others {
				other.add(path.Join(t.path, name))
			}
			for _, c := range t.dirs {
				if c.broken != "" {
					d.warn(fmt.Sprintf("%s %s, not used", quote.Plain(c.path), c.broken))
				}
			}
		})
		classes = append(classes, classFolder{key, t, images})
	}
	visit(part, "", level)
	where := filepath.Join(d.Root, filepath.FromSlash(part.path))
	if loose.total > 0 {
		d.warn(fmt.Sprintf("%s: images outside of any class folder, not used: %s", where, &loose))
	}
	if other.total > 0 {
		d.warn(fmt.Sprintf("%s: files that are not named like an image, not used: %s", where, &other))
	}
	slices.SortStableFunc(classes, func(a, b classFolder) int { return strings.Compare(a.key, b.key) })
	for i := range classes {
		if i > 0 && classes[i].key == classes[i-1].key {
			p.add("%s and %s are the same name in two spellings", quote.String(classes[i-1].folder.name), quote.String(classes[i].folder.name))
		}
	}
	return classes
}

const classFix = "images belong into one folder per class"

// readDivided reads folders of parts.
func (d *Dataset) readDivided(l *layout) error {
	p := problems{file: d.Root}
	var first *tree // the part that says which classes there are
	for _, part := range []*tree{l.train, l.test, l.val} {
		if part != nil {
			first = part
			break
		}
	}
	label := make(map[string]int)
	read := func(part *tree) (items []Item) {
		if part == nil {
			return nil
		}
		for i, c := range d.classes(part, l.level, part == first, &p) {
			if part == first {
				label[c.key] = i
				d.Classes = append(d.Classes, c.name())
			}
			y, known := label[c.key]
			if !known {
				if len(c.images) > 0 {
					p.add("%s: there is no such class in %s/%s", quote.Plain(c.folder.path), quote.Plain(first.path), alike(c.key, label))
				}
				continue
			}
			items = appendItems(items, y, c.images)
		}
		return items
	}
	if d.Split = "folders"; first != l.train {
		d.Split = "folder " + quote.Plain(first.path) + "/, all for testing"
	}
	d.Train, d.Test, d.Val = read(l.train), read(l.test), read(l.val)
	if l.test == nil {
		d.Test, d.Val = d.Val, nil
		d.warn(fmt.Sprintf("there is no test/ folder, so %s/ is the test set and nothing is left for validation", quote.Plain(l.val.path)))
	}
	if len(l.unused) > 0 {
		d.warn("folders of images that are no part of the split, not used: " + shown(l.unused))
	}
	if len(d.Classes) == 0 {
		p.add("%s has no class folders", quote.Plain(first.path+"/"))
	}
	return p.err(classFix)
}

// alike names a class that differs in case only, the first by name.
func alike(key string, label map[string]int) string {
	for _, other := range slices.Sorted(maps.Keys(label)) {
		if strings.EqualFold(key, other) {
			return fmt.Sprintf(" (there is %s)", quote.String(other))
		}
	}
	return ""
}

// readInner reads class folders that have folders of parts in them.
func (d *Dataset) readInner(l *layout) error {
	p := problems{file: d.Root}
	for y, c := range d.classes(l.all, 1, true, &p) {
		d.Classes = append(d.Classes, c.name())
		for _, part := range c.folder.live() {
			items := map[string]*[]Item{partTrain: &d.Train, partVal: &d.Val, partTest: &d.Test}[partOf(part.name)]
			*items = appendItems(*items, y, part.all())
		}
	}
	d.Split = "folders in each class"
	if len(d.Test) == 0 && len(d.Val) > 0 {
		d.Test, d.Val = d.Val, nil
		d.warn("no class has a test/ folder, so val/ is the test set and nothing is left for validation")
	}
	return p.err(classFix)
}

// readUndivided reads a folder per class and divides each.
func (d *Dataset) readUndivided(t *tree, l *layout, by Division) error {
	p := problems{file: filepath.Join(d.Root, filepath.FromSlash(t.path))}
	// Beside class folders lie annotations and what programs wrote.
	if l.train == nil {
		var passed []*tree
		t.dirs = slices.DeleteFunc(slices.Clone(t.dirs), func(c *tree) bool {
			if c.count > 0 || c.broken != "" || c.bare() {
				return false
			}
			passed = append(passed, c)
			return true
		})
		if len(passed) > 0 {
			d.warn("folders without images, not used: " + shown(passed))
		}
	}
	var classes []folder
	for _, c := range d.classes(t, l.level, true, &p) {
		d.Classes = append(d.Classes, c.name())
		classes = append(classes, folder{c.name(), c.images})
	}
	if err := p.err(classFix); err != nil {
		return err
	}
	return d.divideClasses(p.file, classes, by)
}

// readFolds reads the folds of a cross-validation, one of them for testing.
func (d *Dataset) readFolds(dir string, l *layout, by Division) error {
	n := len(l.folds)
	if by.Folds != n {
		return fault(dir, nil, fmt.Sprintf("say which is for testing: -split 1/%d; or give one of them, %s", n, quote.Plain(filepath.Join(dir, filepath.FromSlash(l.folds[0].path)))),
			"has %d folds: %s", n, shown(l.folds))
	}
	p := problems{file: dir}
	byKey := make(map[string][]classFolder)
	names := make(map[string]string)
	for _, f := range l.folds {
		for _, c := range d.classes(f, l.level, false, &p) {
			names[c.key] = c.name()
			byKey[c.key] = append(byKey[c.key], c)
		}
	}
	test := l.folds[by.Fold-1]
	for y, key := range slices.Sorted(maps.Keys(names)) {
		d.Classes = append(d.Classes, names[key])
		for _, c := range byKey[key] {
			if strings.HasPrefix(c.folder.path, test.path+"/") {
				d.Test = appendItems(d.Test, y, c.images)
			} else {
				d.Train = appendItems(d.Train, y, c.images)
			}
		}
	}
	d.Split = fmt.Sprintf("folds: %s/ for testing, the rest for training", quote.Plain(test.path))
	return p.err(classFix)
}

// readFolders is the fall-back of data sets whose split file is missing and whose images lie in a
// folder per class.
func readFolders(s *source) error {
	classes, err := s.d.scan("")
	if err != nil {
		return err
	}
	classes = slices.DeleteFunc(classes, func(c folder) bool { return slices.Contains(s.spec.ignore, c.name) })
	parts, err := Division{}.folders(s.d.Root, classes)
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
	s.d.Split = Division{}.String()
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
	t, err := d.walk(sub)
	if err != nil {
		return nil, err
	}
	if live := t.live(); sub == "" && len(live) == 1 && live[0].name == filepath.Base(dir) && !live[0].flat() {
		t = live[0] // unpacked into a folder of its own name
	}
	p := problems{file: dir}
	if len(t.dirs) == 0 {
		if len(t.images) > 0 {
			p.add("has %s but no class folders", words.Count(len(t.images), "image"))
		} else {
			p.add("has no class folders")
		}
	}
	var classes []folder
	for _, c := range d.classes(t, 1, false, &p) {
		classes = append(classes, folder{c.folder.name, c.images})
	}
	return classes, p.err(classFix)
}
