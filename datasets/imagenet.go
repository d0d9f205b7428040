package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/quote"
)

const (
	classnamesFile = "classnames.txt"
	// imagenetClasses is the number of classes of ILSVRC2012.
	imagenetClasses = 1000
	// imagenetNames is the SHA-256 of the 1000 class names that CLIP's authors published (in their
	// notebook Prompt_Engineering_for_ImageNet), joined by newlines. Zero-shot accuracy differs by
	// points between lists of names, so a data set with other names is worth a warning.
	imagenetNames = "571ae1c583b4be7da87519494c52bf405a46af05d5815627c7a0dee997068b60"
)

// wordnetName is a line of classnames.txt: "n01440764 tench".
type wordnetName struct{ id, name string }

// classnamesPlaces are where classnames.txt is looked for: with the data set, in the data root (as in
// R-AMT's released code), and with ImageNet.
func classnamesPlaces(root, dir string) []string {
	return []string{dir, root, filepath.Join(root, "imagenet")}
}

// readClassnames finds and reads classnames.txt.
func (s *source) readClassnames() ([]wordnetName, error) {
	for _, dir := range classnamesPlaces(s.root, s.dir) {
		file := filepath.Join(dir, classnamesFile)
		data, err := readText(file, maxListBytes)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		names, warnings, err := parseClassnames(file, data)
		for _, w := range warnings {
			s.d.warn(file + ": " + w)
		}
		return names, err
	}
	return nil, fault(filepath.Join(s.dir, classnamesFile), fs.ErrNotExist, "fetch "+classnamesFile+needsDrive+" and put it there", "no such file")
}

// parseClassnames reads lines of "<WordNet id> <name>" and returns them sorted by id.
func parseClassnames(file string, data []byte) (names []wordnetName, warnings []string, err error) {
	p := problems{file: file}
	lines := textLines(&p, data)
	if len(lines) == 0 {
		p.add("is empty")
	}
	first := make(map[string]int, len(lines))
	for _, l := range lines {
		id, name, _ := strings.Cut(l.text, " ")
		name = strings.TrimSpace(name)
		if !isWordnetID(id) {
			p.add("line %d: starts with %s, not with a WordNet id such as n01440764", l.number, quote.String(id))
			continue
		}
		if problem := checkClass(name); problem != "" {
			p.add("line %d: class name %s %s", l.number, quote.String(name), problem)
			continue
		}
		if at, ok := first[id]; ok {
			p.add("line %d: %s was on line %d already", l.number, id, at)
			continue
		}
		first[id] = l.number
		names = append(names, wordnetName{id, name})
	}
	if err := p.err(`a line is a WordNet id and a class name: "n01440764 tench"`); err != nil {
		return nil, nil, err
	}
	byID := func(a, b wordnetName) int { return strings.Compare(a.id, b.id) }
	if !slices.IsSortedFunc(names, byID) {
		slices.SortFunc(names, byID)
		warnings = append(warnings, "the lines are not in the order of the WordNet ids; they were sorted")
	}
	return names, append(warnings, checkNames(names)...), nil
}

// checkNames warns if names are not those of CLIP's authors.
func checkNames(names []wordnetName) []string {
	if len(names) != imagenetClasses {
		return []string{fmt.Sprintf("has %d class names; ImageNet's has %d", len(names), imagenetClasses)}
	}
	list := make([]string, len(names))
	var twins tally
	seen := make(map[string]bool, len(names))
	for i, n := range names {
		list[i] = n.name
		if seen[n.name] {
			twins.add(n.name)
		}
		seen[n.name] = true
	}
	sum := sha256.Sum256([]byte(strings.Join(list, "\n")))
	if hex.EncodeToString(sum[:]) == imagenetNames {
		return nil
	}
	return []string{fmt.Sprintf("the names are not the 1000 that CLIP's authors published, and accuracy depends on the names; "+
		"names of two classes here: %s; in theirs: 2 (missile, sunglasses)", &twins)}
}

