package paper

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/rmt"
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

// builder makes a table.
type builder struct {
	Table
	source  *Source
	offered []string // rows that there are
	err     error
}

// sets are those asked for of several that the table has, in their order.
func (b *builder) sets(several []Set) []Set {
	b.several = several
	return b.options.sets(several)
}

// ofSets is a column of the paper's that is a mean over the data sets; "", which is none, where not all of them are asked for.
func (b *builder) ofSets(column string) string {
	if b.options.Sets != nil {
		return ""
	}
	return column
}

// columns are the table's, of digits behind the point.
func (b *builder) columns(digits int, titles ...string) {
	for _, t := range titles {
		b.Columns = append(b.Columns, Column{Title: t, Digits: digits})
	}
}

// row appends a row, if it is asked for. at names it in the paper's table, and columns the paper's columns of its cells, "" for none.
func (b *builder) row(name string, labels, at, columns []string, cells ...Cell) bool {
	if !slices.Contains(b.offered, name) {
		b.offered = append(b.offered, name)
	}
	if !b.options.keep(name) {
		return false
	}
	for i := range cells {
		if f, ok := b.source.Figure(at, columns[i]); ok && columns[i] != "" {
			cells[i].Paper = &f
		}
	}
	b.Rows = append(b.Rows, Row{Labels: labels, Name: name, Cells: cells})
	return true
}

func (b *builder) note(format string, a ...any) { b.Notes = append(b.Notes, fmt.Sprintf(format, a...)) }

// of measures a setup.
func of(q Quantity, s Setup) Cell { return Cell{Measures: []Measure{{Setup: s, Quantity: q}}} }

// mean is of what other cells measure.
func mean(cells ...Cell) Cell {
	var all Cell
	for _, c := range cells {
		all.Measures = append(all.Measures, c.Measures...)
	}
	return all
}

// gain is by how much a cell of a column is above that of another row.
func gain(row, before, column int) Cell {
	return Cell{Derive: func(at func(row, column int) Stat) Stat {
		a, b := at(row, column), at(before, column)
		return Stat{Mean: a.Mean - b.Mean}.whole(a, b)
	}}
}

// whole is known where all of its parts are.
func (s Stat) whole(parts ...Stat) Stat {
	s.N, s.Of = 0, 0
	for _, p := range parts {
		s.Of++
		if p.known() {
			s.N++
		}
	}
	return s
}

// h is the harmonic mean of two cells of its row.
func h(row, base, fresh int) Cell {
	return Cell{Derive: func(at func(row, column int) Stat) Stat {
		b, n := at(row, base), at(row, fresh)
		return Stat{Mean: harmonic(b.Mean, n.Mean)}.whole(b, n)
	}}
}

// imagenet is a setup of 16 shots of ImageNet.
func (b *builder) imagenet(row string) Setup { return b.options.setup(row, "imagenet", 16) }

var comparedBaseToNew = []string{"zero-shot", "cocoop", "prograd", "clip-adapter", "amt", "r-amt"}

// halves are a method's accuracies on base and on new classes of a data set.
func (b *builder) halves(name, set string) (base, fresh Cell) {
	s := b.options.setup(name, set, 16)
	s.Base = true
	base = of(Accuracy, s)
	fresh = Cell{Measures: []Measure{{Setup: s, Test: Test{set, "new"}}}}
	return base, fresh
}

func baseToNew(b *builder) {
	b.Heads = []string{"method"}
	b.columns(2, "base", "new", "H")
	for _, name := range comparedBaseToNew {
		var base, fresh []Cell
		for _, s := range b.sets(Sets()) {
			x, y := b.halves(name, s.ID)
			base, fresh = append(base, x), append(fresh, y)
		}
		b.row(name, []string{titleOf(name)}, []string{name}, []string{b.ofSets("base"), b.ofSets("new"), b.ofSets("h")}, mean(base...), mean(fresh...), h(len(b.Rows), 0, 1))
	}
	b.noteBaseToNew()
	b.note("H is the harmonic mean of the two averages, as in the paper, not the average of H.")
}

