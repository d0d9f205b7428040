package datasets

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// layout says what the folders of a data set are for. It is found out once, from the names in a [tree] alone, and all
// that reads a folder of images goes by it.
type layout struct {
	// train, val and test hold class folders, nil where the data set has no such part. Without a division all images are
	// in all, or in folds.
	train, val, test, all *tree
	// folds are the parts of a cross-validation.
	folds []*tree
	// inner are parts that lie within the classes (CLASS/train/…): the folders of each class. all is then their parent.
	inner bool
	// level is how many folders below its part a class is.
	level int
	// split are CoOp's split files, table the tables of paths and labels that say what the images are; at is the folder
	// they are in.
	split, table []string
	at           *tree
	// inTables says that each part has a table of its images, and no class folders.
	inTables bool
	// notes say what was read as what, where that is not plain.
	notes []string
	// unused are folders of images that are no part of it.
	unused []*tree
}

// parts of a data set, by their names in CoOp's split files.
const (
	partTrain = "train"
	partVal   = "val"
	partTest  = "test"
)

// partWords are the words that people use for the parts.
var partWords = map[string]string{
	"train": partTrain, "training": partTrain,
	"val": partVal, "valid": partVal, "validation": partVal, "dev": partVal,
	"test": partTest, "testing": partTest,
}

// partOf says which part a folder is by its name: a word of partWords in any case, with "set", "data" or "images"
// behind it or not, as in "Train", "validation" or "test_set". "" means none.
func partOf(name string) string {
	word := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, name))
	for _, suffix := range []string{"", "set", "data", "images", "imgs"} {
		if stem, ok := strings.CutSuffix(word, suffix); ok && partWords[stem] != "" {
			return partWords[stem]
		}
	}
	return ""
}

// affixedPart finds a part's word in a name that says more, as "seg_train" or "test-2017" do, and what else it says.
func affixedPart(name string) (part, rest string) {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, w := range words {
		stem := strings.TrimRight(w, "0123456789") // train2017
		if partWords[stem] == "" {
			continue
		}
		if part != "" {
			return "", "" // it says two
		}
		others := slices.Clone(words)
		others[i] = w[len(stem):]
		part, rest = partWords[stem], strings.Join(others, " ")
	}
	return part, rest
}

// foldOf is the number of a fold of a cross-validation, from 1, by a folder's name: "fold1", "Fold_2", "cv-3". 0
// means none.
func foldOf(name string) (n int) {
	word := strings.TrimRight(name, "0123456789")
	digits := name[len(word):]
	switch strings.Trim(strings.ToLower(word), "_- .") {
	case "fold", "cv", "split", "kfold":
	default:
		return 0
	}
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || n < 0 || n > 1000 {
		return 0
	}
	return n
}

// anyName are names of folders that say that images are in them, not what is in the images.
var anyName = []string{"images", "image", "imgs", "img", "pictures", "photos", "jpg", "jpeg", "jpegimages", "png", "data", "all", "raw", "files", "crops", "dataset"}

// says reports whether a folder's name may be a class's.
func says(t *tree, parent string) bool {
	return !slices.Contains(anyName, strings.ToLower(t.name)) && t.name != parent && partOf(t.name) == "" && !isNumber(t.name)
}

