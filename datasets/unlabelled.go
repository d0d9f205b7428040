package datasets

import (
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

// WalkImages gives the paths of the images in a folder and below it, each folder's in the order of their names, as far
// as they are called like images that this program reads; what systems leave behind is passed over. Links are followed.
// A folder that cannot be read, or that is a link to one that it lies in, is an error in its place, and the walk goes
// on behind it. unread is called with files that are called like pictures of a kind that is not read; it may be nil.
func WalkImages(dir string, unread func(path string)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		walkImages(dir, nil, unread, yield)
	}
}

// walkImages reports whether the walk goes on. above are the folders that dir lies in.
func walkImages(dir string, above []fs.FileInfo, unread func(string), yield func(string, error) bool) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return yield(dir, readError(dir, err))
	}
	if slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }) {
		return yield(dir, fault(dir, nil, "take the link away", "is a link to a folder that it lies in"))
	}
	if len(above) >= maxTreeDepth {
		return yield(dir, fault(dir, nil, "", "lies deeper than %d folders", maxTreeDepth))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return yield(dir, readError(dir, err))
	}
	above = append(above, info)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		folder := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			folder = isDir(path)
		}
		switch {
		case isJunk(e.Name()):
		case folder:
			if !walkImages(path, above, unread, yield) {
				return false
			}
		case isImageName(e.Name()):
			if !yield(path, nil) {
				return false
			}
		case unread != nil && slices.Contains(unreadNames, strings.ToLower(filepath.Ext(e.Name()))):
			unread(path)
		}
	}
	return true
}

// ReadClassNames reads a file of class names, one a line, as they go into a prompt, with spaces for underscores. The
// error is an *Error.
func ReadClassNames(file string) ([]string, error) {
	data, err := readText(file, maxListBytes)
	if err != nil {
		return nil, err
	}
	return parseClassNames(file, data)
}

func parseClassNames(file string, data []byte) ([]string, error) {
	p := problems{file: file}
	first := map[string]int{}
	var names []string
	for _, l := range textLines(&p, data) {
		name := promptName(l.text)
		switch problem := checkClass(name); {
		case problem != "":
			p.add("line %d: the name %s %s", l.number, quote.String(name), problem)
		case first[name] != 0:
			p.add("line %d: %s stands in line %d too", l.number, quote.String(name), first[name])
		default:
			first[name] = l.number
			names = append(names, name)
		}
	}
	if len(names) == 0 && p.total == 0 {
		p.add("is empty")
	}
	return names, p.err("a line is the name of a class, as it goes into a prompt")
}

// OfClasses is a data set of no images, for whoever needs classes and prompts alone.
func OfClasses(title string, classes []string) (*Dataset, error) {
	if len(classes) == 0 {
		return nil, fmt.Errorf("there are no classes")
	}
	for _, c := range classes {
		if problem := checkClass(c); problem != "" {
			return nil, fmt.Errorf("the class name %s %s", quote.String(c), problem)
		}
	}
	return &Dataset{Name: title, Title: title, Classes: slices.Clone(classes), Template: defaultTemplate, Templates: []string{defaultTemplate}}, nil
}