func (b *builder) noteBaseToNew() {
	b.note("Trained on the first half of the classes, tested on these alone, and on the others alone. The leak is 1.")
	b.note("The paper's rows of zero-shot CLIP and CoCoOp are those that CoCoOp published.")
	b.noteTravel()
}

// noteTravel is about the paper's settings at few images.
func (b *builder) noteTravel() {
	b.note("With the published learning rate and epochs, masks cannot move at few images (small data sets of 1 to 4 shots): the paper's settings there are not published.")
}

func baseToNewBySet(b *builder) {
	b.Heads = []string{"data set", "method"}
	b.columns(2, "base", "new", "H")
	for _, s := range b.sets(Sets()) {
		for _, name := range comparedBaseToNew {
			base, fresh := b.halves(name, s.ID)
			b.row(name, []string{b.options.World.title(s), titleOf(name)}, []string{s.ID, name}, []string{"base", "new", "h"}, base, fresh, h(len(b.Rows), 0, 1))
		}
	}
	b.noteBaseToNew()
}

func shift(b *builder) {
	b.Heads = []string{"method"}
	sets := slices.Concat(Sets()[:1], shifted)
	var ids []string
	for _, s := range sets {
		b.columns(2, b.options.World.title(s))
		ids = append(ids, s.ID)
	}
	b.columns(2, "average")
	for _, name := range []string{"zero-shot", "linear-probe", "coop", "clip-adapter", "tip", "amt", "r-amt"} {
		s := b.imagenet(name)
		cells := []Cell{of(Accuracy, s)}
		for _, other := range shifted {
			cells = append(cells, Cell{Measures: []Measure{{Setup: s, Test: Test{Set: other.ID}}}})
		}
		b.row(name, []string{titleOf(name)}, []string{name}, append(ids, "average"), append(cells, mean(cells...))...)
	}
	b.note("Trained on the images of the first column, tested on all three.")
	b.note("The paper's linear probe is that of CoOp's paper here, 65.85; its Tables 11 and 17 have 56.03, at the level of an RN50. Its CoOp, 71.73, is 72.01 in Tables 3 and 17.")
}

// bySet are a row's cells of data sets, and their average.
func (b *builder) bySet(sets []Set, setup func(set string) Setup) (cells []Cell, columns []string) {
	for _, s := range sets {
		cells, columns = append(cells, of(Accuracy, setup(s.ID))), append(columns, s.ID)
	}
	return append(cells, mean(cells...)), append(columns, b.ofSets("average"))
}

func (b *builder) setColumns(sets []Set) {
	for _, s := range sets {
		b.columns(2, b.options.World.title(s))
	}
	b.columns(2, "average")
}

func stacks(b *builder) {
	b.Heads = []string{"method"}
	sets := b.sets(Sets())
	b.setColumns(sets)
	b.Columns = append(b.Columns, Column{Title: "gain", Digits: 2, Signed: true})
	at := map[string]int{}
	before := map[string]string{"r-amt": "zero-shot", "coop+r-amt": "coop", "tip+r-amt": "tip"}
	for _, name := range []string{"zero-shot", "r-amt", "coop", "coop+r-amt", "tip", "tip+r-amt"} {
		cells, columns := b.bySet(sets, func(set string) Setup { return b.options.setup(name, set, 16) })
		last := Cell{}
		if from, ok := at[before[name]]; ok {
			last = gain(len(b.Rows), from, len(cells)-1)
		}
		if b.row(name, []string{titleOf(name)}, []string{name}, append(columns, ""), append(cells, last)...) {
			at[name] = len(b.Rows) - 1
		}
	}
	b.note("The gain is that of the average: of R-AMT over zero-shot CLIP, of a stack over the method alone. What is stacked is trained on the masked encoder, with the same images.")
}

