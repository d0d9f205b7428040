package adapter

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

const toyClasses, toyWidth, toyShots, toyPasses = 3, 8, 4, 2

// bench is features of three clouds, and texts near their centres.
type bench struct {
	dev    *tensor.Device
	passes *tensor.Tensor // [2, 12, 8]
	labels []int32
	text   *tensor.Tensor
	val    probe.Features
}

func newBench(t *testing.T, device string) *bench {
	t.Helper()
	dev, err := tensor.Open(device, tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	b := &bench{dev: dev}
	centre := func(c, j int) float64 { return tensor.NewKey(1).Fold(uint64(c)).Normal(uint64(j)) }
	cloud := func(key tensor.Key, n int, wide float64) (v []float64, labels []int32) {
		for i := range n {
			labels = append(labels, int32(i%toyClasses))
			for j := range toyWidth {
				v = append(v, centre(i%toyClasses, j)+wide*key.Fold(uint64(i)).Normal(uint64(j)))
			}
		}
		return v, labels
	}
	put := func(v []float64, shape ...int) *tensor.Tensor {
		x := dev.New(tensor.Full, shape...)
		x.SetFloat64(v)
		return x
	}
	const n = toyClasses * toyShots
	one, labels := cloud(tensor.NewKey(2), n, 0.5)
	two, _ := cloud(tensor.NewKey(3), n, 0.5)
	b.passes, b.labels = put(append(one, two...), toyPasses, n, toyWidth), labels
	words, _ := cloud(tensor.NewKey(4), toyClasses, 1.5)
	b.text = put(words, toyClasses, toyWidth)
	norm := dev.New(tensor.Full, toyClasses)
	tensor.L2Normalize(b.text, norm, b.text)
	seen, seenLabels := cloud(tensor.NewKey(5), 15, 0.8)
	b.val = probe.Features{X: put(seen, 15, toyWidth), Labels: seenLabels}
	return b
}

func (b *bench) tip(t *testing.T) *Tip {
	t.Helper()
	tip, err := NewTip(b.passes, b.labels, b.text, DefaultTip("dtd"))
	if err != nil {
		t.Fatal(err)
	}
	return tip
}

// run trains a learner on cached features, from a checkpoint in dir if there is one, until stop says so.
func (b *bench) run(t *testing.T, l train.Learner, epochs int, dir string, stop func(train.Position) bool) (losses []float64) {
	t.Helper()
	trainer := train.New(b.dev, l, tensor.NewKey(6), 0)
	s, _, err := train.RestoreState(dir, trainer, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := train.Run{Trainer: trainer, Epochs: epochs, Schedule: func(int) float64 { return 0.01 }, At: s.At, Done: s.Done,
		Data: &train.Cached{Passes: b.passes, Labels: b.labels, Batch: 5, Key: tensor.NewKey(7)},
		Step: func(p train.Position, s train.Stats) error {
			losses = append(losses, s.Loss)
			if stop != nil && stop(p) {
				cancel()
			}
			return nil
		},
	}
	r.Save = func(p train.Position) error {
		if ctx.Err() == nil {
			return nil
		}
		return train.SaveState(dir, trainer, p, r.Done, nil)
	}
	if err := r.Train(ctx); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return losses
}

// learners are all methods on features, anew, with what they leave.
func (b *bench) learners(t *testing.T) map[string]func() (train.Learner, func() []float64) {
	values := func(f func(*autograd.Var) *autograd.Var) []float64 {
		tape := autograd.NoGrad(b.dev)
		defer tape.Release()
		return f(tape.Const(b.val.X)).Value.Float64s()
	}
	return map[string]func() (train.Learner, func() []float64){
		"tip-adapter-f": func() (train.Learner, func() []float64) {
			tip := b.tip(t)
			l, err := NewTipF(tip, train.Identity{}, b.val, DefaultTipF(""))
			if err != nil {
				t.Fatal(err)
			}
			return l, func() []float64 { l.Best(); return values(tip.Logits) }
		},
		"clip-adapter": func() (train.Learner, func() []float64) {
			c := DefaultClipAdapter("", 4)
			a, err := NewClipAdapter(train.Head{Classes: b.text, Scale: 20}, c)
			if err != nil {
				t.Fatal(err)
			}
			return a.Learner(train.Identity{}, c), func() []float64 { return values(a.Logits) }
		},
		"taskres": func() (train.Learner, func() []float64) {
			c := DefaultTaskRes("", 4)
			r, err := NewTaskRes(b.text, 20, c)
			if err != nil {
				t.Fatal(err)
			}
			return r.Learner(train.Identity{}, c), func() []float64 { return values(r.Logits) }
		},
	}
}

// A run that is stopped anywhere and goes on leaves the same bits, best epoch included; and all methods learn.
func TestResume(t *testing.T) {
	b := newBench(t, "cpu")
	const epochs = 6
	for name, make := range b.learners(t) {
		l, result := make()
		losses := b.run(t, l, epochs, t.TempDir(), nil)
		want := result()
		if first, last := losses[0]+losses[1]+losses[2], losses[len(losses)-1]+losses[len(losses)-2]+losses[len(losses)-3]; !(last < first) {
			t.Errorf("%s: three losses add up to %g in the first epoch and %g in the last", name, first, last)
		}
		dir := t.TempDir()
		for stop := 1; stop < epochs*3; stop += 4 {
			l, _ := make()
			b.run(t, l, epochs, dir, func(p train.Position) bool { return p.Epoch*3+p.Batch == stop })
		}
		l, result = make()
		b.run(t, l, epochs, dir, nil)
		if got := result(); !slices.Equal(got, want) {
			t.Errorf("%s: stopped four times, the run leaves other logits:\n%v\n%v", name, got, want)
		}
	}
}

// What is trained, sums by class, is what is evaluated, a product with Values: to a rounding, whatever the order and
// the number of images of a class.
func TestTipFTrainsWhatIsEvaluated(t *testing.T) {
	b := newBench(t, "ref")
	labels := slices.Clone(b.labels)
	slices.Reverse(labels)
	labels[0], labels[5] = 0, 1
	tip, err := NewTip(b.passes, labels, b.text, DefaultTip("dtd"))
	if err != nil {
		t.Fatal(err)
	}
	tip.Beta = 5.5
	tape := autograd.NewTape(b.dev)
	defer tape.Release()
	x := tape.Const(b.val.X)
	want := tip.Logits(x).Value.Float64s()
	for i, v := range tip.learnable(autograd.L2Normalize(x), tape.Leaf(tip.Keys)).Value.Float64s() {
		// β(A−1), at most 2β in size and as exact, is the exponent of a sum of twelve.
		if bound := (tip.Scale + tip.Alpha*12*4*tip.Beta) * toyWidth * 0x1p-52; math.Abs(v-want[i]) > bound {
			t.Fatalf("logit %d is %.17g in training, %.17g after it", i, v, want[i])
		}
	}
}

// Keys get better by an epoch or stay; a tie stays with the earlier epoch.
func TestTipFKeepsTheBestEpoch(t *testing.T) {
	b := newBench(t, "ref")
	tip := b.tip(t)
	l, err := NewTipF(tip, train.Identity{}, b.val, DefaultTipF(""))
	if err != nil {
		t.Fatal(err)
	}
	start := tip.Keys.Float64s()
	l.EndEpoch(0)
	tensor.Scale(tip.Keys, tip.Keys, 1.0001) // as good as before
	l.EndEpoch(1)
	tensor.Fill(tip.Keys, 0)
	tensor.Fill(tip.Values, 1) // nothing but text
	epoch, correct := l.Best()
	if epoch != 1 || correct < 1 || !slices.Equal(tip.Keys.Float64s(), start) {
		t.Errorf("epoch %d with %d right is kept, want the first", epoch, correct)
	}
}

// Before it has learned anything, TaskRes is the text classifier.
func TestTaskResStartsAtZeroShot(t *testing.T) {
	b := newBench(t, "ref")
	r, err := NewTaskRes(b.text, 20, DefaultTaskRes("", 4))
	if err != nil {
		t.Fatal(err)
	}
	tape := autograd.NoGrad(b.dev)
	defer tape.Release()
	x := tape.Const(b.val.X)
	got, want := r.Logits(x).Value.Float64s(), train.Head{Classes: b.text, Scale: 20}.Logits(x).Value.Float64s()
	for i := range want {
		if math.Abs(got[i]-want[i]) > 20*8*0x1p-52 {
			t.Fatalf("logit %d is %.17g, zero-shot %.17g", i, got[i], want[i])
		}
	}
}

func TestBadInput(t *testing.T) {
	b := newBench(t, "cpu")
	tipOf := func(change func(*TipConfig), labels []int32) error {
		c := DefaultTip("")
		if change != nil {
			change(&c)
		}
		_, err := NewTip(b.passes, labels, b.text, c)
		return err
	}
	twoClasses := slices.Clone(b.labels)
	for i, l := range twoClasses {
		twoClasses[i] = min(l, 1)
	}
	search := func(val probe.Features) error {
		_, err := b.tip(t).Search(val, DefaultTip(""))
		return err
	}
	tipF := func(val probe.Features, change func(*TipFConfig)) error {
		c := DefaultTipF("")
		if change != nil {
			change(&c)
		}
		_, err := NewTipF(b.tip(t), train.Identity{}, val, c)
		return err
	}
	clip := func(change func(*ClipAdapterConfig)) error {
		c := DefaultClipAdapter("", 16)
		change(&c)
		_, err := NewClipAdapter(train.Head{Classes: b.text, Scale: 1}, c)
		return err
	}
	res := func(change func(*TaskResConfig)) error {
		c := DefaultTaskRes("", 16)
		change(&c)
		_, err := NewTaskRes(b.text, 1, c)
		return err
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{tipOf(nil, twoClasses), "class 2 has no training images"},
		{tipOf(nil, b.labels[:3]), "24 training features for 6 labels"},
		{tipOf(func(c *TipConfig) { c.MostBeta = 0.1 }, b.labels), "must be more"},
		{tipOf(func(c *TipConfig) { c.Alpha = math.NaN() }, b.labels), "not a finite number"},
		{tipOf(func(c *TipConfig) { c.BetaSteps = 0 }, b.labels), "at least 1"},
		{search(probe.Features{}), "chooses alpha and beta by validation images, and there are none"},
		{tipF(probe.Features{}, nil), "chooses its epoch by validation images, and there are none"},
		{tipF(b.val, func(c *TipFConfig) { c.Epochs = 0 }), "epochs 0"},
		{tipF(b.val, func(c *TipFConfig) { c.LR = -1 }), "learning rate -1"},
		{tipF(b.val, func(c *TipFConfig) { c.Batch = 0 }), "batch 0"},
		{clip(func(c *ClipAdapterConfig) { c.Ratio = 0 }), "ratio 0"},
		{clip(func(c *ClipAdapterConfig) { c.Reduction = 9 }), "reduction 9 leaves nothing of features of 8 numbers"},
		{clip(func(c *ClipAdapterConfig) { c.Decay = math.NaN() }), "weight decay NaN"},
		{res(func(c *TaskResConfig) { c.Alpha = 0 }), "alpha 0"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", c.err, c.want)
		}
	}
}
