package tests

import (
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/rmt"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var tinyPrompts = [][]int32{{14, 3, 5, 15}, {14, 7, 15}, {14, 1, 2, 3, 4, 5, 6, 15}}

// A run of 2SFS that is stopped in either stage or between them ends in the same bits.
func TestTwoStageResumes(t *testing.T) {
	dev := open(t, "cpu", 1)
	images, labels := parityImages(dev, 5, 4, 16), []int32{0, 1, 2, 0}
	c := probe.DefaultTwoStage(1)
	c.Iterations, c.LR = 6, 1e-2 // three and three
	c.First = 0.5
	start := func() (*probe.TwoStage, *train.Trainer) {
		clip := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
		l, err := probe.NewTwoStage(clip.student, clip.text, tinyPrompts, 10, c)
		if err != nil {
			t.Fatal(err)
		}
		return l, train.New(dev, l, tensor.NewKey(1), 0)
	}
	step := func(tr *train.Trainer, upTo int) {
		for tr.Steps() < upTo {
			if _, err := tr.Step(t.Context(), images, labels, c.Schedule()(tr.Steps())); err != nil {
				t.Fatal(err)
			}
		}
	}
	values := func(l *probe.TwoStage) (v []float32) {
		for _, g := range l.Groups() {
			for _, p := range g.Params {
				v = append(v, p.Value.Floats()...)
			}
		}
		return v
	}
	l, tr := start()
	step(tr, c.Iterations)
	want := values(l)
	for stop := 1; stop < c.Iterations; stop++ {
		dir := t.TempDir()
		_, tr := start()
		step(tr, stop)
		if err := train.SaveState(dir, tr, train.Position{}, train.Progress{}, nil); err != nil {
			t.Fatal(err)
		}
		l, tr = start()
		if _, found, err := train.RestoreState(dir, tr, nil, nil); err != nil || !found {
			t.Fatal(found, err)
		}
		step(tr, c.Iterations)
		if !slices.Equal(values(l), want) {
			t.Errorf("stopped after step %d, it ends elsewhere", stop)
		}
	}
}

// Weights are trained in float32 where the encoder computes in bfloat16: steps too small for that move them, and layers
// see them rounded.
func TestFinetuneInBF16(t *testing.T) {
	dev := open(t, "cpu bf16", 1)
	clip := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
	head := train.Head{Classes: from(dev, tensor.Full, clip.textFeatures(dev, tinyPrompts), 3, 8), Scale: 1}
	l, err := probe.NewFinetune(clip.student, head, probe.DefaultFinetune(""))
	if err != nil {
		t.Fatal(err)
	}
	before := map[string][]float32{}
	for _, p := range l.Weights() {
		before[p.Name] = p.Value.Floats()
	}
	images, labels := parityImages(dev, 5, 4, 16), []int32{0, 1, 2, 0}
	tr := train.New(dev, l, tensor.NewKey(1), 0)
	const lr = 1e-5
	if _, err := tr.Step(t.Context(), images, labels, lr); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Weights() {
		moved := 0
		for i, v := range p.Value.Floats() {
			d := math.Abs(float64(v - before[p.Name][i]))
			if d > 1.1*lr+1e-6*math.Abs(float64(v)) {
				t.Fatalf("%s, element %d moved by %g in a step of %g", p.Name, i, d, lr)
			}
			if d > 0.5*lr {
				moved++
			}
		}
		if moved < p.Value.Len()/2 && p.Name != "visual.transformer.resblocks.1.attn.in_proj_bias" {
			t.Errorf("%s: %d of %d elements moved", p.Name, moved, p.Value.Len())
		}
	}
	if err := tr.Release(); err != nil {
		t.Fatal(err)
	}
	l.Detach()
}

func TestWeightsBadInput(t *testing.T) {
	dev := open(t, "cpu", 1)
	clip := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
	head := train.Head{Classes: from(dev, tensor.Full, clip.textFeatures(dev, tinyPrompts), 3, 8), Scale: 1}
	finetune := func(change func(*probe.FinetuneConfig)) error {
		c := probe.DefaultFinetune("")
		change(&c)
		_, err := probe.NewFinetune(clip.student, head, c)
		return err
	}
	two := func(change func(*probe.TwoStageConfig)) error {
		c := probe.DefaultTwoStage(4)
		change(&c)
		_, err := probe.NewTwoStage(clip.student, clip.text, tinyPrompts, 1, c)
		return err
	}
	masked := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
	params, err := rmt.Select(masked.student.Params(), patterns(t, false))
	if err != nil {
		t.Fatal(err)
	}
	rmt.Attach(params, 0.01, 0.005)
	_, overMask := probe.NewFinetune(masked.student, head, probe.DefaultFinetune(""))
	for _, c := range []struct {
		err  error
		want string
	}{
		{finetune(func(c *probe.FinetuneConfig) { c.Wise = 1.5 }), "wise 1.5 must lie in [0, 1]"},
		{finetune(func(c *probe.FinetuneConfig) { c.LR = math.Inf(1) }), "learning rate +Inf"},
		{finetune(func(c *probe.FinetuneConfig) { c.Epochs = 0 }), "epochs 0"},
		{overMask, "is under a mask"},
		{two(func(c *probe.TwoStageConfig) { c.LN = "some" }), `layer norms "some": there are released and all`},
		{two(func(c *probe.TwoStageConfig) { c.Iterations = 1 }), "two stages need at least 2"},
		{two(func(c *probe.TwoStageConfig) { c.First = 0.0001 }), "leaves a stage without any"},
		{two(func(c *probe.TwoStageConfig) { c.LeastLR = 1 }), "must be no more and not negative"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", c.err, c.want)
		}
	}
	// What was refused left the encoder as it was.
	for _, p := range masked.student.Params() {
		if p.Trainable {
			t.Errorf("%s is still to be trained", p.Name)
		}
	}
}