func layers(b *builder, wide bool) {
	b.Heads = []string{"method"}
	sets := b.sets(Sets())
	b.setColumns(sets)
	b.Columns = append(b.Columns, Column{Title: "MB stored", Digits: 3})
	source, err := Published("table15") // of which Table 4 is the means
	if err != nil {
		b.err = err
		return
	}
	storage := b.source
	b.source = source
	for _, name := range []string{"r-amt", "r-mmt", "r-pmt", "r-dmt"} {
		cells, columns := b.bySet(sets, func(set string) Setup { return b.options.setup(name, set, 16) })
		if !wide {
			for i := range cells[:len(cells)-1] {
				cells[i] = withoutSD(cells[i])
			}
		}
		size := Cell{}
		for _, c := range cells[:len(cells)-1] {
			for _, m := range c.Measures {
				m.Quantity = Size
				size.Measures = append(size.Measures, m)
			}
		}
		if !b.row(name, []string{titleOf(name)}, []string{name}, append(columns, ""), append(cells, size)...) {
			continue
		}
		row := &b.Rows[len(b.Rows)-1]
		if f, ok := storage.Figure([]string{name}, "storage_mb"); ok && !wide {
			row.Cells[len(row.Cells)-1].Paper = &f
		}
		for i := range row.Cells {
			if p := row.Cells[i].Paper; p != nil && !wide {
				p.HasSD = false
			}
		}
	}
	b.note("MB stored is the mean size of a mask file. Ours are compressed; the paper's 6.7, 14 and 19 MB are bits that its code pickles at about twice their size.")
	b.note("R-DMT's layers are chosen by the sign of the mean gradient; what counts as a layer is not published: here each weight tensor.")
}

// withoutSD is a cell that shows no ±: a mean of one measure and nothing else.
func withoutSD(c Cell) Cell {
	m := c.Measures
	return Cell{Derive: nil, Measures: append(slices.Clone(m), m...)}
}

// settingsRow is a row of ImageNet at 16 shots with some settings of its own: accuracy, gain over another row, sparsity.
func (b *builder) settingsRow(name, label string, s Setup, before int) {
	row := len(b.Rows)
	g := Cell{}
	if before >= 0 && before < row {
		g = gain(row, before, 0)
	}
	columns := []string{"accuracy", "gain", "sparsity"}
	b.row(name, []string{label}, []string{name}, columns, of(Accuracy, s), g, of(Sparsity, s))
}

func rules(b *builder) {
	b.Heads = []string{"rule"}
	b.Columns = []Column{{"accuracy", 2, false}, {"gain over AMT", 2, true}, {"sparsity, %", 2, false}}
	amt := b.imagenet("amt")
	b.settingsRow("amt", "AMT: cross-entropy alone", amt, -1)
	with := func(rule string) Setup {
		s := amt
		s.Settings = map[string]string{"rule": rule}
		return s
	}
	first := 0
	if !b.options.keep("amt") {
		first = -1
	}
	b.settingsRow("sum", "+ KL loss", with("sum"), first)
	b.settingsRow("agree", "AgreeGrad", with("agree"), first)
	b.settingsRow("prograd", "ProGrad", with("prograd"), first)
	if b.Name == "Table 12" {
		b.settingsRow("signdrop", "GradSignDrop", with("signdrop"), first)
	}
	leaks := []string{"1", "0.8", "0.5", "0.3", "0.1"}
	if b.Name == "Table 12" {
		leaks = leaks[:1]
	}
	for _, l := range leaks {
		s := b.imagenet("r-amt")
		if l != "1" { // ImageNet's own is 1
			s.Settings = map[string]string{"leak": l}
		}
		b.settingsRow("r-amt l="+l, "R-AMT, l = "+l, s, first)
	}
	b.note("Not published: the weight of the KL loss (1 here), AgreeGrad's variant (the sum of both gradients where their signs agree, and cross-entropy's alone while there is no second one), ProGrad's unit and λ (a tensor; 1), the leak of GradSignDrop (0).")
}

func thresholds(b *builder) {
	b.Heads = []string{"α"}
	b.Columns = []Column{{"accuracy", 2, false}, {"sparsity, %", 2, false}}
	for _, a := range []string{"0.004", "0.005", "0.006"} {
		s := b.imagenet("r-amt")
		if a != "0.005" {
			s.Settings = map[string]string{"threshold": a}
		}
		b.row(a, []string{a}, []string{a}, []string{"accuracy", "sparsity"}, of(Accuracy, s), of(Sparsity, s))
	}
	b.note("Scores start at 0.01. Since init, α and the learning rate may be scaled together without a change, this is a choice of how far scores have to travel.")
}

