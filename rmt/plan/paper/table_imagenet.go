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
