package paper

import (
	"fmt"
	"slices"
	"strings"

	"fewshot/rmt"
)

func shift(b *builder) {
	b.Heads = []string{"method"}
	sets := slices.Concat(Sets()[:1], shifted)
	var ids []string
	for _, s := range sets {
		ids = append(ids, s.ID)
	}
	b.setColumns(sets)
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
	b.accuracies("accuracy")
	b.Columns = append(b.Columns, Column{Title: "gain over AMT", Digits: 2, Signed: true}, Column{Title: "sparsity, %", Digits: 2})
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
	b.accuracies("accuracy")
	b.columns(2, "sparsity, %")
	for _, a := range []string{"0.004", "0.005", "0.006"} {
		s := b.imagenet("r-amt")
		if a != "0.005" {
			s.Settings = map[string]string{"threshold": a}
		}
		b.row(a, []string{a}, []string{a}, []string{"accuracy", "sparsity"}, of(Accuracy, s), of(Sparsity, s))
	}
	b.note("Scores start at 0.01. Since init, α and the learning rate may be scaled together without a change, this is a choice of how far scores have to travel.")
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
	b.accuracies("accuracy")
	b.Columns = append(b.Columns, Column{Title: "gain", Digits: 2, Signed: true})
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
		b.accuracies(m)
		if b.options.World.Backbones[m].Name == "" && b.err == nil {
			b.err = fmt.Errorf("there is no backbone %s; give, by -backbones, a folder with models of these kinds in it; fewshot pretrain -arch %[1]s -out FOLDER/%[2]s makes a small one", m, strings.ReplaceAll(m, "/", "-"))
		}
	}
	methods := []string{"zero-shot", "vpt-deep", "coop", "clip-adapter", "tip", "upt", "plot", "r-amt", "r-pmt"}
	var others []int // rows that are not of the paper's own methods
	for _, name := range methods {
		var cells []Cell
		for _, m := range Backbones() {
			s := b.imagenet(name)
			s.Backbone = m
			c := Cell{}
			if !slices.Contains(blank[m], name) {
				c = of(Accuracy, s)
			}
			cells = append(cells, c)
		}
		if b.row(name, []string{titleOf(name)}, []string{name}, Backbones(), cells...) && !isMask(name) {
			others = append(others, len(b.Rows)-1)
		}
	}
	if last := len(b.Rows) - 1; last >= 0 && b.Rows[last].Name == "r-pmt" && len(others) == len(methods)-2 {
		b.gains(last, others)
	}
	b.note("R-AMT masks the attention of transformers, of which a ResNet has none. Rows of methods that the paper took from elsewhere are filled where it filled them.")
}

// blank are the places that the paper left empty in Table 10: a ResNet has no blocks whose attention could be masked, and none to put tokens
// into; others were not published.
var blank = map[string][]string{
	"RN50":     {"vpt-deep", "upt", "r-amt"},
	"RN101":    {"vpt-deep", "upt", "plot", "r-amt"},
	"ViT-B/16": {"plot"},
	"ViT-B/32": {"vpt-deep", "upt", "plot"},
}

// gains is a row of how far a row is above the best of others, by column.
func (b *builder) gains(row int, others []int) {
	var cells []Cell
	for j := range b.Columns {
		cells = append(cells, Cell{Signed: true, Derive: func(at func(row, column int) Stat) Stat {
			parts := []Stat{at(row, j)}
			best := 0.0
			for _, i := range others {
				if len(b.Rows[i].Cells[j].Measures) > 0 {
					parts, best = append(parts, at(i, j)), max(best, at(i, j).Mean)
				}
			}
			return Stat{Mean: parts[0].Mean - best}.whole(parts...)
		}})
	}
	b.row("r-pmt", []string{"gain over the best other method"}, []string{"gain"}, Backbones(), cells...)
}

func finetuning(b *builder) {
	b.Heads = []string{"method"}
	b.accuracies("accuracy")
	for _, name := range []string{"zero-shot", "finetune", "linear-probe", "amt", "r-amt"} {
		b.row(name, []string{titleOf(name)}, []string{name}, []string{"accuracy"}, of(Accuracy, b.imagenet(name)))
	}
	b.note("The paper does not say how it fine-tuned; ours is AdamW on all weights of the image encoder. Its linear probe is at the level of an RN50.")
}

func encoders(b *builder) {
	b.Heads = []string{"encoder"}
	b.accuracies("accuracy")
	b.columns(4, "seconds an image")
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
	b.accuracies("accuracy")
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
