package datasets

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"fewshot/nn/quote"
)

// promptName is how a class name from a folder or file is written in a prompt.
func promptName(class string) string { return strings.ReplaceAll(class, "_", " ") }

// checkTemplate returns what is wrong with a prompt template, or "".
func checkTemplate(template string) string {
	switch n := strings.Count(template, "{}"); {
	case n == 0:
		return "has no {} for the class name"
	case n > 1:
		return fmt.Sprintf("has {} %d times; the class name goes in once", n)
	case len(template) > maxClassBytes:
		return fmt.Sprintf("is longer than %d bytes", maxClassBytes)
	case strings.ContainsFunc(template, isControl):
		return "contains a control character"
	}
	return ""
}

// Subset returns the data set with some of its classes: "all", or one half of the base-to-new
// protocol, "base" or "new". The first ⌈n/2⌉ labels are base; in either half labels count from 0
// again.
//
// CoOp takes the subset after few-shot sampling, so that the base samples of a seed are those of the
// full data set: call FewShot first.
func (d *Dataset) Subset(classes string) (*Dataset, error) {
	half := (len(d.Classes) + 1) / 2
	lo, hi := 0, len(d.Classes)
	switch classes {
	case "all":
	case "base":
		hi = half
	case "new":
		lo = half
	default:
		return nil, fmt.Errorf("classes %s: not one of all, base and new", quote.String(classes))
	}
	if lo == hi {
		return nil, fmt.Errorf("%s has %d classes, so there are no %s classes", d.Name, len(d.Classes), classes)
	}
	out := *d
	out.Classes = append([]string(nil), d.Classes[lo:hi]...)
	keep := func(items []Item) []Item {
		var kept []Item
		for _, it := range items {
			if l := int(it.Label); lo <= l && l < hi {
				it.Label = int32(l - lo)
				kept = append(kept, it)
			}
		}
		return kept
	}
	out.Train, out.Val, out.Test = keep(d.Train), keep(d.Val), keep(d.Test)
	if classes != "all" {
		out.half = classes
	}
	if len(out.Classes) == 1 && len(d.Classes) > 1 {
		out.Warnings = append(append([]string(nil), d.Warnings...), fmt.Sprintf("of %d classes one is %s: %s", len(d.Classes), classes, oneClass))
	}
	return &out, nil
}

const oneClass = "with one class every model is right"

// CanTrain returns why there is nothing to learn from d, or nil.
func (d *Dataset) CanTrain() error {
	switch {
	case len(d.Train) == 0:
		return fault(cmp.Or(d.Root, d.Name), nil, "", "has no training images%s (%s)", d.ofHalf(), d.Split)
	case len(d.Classes) < 2:
		return fault(cmp.Or(d.Root, d.Name), nil, d.fixOneClass(), "has one class, %s: %s", quote.String(d.Classes[0]), oneClass)
	}
	return nil
}

// CanTest returns why an accuracy on the test images of d would say nothing, or nil.
func (d *Dataset) CanTest() error {
	if len(d.Test) == 0 {
		return fault(cmp.Or(d.Root, d.Name), nil, "", "has no test images%s: an accuracy would be of nothing (%s)", d.ofHalf(), d.Split)
	}
	return nil
}

func (d *Dataset) ofHalf() string {
	if d.half == "" {
		return ""
	}
	return " of its " + d.half + " classes"
}

func (d *Dataset) fixOneClass() string {
	if d.half != "" || d.Root == "" {
		return ""
	}
	return "if its folder is that of a class, the data set is the folder above: " + quote.Plain(filepath.Join(d.Root, ".."))
}

// WithTemplates returns the data set with other prompts: the first template is the prompt, all of them
// are the ensemble.
func (d *Dataset) WithTemplates(templates ...string) (*Dataset, error) {
	if len(templates) == 0 {
		return nil, errors.New("no template given")
	}
	out := *d
	if err := out.setTemplates(templates); err != nil {
		return nil, err
	}
	return &out, nil
}

func (d *Dataset) setTemplates(templates []string) error {
	for _, t := range templates {
		if problem := checkTemplate(t); problem != "" {
			return fmt.Errorf("template %s %s", quote.String(t), problem)
		}
	}
	d.Template, d.Templates = templates[0], append([]string(nil), templates...)
	return nil
}