func statistics(b *builder) {
	b.Heads = []string{"data set"}
	b.columns(0, "classes", "train", "val", "test")
	sets := b.sets(Sets())
	if b.options.Sets == nil {
		sets = append(sets, shifted...)
	}
	for _, s := range sets {
		spec, ok := datasets.Lookup(s.ID)
		if !ok {
			continue
		}
		counts := []int{spec.Counts.Classes, spec.Counts.Train, spec.Counts.Val, spec.Counts.Test}
		ours := counts
		if b.options.World.Synthetic {
			ours = drawn(s.Synth)
		}
		var cells []Cell
		for i, n := range ours {
			v := float64(n)
			c := Cell{Fixed: &v}
			if b.options.World.Synthetic && counts[i] > 0 {
				c.Paper = &Figure{Mean: float64(counts[i])}
			}
			cells = append(cells, c)
		}
		label := s.Title
		if b.options.World.Synthetic {
			label = s.Synth + " (for " + s.Title + ")"
		}
		b.row(s.ID, []string{label}, nil, make([]string, 4), cells...)
	}
	b.note("No run is needed. ImageNet's validation images are its test images.")
}

// drawn are the sizes of a drawn task: classes, and images of train, val and test.
func drawn(name string) []int {
	of, shift, _ := strings.Cut(name, "-")
	task, _ := synth.Lookup(of)
	return []int{len(task.Classes), task.Len("train"), task.Len("val"), task.Len(cmp.Or(shift, "test"))}
}

func speed(b *builder) {
	b.Heads = []string{"method"}
	b.columns(2, "training", "inference")
	for _, name := range []string{"coop", "cocoop", "tip", "amt", "r-amt"} {
		s := b.imagenet(name)
		b.row(name, []string{titleOf(name)}, []string{name}, []string{"train", "inference"}, of(TrainRate, s), of(EvalRate, s))
	}
	b.note("The paper's are of an NVIDIA A100 and of its own program, and its text gives other figures for some of them: rates of two machines do not compare.")
	b.note("Ours are what the runs themselves took, training with all its passes and inference over the test images, whatever else the machine did.")
}

func ensembles(b *builder) {
	b.Heads = []string{"method"}
	b.Columns = []Column{{"accuracy", 2, false}, {"gain", 2, true}}
	at := map[string]int{}
	before := map[string]string{"r-amt": "zero-shot", "r-pmt": "zero-shot", "tip+r-amt": "tip", "tip+r-pmt": "tip"}
	for _, name := range []string{"zero-shot", "r-amt", "r-pmt", "tip", "tip+r-amt", "tip+r-pmt"} {
		s := b.imagenet(name)
		s.Ensemble = true
		g := Cell{}
		if from, ok := at[before[name]]; ok {
			g = gain(len(b.Rows), from, 0)
		}
		if b.row(name, []string{titleOf(name)}, []string{name}, []string{"accuracy", "gain"}, of(Accuracy, s), g) {
			at[name] = len(b.Rows) - 1
		}
	}
	b.note("Text features of seven prompts are normalised, averaged, and normalised again; the authors' code averages them as they are.")
	b.note("The paper's ±0.53 of TIP with R-PMT equals its gain, and is probably a slip.")
}

func backbones(b *builder) {
	b.Heads = []string{"method"}
	for _, m := range Backbones() {
		b.columns(2, m)
		if b.options.World.Backbones[m].Name == "" && b.err == nil {
			b.err = fmt.Errorf("there is no backbone %s; give, by -backbones, a folder with models of these kinds in it; fewshot pretrain -arch %[1]s -out FOLDER/%[2]s makes a small one", m, strings.ReplaceAll(m, "/", "-"))
		}
	}
	for _, name := range []string{"zero-shot", "vpt-deep", "coop", "clip-adapter", "tip", "upt", "plot", "r-amt", "r-pmt"} {
		var cells []Cell
		for _, m := range Backbones() {
			s := b.imagenet(name)
			s.Backbone = m
			c := of(Accuracy, s)
			if resnet := strings.HasPrefix(m, "RN"); resnet && slices.Contains([]string{"r-amt", "vpt-deep", "upt"}, name) || !resnet && name == "plot" || m == "ViT-B/32" && slices.Contains([]string{"vpt-deep", "upt"}, name) || m == "RN101" && name == "plot" {
				c = Cell{} // as in the paper: without attention blocks there is nothing to mask, or no place for tokens
			}
			cells = append(cells, c)
		}
		b.row(name, []string{titleOf(name)}, []string{name}, Backbones(), cells...)
	}
	b.note("R-AMT masks the attention of transformers, of which a ResNet has none. Rows of methods that the paper took from elsewhere are filled where it filled them.")
}

