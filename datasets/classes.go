package datasets

import (
	"errors"
	"fmt"
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
	return &out, nil
}

// WithTemplates returns the data set with other prompts: the first template is the prompt, all of them
// are the ensemble.
func (d *Dataset) WithTemplates(templates ...string) (*Dataset, error) {
	if len(templates) == 0 {
		return nil, errors.New("no template given")
	}
	for _, t := range templates {
		if problem := checkTemplate(t); problem != "" {
			return nil, fmt.Errorf("template %s %s", quote.String(t), problem)
		}
	}
	out := *d
	out.Template, out.Templates = templates[0], append([]string(nil), templates...)
	return &out, nil
}