// isWordnetID reports whether s is an n and eight digits.
func isWordnetID(s string) bool {
	return len(s) == 9 && s[0] == 'n' && strings.Trim(s[1:], "0123456789") == ""
}

// nameClasses sets the class names of folders called by WordNet id, reporting unknown ones to p.
func (s *source) nameClasses(p *problems, folders []folder, names []wordnetName) {
	byID := make(map[string]string, len(names))
	for _, n := range names {
		byID[n.id] = n.name
	}
	for _, c := range folders {
		name, ok := byID[c.name]
		if !ok {
			p.add("folder %s is not in classnames.txt", quote.String(c.name))
		}
		s.d.Classes = append(s.d.Classes, name)
	}
}

// readImageNet reads ImageNet: the validation images are the test set, and the rank of a class's
// folder is its label. Without train/ it is for evaluation only.
func readImageNet(s *source) error {
	names, err := s.readClassnames()
	if err != nil {
		return err
	}
	test, err := s.d.scan("val")
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && !errors.Is(err, fs.ErrNotExist) {
			out := *e
			out.Fix = "sort the validation images into a folder per class (n01440764, …), as the training images are"
			return &out
		}
		return err
	}
	p := problems{file: s.d.Root}
	s.nameClasses(&p, test, names)
	for label, c := range test {
		s.d.Test = appendItems(s.d.Test, label, c.images)
	}
	s.d.Split = "folders train/ and val/"
	if !isDir(filepath.Join(s.d.Root, "train")) {
		s.d.Split = "folder val/"
		s.d.warn(fmt.Sprintf("%s has no train/ folder: there is nothing to draw shots from", s.d.Root))
		return p.err("")
	}
	train, err := s.d.scan("train")
	if err != nil {
		return err
	}
	label := make(map[string]int, len(test))
	for i, c := range test {
		label[c.name] = i
	}
	inTrain := make(map[string]bool, len(train))
	for _, c := range train {
		inTrain[c.name] = true
		l, ok := label[c.name]
		if !ok {
			p.add("train/%s: there is no such class in val/", quote.Plain(c.name))
			continue
		}
		s.d.Train = appendItems(s.d.Train, l, c.images)
	}
	for _, c := range test {
		if !inTrain[c.name] {
			p.add("val/%s: there is no such class in train/", quote.Plain(c.name))
		}
	}
	return p.err("train/ and val/ must have the same class folders")
}

// readImageNetTest reads the sets that have a folder per WordNet id and are for testing: Sketch, A
// and R. Only the classes that have a folder take part, so A and R have 200 labels of their own.
func readImageNetTest(s *source) error {
	names, err := s.readClassnames()
	if err != nil {
		return err
	}
	folders, err := s.d.scan("")
	if err != nil {
		return err
	}
	p := problems{file: s.d.Root}
	s.nameClasses(&p, folders, names)
	for label, c := range folders {
		s.d.Test = appendItems(s.d.Test, label, c.images)
	}
	s.d.Split = "class folders, all for testing"
	return p.err("")
}

// readImageNetV2 reads ImageNetV2, whose folders 0 … 999 are called by label.
func readImageNetV2(s *source) error {
	names, err := s.readClassnames()
	if err != nil {
		return err
	}
	folders, err := s.d.scan("")
	if err != nil {
		return err
	}
	byLabel := make([]*folder, len(names))
	p := problems{file: s.d.Root}
	for i, c := range folders {
		label, err := strconv.Atoi(c.name)
		if err != nil || strconv.Itoa(label) != c.name || label < 0 || label >= len(names) {
			p.add("folder %s is not called by a label from 0 to %d", quote.String(c.name), len(names)-1)
			continue
		}
		byLabel[label] = &folders[i]
	}
	for label, n := range names {
		s.d.Classes = append(s.d.Classes, n.name)
		if byLabel[label] == nil {
			p.add("folder %d (%s) is missing", label, n.name)
			continue
		}
		s.d.Test = appendItems(s.d.Test, label, byLabel[label].images)
	}
	s.d.Split = "class folders, all for testing"
	return p.err("")
}
