package datasets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/quote"
)

const sampleFix = `a sample is a file of cross_modal_adaptation, {"train": {"data": [{"impath": …, "label": …}]}, "val": …}, or JSON lines as 2SFS ` +
	`has them, {"_impath": …, "_label": …, "_classname": …}, NAME_train.jsonl with NAME_val.jsonl beside it`

// sampled is an image of a sample as its file names it.
type sampled struct {
	where string // in the file
	path  string
	label int64
	class string
}

// sampleEntry is an image in either format.
type sampleEntry struct {
	Path   *string      `json:"impath"`
	Path2  *string      `json:"_impath"`
	Label  *json.Number `json:"label"`
	Label2 *json.Number `json:"_label"`
	Class  string       `json:"classname"`
	Class2 string       `json:"_classname"`
}

// Sample returns the data set with the training and validation images that a file names, in the file's order, in
// place of those that [Dataset.FewShot] would draw. Files of linzhiqiu's cross_modal_adaptation
// (indices/DATASET/shot_16-seed_1.json) and of 2SFS (split_fewshot/shot_16-seed_1_train.jsonl; the validation images
// come from the _val.jsonl beside it) are read.
//
// Their paths begin at folders of whoever wrote them: an image is the one of d whose path is the longest end of the
// named path. Every one must be a training image of d, or a validation image for the validation list, and have the
// label that the file says. Errors are *Error.
func (d *Dataset) Sample(file string) (*Dataset, error) {
	data, err := readText(file, maxSplitBytes)
	if err != nil {
		return nil, err
	}
	train, val, whole, err := parseSample(file, data)
	if err != nil {
		return nil, err
	}
	if stem, ok := strings.CutSuffix(file, "_train.jsonl"); ok && !whole {
		more, err := readText(stem+"_val.jsonl", maxSplitBytes)
		switch {
		case err == nil:
			if val, _, _, err = parseSample(stem+"_val.jsonl", more); err != nil {
				return nil, err
			}
			for i := range val {
				val[i].where = filepath.Base(stem) + "_val.jsonl, " + val[i].where
			}
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	out := *d
	p := problems{file: file}
	out.Train = d.match(&p, train, d.Train, "training")
	out.Val = d.match(&p, val, d.Val, "validation")
	if err := p.err("the sample must be of " + d.Title + ", divided as there (" + d.Split + ")"); err != nil {
		return nil, err
	}
	if len(d.Val) > 0 && len(out.Val) == 0 {
		out.Warnings = append(slices.Clone(d.Warnings), fmt.Sprintf("the sample %s has no validation images, and so there are none", quote.Plain(filepath.Base(file))))
	}
	if w := out.classesWithout("validation", out.Val); w != "" && d.classesWithout("validation", d.Val) != w {
		out.Warnings = append(slices.Clone(d.Warnings), "of the sample: "+w)
	}
	return &out, nil
}

// parseSample reads a sample. whole says that the file has the validation images too, if there are any.
func parseSample(file string, data []byte) (train, val []sampled, whole bool, err error) {
	if bytes.HasPrefix(data, []byte{0x80}) {
		return nil, nil, false, fault(file, nil, sampleFix, "is a Python pickle, as CoOp caches its samples: -shots and -seed draw the same images")
	}
	text, problem := plainText(data)
	if problem != "" {
		return nil, nil, false, fault(file, nil, sampleFix, "%s", problem)
	}
	p := problems{file: file}
	add := func(list []sampled, e sampleEntry, where string) []sampled {
		s, problem := e.read()
		if problem != "" {
			p.add("%s: %s", where, problem)
			return list
		}
		s.where = where
		return append(list, s)
	}
	type part struct {
		Data *[]sampleEntry `json:"data"`
	}
	var file1 struct{ Train, Val *part }
	err = json.Unmarshal(text, &file1)
	if first, _, _ := bytes.Cut(text, []byte("\n")); err != nil && string(bytes.TrimSpace(first)) == "{" {
		return nil, nil, false, fault(file, nil, sampleFix, "%s", quote.Text(err.Error())) // an object over several lines
	}
	if err == nil && file1.Train != nil {
		for _, c := range []struct {
			name string
			part *part
			to   *[]sampled
		}{{"train", file1.Train, &train}, {"val", file1.Val, &val}} {
			if c.part == nil {
				continue
			}
			if c.part.Data == nil {
				p.add(`%s: has no "data"`, c.name)
				continue
			}
			for i, e := range *c.part.Data {
				*c.to = add(*c.to, e, fmt.Sprintf("%s.data[%d]", c.name, i))
			}
		}
		return train, val, true, p.err(sampleFix)
	}
	number := 0
	for l := range bytes.Lines(text) {
		number++
		if l = bytes.TrimSpace(l); len(l) == 0 {
			continue
		}
		var e sampleEntry
		if err := json.Unmarshal(l, &e); err != nil {
			p.add("line %d: is not such an object: %s", number, quote.String(string(l)))
		} else {
			train = add(train, e, fmt.Sprintf("line %d", number))
		}
		if p.total >= giveUpAt {
			break
		}
	}
	if len(train) == 0 && p.total == 0 {
		p.add("names no images")
	}
	return train, nil, false, p.err(sampleFix)
}

func (e sampleEntry) read() (s sampled, problem string) {
	name, label := e.Path, e.Label
	if name == nil {
		name, label = e.Path2, e.Label2
	}
	switch {
	case name == nil:
		return s, "has no impath"
	case label == nil:
		return s, "has no label"
	}
	n, err := strconv.ParseInt(label.String(), 10, 32)
	if err != nil || n < 0 {
		return s, fmt.Sprintf("label is %s, not a whole number from 0", quote.String(label.String()))
	}
	s.path = strings.TrimPrefix(strings.ReplaceAll(*name, `\`, "/"), "./")
	if len(s.path) == 0 || len(s.path) > maxPathBytes {
		return s, fmt.Sprintf("path has %d bytes", len(s.path))
	}
	s.label, s.class = n, e.Class
	if s.class == "" {
		s.class = e.Class2
	}
	return s, ""
}

// match finds the items that a sample names.
func (d *Dataset) match(p *problems, list []sampled, items []Item, what string) []Item {
	byPath := make(map[string]int, len(items))
	for i, it := range items {
		byPath[canonical(it.Path)] = i
	}
	taken := make(map[int]string)
	var found []Item
	for _, s := range list {
		i, ok := 0, false
		for rest := canonical(s.path); !ok; {
			if i, ok = byPath[rest]; ok {
				break
			}
			_, shorter, deeper := strings.Cut(rest, "/")
			if !deeper {
				break
			}
			rest = shorter
		}
		switch {
		case !ok:
			p.add("%s: %s is not a %s image of %s", s.where, quote.String(s.path), what, quote.Plain(d.Name))
		case int64(items[i].Label) != s.label:
			p.add("%s: %s has label %d (%s) here and %d (%s) in %s", s.where, quote.String(s.path), s.label, quote.String(s.class),
				items[i].Label, quote.String(items[i].Class), quote.Plain(d.Name))
		case taken[i] != "":
			p.add("%s: %s is in the sample already, at %s", s.where, quote.String(s.path), taken[i])
		default:
			taken[i] = s.where
			found = append(found, items[i])
		}
	}
	return found
}

// MostShots is the largest number of training images that a class has.
func (d *Dataset) MostShots() (n int) {
	for _, g := range groupByLabel(d.Train) {
		n = max(n, len(g))
	}
	return n
}
