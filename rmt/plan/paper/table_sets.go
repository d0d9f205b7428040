package paper

import (
	"slices"
	"strconv"
)

// stacks is methods alone, and trained on the encoder that R-AMT has masked.
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
		if b.row(name, []string{titleOf(name)}, []string{name}, append(columns, b.ofSets("gain")), append(cells, last)...) {
			at[name] = len(b.Rows) - 1
		}
	}
	b.note("The gain is that of the average: of R-AMT over zero-shot CLIP, of a stack over the method alone. What is stacked is trained on the masked encoder, with the same images.")
}

// layers compares the kinds of layers that are masked, wide with standard deviations.
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
		for i := range cells {
			cells[i].Plain = !wide
		}
		size := Cell{Plain: true}
		for _, m := range cells[len(cells)-1].Measures {
			m.Quantity = Size
			size.Measures = append(size.Measures, m)
		}
		if !b.row(name, []string{titleOf(name)}, []string{name}, append(columns, ""), append(cells, size)...) {
			continue
		}
		row := &b.Rows[len(b.Rows)-1]
		if f, ok := storage.Figure([]string{name}, "storage_mb"); ok && !wide {
			row.Cells[len(row.Cells)-1].Paper = &f
		}
	}
	b.note("MB stored is the mean size of a mask file. Ours are compressed; the paper's 6.7, 14 and 19 MB are bits that its code pickles at about twice their size.")
	b.note("R-DMT's layers are chosen by the sign of the mean gradient; what counts as a layer is not published: here each weight tensor.")
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

// curves are all numbers of shots.
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

// noteTravel is about the paper's settings at few images.
func (b *builder) noteTravel() {
	b.note("With the published learning rate and epochs, masks cannot move at few images (small data sets of 1 to 4 shots): the paper's settings there are not published.")
}