func finetuning(b *builder) {
	b.Heads = []string{"method"}
	b.columns(2, "accuracy")
	for _, name := range []string{"zero-shot", "finetune", "linear-probe", "amt", "r-amt"} {
		b.row(name, []string{titleOf(name)}, []string{name}, []string{"accuracy"}, of(Accuracy, b.imagenet(name)))
	}
	b.note("The paper does not say how it fine-tuned; ours is AdamW on all weights of the image encoder. Its linear probe is at the level of an RN50.")
}

func encoders(b *builder) {
	b.Heads = []string{"encoder"}
	b.Columns = []Column{{"accuracy", 2, false}, {"seconds an image", 4, false}}
	for _, e := range rmt.Encoders() {
		s := b.imagenet("r-amt")
		if e != "image" {
			s.Settings = map[string]string{"encoder": e}
		}
		b.row(e, []string{e}, []string{e}, []string{"accuracy", "seconds"}, of(Accuracy, s), of(TrainTime, s))
	}
	b.note("Seconds an image are of training, of whatever machine it was.")
}

func granularities(b *builder) {
	b.Heads = []string{"granularity"}
	b.columns(2, "accuracy")
	b.row("zero-shot", []string{titleOf("zero-shot")}, []string{"zero-shot"}, []string{"accuracy"}, of(Accuracy, b.imagenet("zero-shot")))
	for _, g := range []string{"filter", "channel", "weight"} {
		s := b.imagenet("r-amt")
		if g != "weight" {
			s.Settings = map[string]string{"granularity": g}
		}
		b.row(g, []string{g}, []string{g}, []string{"accuracy"}, of(Accuracy, s))
	}
	b.note("Of a filter (a row) or a channel (a column) the gradient is the sum of its weights'; how the paper forms the purity of these sums is not published.")
}

// inTable17 is the order of Table 17.
var inTable17 = []string{"fgvc_aircraft", "imagenet", "oxford_pets", "oxford_flowers", "eurosat", "stanford_cars", "caltech101", "ucf101", "food101", "sun397", "dtd"}

// sets17 are the data sets in that order.
func sets17() (all []Set) {
	for _, id := range inTable17 {
		for _, s := range Sets() {
			if s.ID == id {
				all = append(all, s)
			}
		}
	}
	return all
}

func curves(b *builder) {
	b.Heads = []string{"shots", "method"}
	sets := b.sets(sets17())
	b.setColumns(sets)
	cells, columns := b.bySet(sets, func(set string) Setup { return b.options.setup("zero-shot", set, 0) })
	b.row("zero-shot", []string{"0", titleOf("zero-shot")}, []string{"0", "zero-shot"}, columns, cells...)
	b.shots = []int{1, 2, 4, 8, 16}
	shots := slices.Clone(b.options.shots(b.shots))
	slices.SortFunc(shots, func(a, b int) int { return b - a })
	for _, n := range shots {
		at := strconv.Itoa(n)
		for _, name := range []string{"linear-probe", "coop", "tip", "prograd", "vpt-deep", "upt", "amt", "r-amt"} {
			cells, columns := b.bySet(sets, func(set string) Setup { return b.options.setup(name, set, n) })
			b.row(name, []string{at, titleOf(name)}, []string{at, name}, columns, cells...)
		}
	}
	b.noteTravel()
	b.note("At 8 shots the paper prints equal error bars for AMT and R-AMT in nine of eleven columns. Its rows of VPT and UPT are UPT's; its linear probe is at the level of an RN50.")
}