// noClass reports whether a folder's name says that it is beside others of another use: images/ beside masks/.
func noClass(t *tree) bool {
	return slices.Contains([]string{"images", "image", "imgs", "img", "jpegimages"}, strings.ToLower(t.name))
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// recognizer finds out a layout.
type recognizer struct {
	dir string // the data set's folder, for messages
	layout
}

// path is a folder's for messages.
func (r *recognizer) path(t *tree) string { return filepath.Join(r.dir, filepath.FromSlash(t.path)) }

func (r *recognizer) note(format string, args ...any) {
	r.notes = append(r.notes, quote.Text(fmt.Sprintf(format, args...)))
}

// recognize finds out the layout of the data set in root. What could be read in two ways is refused, with the path or
// the flag that would do; level is -class-level, or 0.
func recognize(dir string, root *tree, level int) (*layout, error) {
	r := &recognizer{dir: dir, layout: layout{level: level}}
	t := root
	for {
		r.at = t
		for _, name := range t.others {
			if strings.HasPrefix(name, splitPrefix) && strings.HasSuffix(name, ".json") {
				r.split = append(r.split, name)
			}
		}
		if r.split != nil {
			break
		}
		r.table = tablesOf(t)
		if found, err := r.parts(t); found || err != nil {
			return r.done(err)
		}
		live := t.live()
		if len(t.images) > 0 || len(live) != 1 {
			break
		}
		w := live[0]
		if w.flat() && !r.marked(w) {
			break // a class, the only one
		}
		r.passed(t)
		t = w
	}
	if t != root {
		r.note("%s is read as the data set: it is the only folder of images in %s", quote.Plain(r.path(t)), quote.Plain(dir))
	}
	if r.split != nil {
		return r.done(nil)
	}
	return r.done(r.undivided(t))
}

// marked reports whether a folder holds what only a data set has: a split file or a table.
func (r *recognizer) marked(t *tree) bool {
	return len(tablesOf(t)) > 0 || slices.ContainsFunc(t.others, func(name string) bool { return strings.HasPrefix(name, splitPrefix) })
}

// passed says that the tables in a folder are not read, as the folders tell the classes.
func (r *recognizer) passed(t *tree) {
	for _, name := range tablesOf(t) {
		r.note("%s is not read; to read it give it as the data set: -dataset %s", quote.Plain(name), quote.Plain(filepath.Join(r.path(t), name)))
	}
}

func (r *recognizer) done(err error) (*layout, error) {
	if err != nil {
		return nil, err
	}
	return &r.layout, nil
}

// parts looks for folders of parts in t.
func (r *recognizer) parts(t *tree) (found bool, err error) {
	named := make(map[string][]*tree)
	var rest []*tree
	for _, c := range t.live() {
		if p := partOf(c.name); p != "" {
			named[p] = append(named[p], c)
		} else {
			rest = append(rest, c)
		}
	}
	if len(named) == 0 {
		named, rest = affixed(t)
	}
	var all, flat, broken []*tree
	for _, p := range []string{partTrain, partVal, partTest} {
		all = append(all, named[p]...)
	}
	for _, c := range all {
		if c.flat() && !r.marked(c) {
			flat = append(flat, c)
		}
	}
	for _, c := range t.dirs {
		if c.broken != "" && partOf(c.name) != "" {
			broken = append(broken, c)
		}
	}
	switch {
	case len(broken) > 0:
		return false, fault(r.path(broken[0]), fs.ErrNotExist, "put the folder itself there", "%s", broken[0].broken)
	case len(all) == 0:
		return false, nil
	case len(flat) == 1 && len(all) == 1 && strings.EqualFold(all[0].name, "train") && len(rest) > 0 && !slices.ContainsFunc(rest, func(c *tree) bool { return !c.flat() }):
		// Something on rails, then; nothing that one takes pictures of is called test or valid.
		r.note("%s is read as a class, like the folders beside it: it has images and no class folders", quote.Plain(r.path(all[0])))
		return false, nil
	case len(flat) > 0:
		if r.table != nil && len(flat) == len(all) {
			return false, nil
		}
		return false, r.noClasses(flat[0], t)
	}
	r.unused = rest
	if err := r.take(t, named, all); err != nil {
		return false, err
	}
	r.passed(t)
	if r.table = nil; r.inTables {
		return true, nil
	}
	return true, r.levels()
}

// take makes the folders all of t, by the parts that they are named for, the parts of the data set.
func (r *recognizer) take(t *tree, named map[string][]*tree, all []*tree) error {
	tabled := 0
	for _, c := range all {
		if c.flat() {
			tabled++
		}
	}
	plain := t.path == ""
	var reads []string
	for _, p := range []struct {
		name string
		to   **tree
	}{{partTrain, &r.train}, {partVal, &r.val}, {partTest, &r.test}} {
		switch of := named[p.name]; len(of) {
		case 0:
		case 1:
			*p.to = of[0]
			reads = append(reads, fmt.Sprintf("%s/ as %s", quote.Plain(of[0].path), p.name))
			plain = plain && of[0].name == p.name
		default:
			return fault(r.path(t), nil, "keep one of them there, or give a folder with one of them",
				"has more than one folder that could be its %s part: %s", p.name, shown(of))
		}
	}
	if r.inTables = tabled == len(all); tabled > 0 && !r.inTables {
		return fault(r.path(t), nil, "give every part such folders, or a table", "has parts with class folders and parts without: %s", shown(all))
	}
	if !plain {
		r.note("read %s", strings.Join(reads, ", "))
	}
	for _, c := range t.dirs {
		if c.count == 0 && partOf(c.name) != "" {
			r.note("%s/ has no images and is passed over", quote.Plain(c.path))
		}
	}
	return nil
}

// affixed looks for parts whose names say more, all the same: seg_train/ and seg_test/. One alone counts where
// nothing else has images.
func affixed(t *tree) (named map[string][]*tree, rest []*tree) {
	live := t.live()
	byAffix := make(map[string]map[string][]*tree)
	best := ""
	for _, c := range live {
		p, affix := affixedPart(c.name)
		if p == "" {
			continue
		}
		if byAffix[affix] == nil {
			byAffix[affix] = make(map[string][]*tree)
		}
		byAffix[affix][p] = append(byAffix[affix][p], c)
		if n := len(byAffix[affix]); (n > 1 || len(live) == 1 && !c.flat()) && n > len(byAffix[best]) {
			best = affix
		}
	}
	named = byAffix[best]
	if len(named) == 0 || len(named) == 1 && len(live) > 1 {
		return nil, live
	}
	for _, c := range live {
		if p, affix := affixedPart(c.name); p == "" || affix != best {
			rest = append(rest, c)
		}
	}
	return named, rest
}

// noClasses refuses a part whose images are in no class folders.
func (r *recognizer) noClasses(part, parent *tree) error {
	fix := "images belong into one folder per class, or a table of paths and labels says what they show (see docs/data.md)"
	for _, c := range parent.live() {
		if !c.flat() {
			fix += fmt.Sprintf("; to use %s alone give %s", quote.Plain(c.name+"/"), quote.Plain(r.path(c)))
			break
		}
	}
	return fault(r.path(part), nil, fix, "has %s and no class folders", words.Count(part.count, "image"))
}

// undivided finds the classes, or what else is there, in a folder that has no parts.
func (r *recognizer) undivided(t *tree) error {
	live := t.live()
	var sets, inner, flat []*tree
	folds, flatFolds := make(map[int]*tree), 0
	for _, c := range live {
		switch {
		case r.isDataset(c):
			sets = append(sets, c)
		case hasInnerParts(c):
			inner = append(inner, c)
		case c.flat():
			flat = append(flat, c)
		}
		switch n := foldOf(c.name); {
		case n > 0 && c.flat():
			flatFolds++
		case n > 0:
			folds[n] = c
		}
	}
	if r.table != nil && (len(live) == 0 || len(flat) == len(live) && !slices.ContainsFunc(live, func(c *tree) bool { return says(c, t.name) })) {
		return nil // the table says what the images are
	}
	r.passed(t)
	r.table = nil
	switch {
	case len(live) == 0 || len(live) == 1 && len(flat) == 1 && !says(live[0], t.name):
		return r.nothing(t)
	case len(sets) > 0:
		return fault(r.path(t), &severalError{r.path(t)}, "give one of them: "+quote.Plain(r.path(sets[0])), "holds data sets, not classes: %s", shown(sets))
	case flatFolds == len(live) && flatFolds > 1:
		return r.noClasses(live[0], t)
	case len(folds) == len(live) && len(folds) > 1:
		for n := 1; n <= len(folds); n++ {
			if folds[n] == nil {
				return fault(r.path(t), &severalError{r.path(t)}, "give one of them: "+quote.Plain(r.path(live[0])), "has folds that are not numbered from 1 to %d: %s", len(folds), shown(live))
			}
			r.folds = append(r.folds, folds[n])
		}
		r.note("read %s as folds", shown(r.folds))
		return r.levels()
	case len(inner) > 0 && len(inner) < len(live):
		return fault(r.path(t), nil, "give every class such folders, or none", "has class folders that are divided, such as %s, and others that are not, such as %s",
			shown(inner[:1]), shown([]*tree{live[slices.IndexFunc(live, func(c *tree) bool { return !slices.Contains(inner, c) })]}))
	case len(inner) > 0:
		r.all, r.inner, r.level = t, true, 1
		r.note("read the folders %s in each class as its parts", shown(inner[0].live()))
		return nil
	}
	r.all = t
	return r.levels()
}

// nothing refuses a folder without class folders.
func (r *recognizer) nothing(t *tree) error {
	live := t.live()
	loose := len(t.images)
	if len(live) == 1 {
		t, loose = live[0], len(live[0].images)
	}
	switch {
	case len(t.dirs) > 0 && t.dirs[0].broken != "":
		p := problems{file: r.path(t)}
		for _, c := range t.dirs {
			if c.broken != "" {
				p.add("%s: %s", quote.String(c.name), c.broken)
			}
		}
		return p.err(classFix)
	case loose > 0:
		return fault(r.path(t), nil, classFix+"; for the images of one class the data set is the folder above: "+quote.Plain(filepath.Join(r.path(t), "..")), "has %s but no class folders", words.Count(loose, "image"))
	}
	if why := t.why(); why != "has no images" {
		return fault(r.path(t), nil, classFix, "%s", why)
	}
	return fault(r.path(t), nil, classFix, "has no class folders")
}

// isDataset reports whether a folder is a data set of its own: has a split file, or parts with class folders.
func (r *recognizer) isDataset(t *tree) bool {
	if slices.ContainsFunc(t.others, func(name string) bool { return strings.HasPrefix(name, splitPrefix) }) {
		return true
	}
	return slices.ContainsFunc(t.live(), func(c *tree) bool { return partOf(c.name) != "" && !c.flat() })
}

// hasInnerParts reports whether a class's images are in folders that are called like parts, and nowhere else.
func hasInnerParts(t *tree) bool {
	live := t.live()
	return len(t.images) == 0 && len(live) > 0 && !slices.ContainsFunc(live, func(c *tree) bool { return partOf(c.name) == "" || !c.flat() })
}

// levels finds out how many folders below its part a class is, and goes down to the folder that the level is counted
// from: folders that are alone are passed through.
func (r *recognizer) levels() error {
	if r.level > 0 {
		return nil // it is counted from the parts, whatever they look like
	}
	for _, part := range []**tree{&r.train, &r.val, &r.test, &r.all} {
		if *part == nil {
			continue
		}
		for {
			live := (*part).live()
			if len(live) != 1 || len((*part).images) > 0 || live[0].flat() || r.marked(*part) {
				break
			}
			*part = live[0]
			r.note("the classes are read from %s: it is the only folder there", quote.Plain((*part).path+"/"))
		}
		if sets := slices.DeleteFunc((*part).live(), func(c *tree) bool { return partOf(c.name) == "" || c.flat() }); len(sets) > 0 {
			return fault(r.path(*part), nil, "give it itself: "+quote.Plain(r.path(*part)), "holds parts of a data set, not classes: %s", shown(sets))
		}
		if live := (*part).live(); len(live) > 1 && slices.ContainsFunc(live, noClass) {
			return fault(r.path(*part), nil, "give the folder of the classes, or a table of paths and labels (see docs/data.md)",
				"has folders of images of which %s can be no class: %s", shown(live[slices.IndexFunc(live, noClass):][:1]), shown(live))
		}
		if live := (*part).live(); len(live) == 1 && live[0].flat() && !says(live[0], (*part).name) && !r.marked(live[0]) {
			return fault(r.path(live[0]), nil, classFix, "has %s and no class folders", words.Count(live[0].count, "image"))
		}
	}
	r.level = 1
	from := r.all
	for _, part := range []*tree{r.train, r.test, r.val} {
		if part != nil {
			from = part
			break
		}
	}
	if len(r.folds) > 0 {
		from = r.folds[0]
	}
	if from == nil {
		return nil
	}
	classes := from.live()
	several := false
	for _, c := range classes {
		if len(c.images) > 0 {
			return nil
		}
		several = several || len(c.live()) > 1
	}
	if !several {
		return nil
	}
	var below []*tree
	for _, c := range classes {
		below = append(below, c.live()...)
	}
	return fault(r.path(from), nil, "say which level the classes are: -class-level 1 or -class-level 2; or give one of the folders: "+quote.Plain(r.path(classes[0])),
		"has folders within folders: the classes may be %s, or %s", shown(classes), shown(below))
}

// tablesOf are the tables of paths and labels in a folder.
func tablesOf(t *tree) []string {
	var found []string
	for _, name := range t.others {
		if isTable(name) {
			found = append(found, name)
		}
	}
	return found
}

// canonical brings spellings of a name together that look the same: macOS writes é as e and an accent, Linux as one
// character.
func canonical(name string) string { return norm.NFC.String(name) }
