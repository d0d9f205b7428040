package paper

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Methods is the name of the table that is not in the paper: all methods of this program beside each other on drawn tasks.
const Methods = "methods"

// form is how a table of the paper is made.
type form struct {
	name, title string
	build       func(*builder)
}

// forms are the tables by number.
var forms = map[string]form{
	"1":     {"Table 1", "From base to new classes, 16 shots, mean of eleven data sets", baseToNew},
	"2":     {"Table 2", "Shift of the test images, 16 shots of ImageNet", shift},
	"3":     {"Table 3", "Other methods on masked encoders, 16 shots", stacks},
	"4":     {"Table 4", "Which layers are masked, 16 shots", func(b *builder) { layers(b, false) }},
	"5":     {"Table 5", "Rules for two gradients, and the leak of gradient dropout, 16 shots of ImageNet", rules},
	"6":     {"Table 6", "The threshold α, 16 shots of ImageNet", thresholds},
	"7":     {"Table 7", "The data sets", statistics},
	"8":     {"Table 8", "Speed, in images a second", speed},
	"9":     {"Table 9", "Seven prompts a class, 16 shots of ImageNet", ensembles},
	"10":    {"Table 10", "Backbones, 16 shots of ImageNet", backbones},
	"11":    {"Table 11", "Beside fine-tuning, 16 shots of ImageNet", finetuning},
	"12":    {"Table 12", "Rules for two gradients, with gradient sign dropout, 16 shots of ImageNet", rules},
	"13":    {"Table 13", "Which encoder is masked, 16 shots of ImageNet", encoders},
	"14":    {"Table 14", "Weights, filters or channels, 16 shots of ImageNet", granularities},
	"15":    {"Table 15", "Which layers are masked, with standard deviations, 16 shots", func(b *builder) { layers(b, true) }},
	"16":    {"Table 16", "From base to new classes, 16 shots", baseToNewBySet},
	"17":    {"Table 17", "Few-shot accuracy on eleven data sets", curves},
	Methods: {"Methods", "All methods on three drawn tasks", methods},
}

// Numbers are those of all tables.
func Numbers() []string {
	return slices.SortedFunc(func(yield func(string) bool) {
		for n := range forms {
			if !yield(n) {
				return
			}
		}
	}, func(a, b string) int { return cmp.Or(number(a)-number(b), strings.Compare(a, b)) })
}

// number is a table's; what has none comes last.
func number(name string) int {
	n, err := strconv.Atoi(name)
	if err != nil {
		return 1000
	}
	return n
}

// New makes the table of a number.
func New(name string, o Options) (*Table, error) {
	f, ok := forms[name]
	if !ok {
		return nil, fmt.Errorf("there is no table %s; there are %s", name, strings.Join(Numbers(), ", "))
	}
	source, err := Published(fmt.Sprintf("table%02d", number(name)))
	if err != nil {
		return nil, err
	}
	return build(f, source, o)
}

func build(f form, source *Source, o Options) (*Table, error) {
	o.Only, o.Sets = o.World.ids(o.Only), o.World.ids(o.Sets)
	for _, id := range o.Sets {
		if !slices.ContainsFunc(Sets(), func(s Set) bool { return s.ID == id }) {
			return nil, fmt.Errorf("%s is none of the paper's data sets: %s", id, strings.Join(titles(o.World, Sets()), ", "))
		}
	}
	b := &builder{Table: Table{Name: f.name, Title: f.title, options: &o}, source: source}
	f.build(b)
	if b.err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, b.err)
	}
	if o.Shots != nil && b.shots == nil {
		return nil, fmt.Errorf("%s has one number of shots, or none: -shots is for table 17, figure 4 and %s", f.name, Methods)
	}
	if o.Sets != nil && b.several == nil {
		return nil, fmt.Errorf("%s is not of several data sets that one could choose among: -sets is for tables 1, 3, 4, 7, 15, 16, 17 and %s, and figures 3, 4, 5 and 7", f.name, Methods)
	}
	for _, name := range o.Only {
		if !slices.Contains(b.offered, name) {
			return nil, fmt.Errorf("%s has no row %s; there are %s", f.name, name, strings.Join(b.offered, ", "))
		}
	}
	return &b.Table, nil
}
