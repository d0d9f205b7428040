package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/quote"
)

// defaultTemplate is the prompt for people's own images.
const defaultTemplate = photo

// maxTemplateBytes bounds template.txt.
const maxTemplateBytes = 1 << 20

// OpenFolder opens a folder of the user's own images as [OpenWith] does. template is the prompt, with {} for the
// class name. If it is empty, it is the first line of dir/template.txt, whose further lines are the prompt ensemble;
// without that file it is "a photo of a {}.".
func OpenFolder(dir, template string) (*Dataset, error) {
	var o Options
	if template != "" {
		o.Templates = []string{template}
	}
	return openFolder(dir, o)
}

func openFolder(dir string, o Options) (*Dataset, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, readError(dir, err)
	} else if info.Mode().IsRegular() && isTable(dir) {
		return openTable(dir, o)
	} else if info.Mode().IsRegular() && isParquet(dir) {
		return openParquet(dir, o)
	} else if !info.IsDir() {
		return nil, fault(dir, nil, "a data set is a folder of images, or a table of them (.csv, .tsv, .jsonl, .parquet)", "is not a folder")
	}
	name := filepath.Base(dir)
	if abs, err := filepath.Abs(dir); err == nil {
		name = filepath.Base(abs) // for "." and ".."
	}
	d := &Dataset{Name: name, Title: name, Root: dir}
	if abs, err := filepath.Abs(dir); err == nil && filepath.Base(filepath.Dir(abs)) == "snapshots" {
		d.home = filepath.Join(dir, "..", "..") // a hub's cache: its files are links to blobs beside snapshots/
	}
	if err := d.useTemplates(dir, o.Templates); err != nil {
		return nil, err
	}
	splitFiles, err := filepath.Glob(filepath.Join(escapeGlob(dir), splitPrefix+"*.json"))
	if err != nil {
		return nil, err
	}
	if len(splitFiles) > 0 { // the images need not be listed
		for i, file := range splitFiles {
			splitFiles[i] = filepath.Base(file)
		}
		err = d.readOwnSplit(dir, splitFiles, o)
	} else {
		err = d.readFolder(dir, o)
	}
	if err != nil {
		return nil, err
	}
	return d.named(dir, o)
}

// readFolder reads a folder by its layout.
func (d *Dataset) readFolder(dir string, o Options) error {
	t, err := d.walk("")
	if err != nil {
		return err
	}
	if files := parquetFiles(t); t.count == 0 && len(files) > 0 {
		return d.readParquet(files, o)
	}
	l, err := recognize(dir, t, o.ClassLevel)
	if err != nil {
		return err
	}
	d.Notes = l.notes
	divided := l.inner || len(l.split) > 0 || l.test != nil || l.val != nil
	switch {
	case o.Division.set() && divided:
		return fault(dir, nil, "leave -split out", "has parts of its own: it is not divided again")
	case len(l.split) > 0:
		return d.readOwnSplit(filepath.Join(dir, filepath.FromSlash(l.at.path)), l.split, o)
	case l.inTables:
		return d.readPartTables(l, o)
	case l.table != nil:
		return d.readLabels(dir, l, o)
	case l.inner:
		return d.readInner(l)
	case l.folds != nil:
		return d.readFolds(dir, l, o.Division)
	case divided:
		return d.readDivided(l)
	case l.train != nil && !o.Division.set():
		fix := fmt.Sprintf("to divide its images add -split 0.8, or give %s", quote.Plain(filepath.Join(dir, filepath.FromSlash(l.train.path))))
		if len(l.unused) > 0 {
			fix = fmt.Sprintf("if %s is for testing, call it test; ", shown(l.unused[:1])) + fix
		}
		return fault(dir, nil, fix, "has %s but neither test/ nor val/", shown([]*tree{l.train}))
	case l.train != nil:
		return d.readUndivided(l.train, l, o.Division)
	}
	return d.readUndivided(l.all, l, o.Division)
}

const splitPrefix = "split_zhou_"

// escapeGlob makes filepath.Glob take a folder's name literally.
func escapeGlob(dir string) string {
	if filepath.Separator == '\\' {
		return dir // Windows has no escapes, and file names have no stars
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// useTemplates sets the prompts from the argument, from dir/template.txt, or to the default.
func (d *Dataset) useTemplates(dir string, templates []string) error {
	if len(templates) > 0 {
		return d.setTemplates(templates)
	}
	file := filepath.Join(dir, "template.txt")
	templates, err := ReadTemplates(file)
	if errors.Is(err, fs.ErrNotExist) {
		d.Template = defaultTemplate
		return nil
	}
	if err != nil {
		return err
	}
	// The first is the prompt, and those after it are the ensemble.
	d.Template = templates[0]
	if len(templates) > 1 {
		d.Templates = templates[1:]
	}
	return nil
}

// readOwnSplit reads a data set that has CoOp's split file but no row in the table.
func (d *Dataset) readOwnSplit(dir string, files []string, o Options) error {
	switch {
	case len(files) > 1:
		return fault(dir, nil, "keep the one that counts", "has %d split files: %s", len(files), quote.String(strings.Join(files, " ")))
	case o.Division.set():
		return fault(filepath.Join(dir, files[0]), nil, "leave -split out", "divides the images already")
	case o.ClassLevel != 0:
		return fault(filepath.Join(dir, files[0]), nil, "leave -class-level out", "says the classes already")
	}
	d.Title = strings.TrimSuffix(strings.TrimPrefix(files[0], splitPrefix), ".json")
	d.Root, d.home, d.loose = dir, dir, true
	if images := filepath.Join(dir, "images"); isDir(images) {
		d.Root = images
	}
	file := filepath.Join(dir, files[0])
	data, err := readText(file, maxSplitBytes)
	if err != nil {
		return err
	}
	return d.useSplitFile(file, data)
}
