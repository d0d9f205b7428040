package datasets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"fewshot/nn/quote"
)

// New returns a data set of images in memory. Items need Label and Data; New gives them their Class
// and, where it is empty, a Path such as "red_circle/0001.png" that counts the images of a class
// through training, validation and test. Export writes them under these paths, so that a data set in
// memory and its copy on disk have the same SplitHash.
//
// title becomes part of the split file's name: letters, digits, '-' and '_'.
func New(name, title, template string, classes []string, train, val, test []Item) (*Dataset, error) {
	d := &Dataset{
		Name: name, Title: title, Template: template, Templates: []string{template},
		Classes: append([]string(nil), classes...),
		Train:   append([]Item(nil), train...),
		Val:     append([]Item(nil), val...),
		Test:    append([]Item(nil), test...),
		Split:   "in memory",
	}
	folders := classFolders(classes)
	counts := make([]int, len(classes))
	for _, part := range d.splits() {
		for i := range part.items {
			it := &part.items[i]
			if it.Label < 0 || int(it.Label) >= len(classes) {
				continue // exportable reports it
			}
			format := imageFormat(it.Data)
			if format == "" {
				return nil, fmt.Errorf("%s: %s[%d] is not an image of a format that is read", name, part.name, i)
			}
			counts[it.Label]++
			it.Class = classes[it.Label]
			if it.Path == "" {
				it.Path = fmt.Sprintf("%s/%04d%s", folders[it.Label], counts[it.Label], format)
			}
		}
	}
	if err := d.exportable(); err != nil {
		return nil, err
	}
	return d, nil
}

// classFolders returns a folder name for every class: the class name with underscores for whatever a
// file system may dislike, and the label behind it where two would be the same.
func classFolders(classes []string) []string {
	folders := make([]string, len(classes))
	taken := make(map[string]bool)
	for i, c := range classes {
		name := strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' {
				return r
			}
			return '_'
		}, c)
		if len(name) > 100 { // a file name is at most 255 bytes
			name = strings.ToValidUTF8(name[:100], "")
		}
		// Lower case decides, for file systems that do not tell capitals from small letters.
		if key := strings.ToLower(name); name == "" || taken[key] {
			name = fmt.Sprintf("%s.%d", name, i)
		}
		taken[strings.ToLower(name)] = true
		folders[i] = name
	}
	return folders
}

// exportable checks that Open would take back what Export writes.
func (d *Dataset) exportable() error {
	p := problems{file: d.Name}
	if d.Title == "" || strings.ContainsFunc(d.Title, func(r rune) bool {
		return !(unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_')
	}) {
		p.add("title %s is not made of letters, digits, '-' and '_'", quote.String(d.Title))
	}
	for _, t := range append([]string{d.Template}, d.Templates...) {
		if problem := checkTemplate(t); problem != "" {
			p.add("template %s %s", quote.String(t), problem)
		}
	}
	if len(d.Classes) == 0 {
		p.add("has no classes")
	}
	used := make([]bool, len(d.Classes))
	owner := make(map[string]string)
	for _, part := range d.splits() {
		for i, it := range part.items {
			here := fmt.Sprintf("%s[%d]", part.name, i)
			if it.Label < 0 || int(it.Label) >= len(d.Classes) {
				p.add("%s: has label %d; there are %d classes", here, it.Label, len(d.Classes))
				continue
			}
			used[it.Label] = true
			if clean, problem := cleanPath(it.Path); problem != "" || clean != it.Path {
				p.add("%s: path %s is not a clean relative path", here, quote.String(it.Path))
			}
			if first, ok := owner[it.Path]; ok {
				p.add("%s: has the path of %s, %s", here, first, quote.String(it.Path))
			}
			owner[it.Path] = here
		}
	}
	for l, c := range d.Classes {
		if problem := checkClass(c); problem != "" {
			p.add("class %d: %s %s", l, quote.String(c), problem)
		} else if promptName(c) != c {
			p.add("class %d: %s has an underscore, which a prompt would turn into a space", l, quote.String(c))
		}
		if !used[l] {
			p.add("class %d: %s has no images", l, quote.String(c))
		}
	}
	return p.err("")
}

// exportMark is in every folder that Export wrote, and lets it replace that folder.
const exportMark = ".fewshot-export"

// Export writes the data set to the folder dir in CoOp's layout: images/<path>, split_zhou_<Title>.json
// and template.txt. Open(filepath.Dir(dir), filepath.Base(dir)) and OpenFolder(dir, "") read it back
// with the same items in the same order.
//
// dir appears complete or not at all: the data set is written beside it and renamed. An existing dir is
// replaced if it is empty, or if Export wrote it and nothing was added since; anything else is
// refused and left alone.
func Export(dir string, d *Dataset) (err error) {
	if err := d.exportable(); err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := replaceable(dir); err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	work, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".export-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, "new")
	if err := writeExport(fresh, d); err != nil {
		return err
	}
	old := filepath.Join(work, "old")
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		os.Rename(old, dir) // put back what was there; the first error is the one to tell
		return err
	}
	return nil
}

// writeExport writes the folder's files.
func writeExport(dir string, d *Dataset) error {
	parts := make(map[string][][3]any, 3)
	for _, part := range d.splits() {
		list := make([][3]any, 0, len(part.items))
		for _, it := range part.items {
			data, err := d.ReadItem(it)
			if err != nil {
				return err
			}
			file := filepath.Join(dir, "images", filepath.FromSlash(it.Path))
			if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(file, data, 0o666); err != nil {
				return err
			}
			list = append(list, [3]any{it.Path, it.Label, it.Class})
		}
		parts[part.name] = list
	}
	splitFile, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	templates := []string{d.Template}
	if !slices.Equal(d.Templates, templates) {
		templates = append(templates, d.Templates...)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{splitPrefix + d.Title + ".json", append(splitFile, '\n')},
		{"template.txt", []byte(strings.Join(templates, "\n") + "\n")},
		{exportMark, []byte("Written by fewshot data export, which may replace this folder.\n")},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// replaceable returns an error if dir holds anything that Export did not write.
func replaceable(dir string) error {
	const fix = "choose another folder, or move it away"
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return readError(dir, err)
	}
	if !info.IsDir() {
		return fault(dir, nil, fix, "is not a folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return readError(dir, err)
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(dir, exportMark)); err != nil {
		return fault(dir, nil, fix, "is not empty and was not written by an export")
	}
	d, err := OpenFolder(dir, "")
	if err != nil {
		return fault(dir, err, fix, "was written by an export and changed since: %v", err)
	}
	ours := map[string]bool{exportMark: true, "template.txt": true, splitPrefix + d.Title + ".json": true}
	for _, part := range d.splits() {
		for _, it := range part.items {
			ours[filepath.Join("images", filepath.FromSlash(it.Path))] = true
		}
	}
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return readError(name, err)
		}
		if e.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if !ours[rel] {
			return fault(dir, nil, fix, "was written by an export, but %s was added since", quote.String(rel))
		}
		return nil
	})
}
