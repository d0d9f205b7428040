package adapter

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// toySource are the weights of a CLIP of two layers in each encoder, one head of 64, images of 8 by 8 pixels and texts of 8 tokens.
type toySource map[string][]int

const toyEmbed = 8

func newToySource() toySource {
	const w = 64
	s := toySource{
		"text_projection": {w, toyEmbed}, "positional_embedding": {8, w}, "token_embedding.weight": {16, w}, "ln_final.weight": {w}, "ln_final.bias": {w},
		"visual.class_embedding": {w}, "visual.positional_embedding": {5, w}, "visual.conv1.weight": {w, 3, 4, 4}, "visual.proj": {w, toyEmbed},
		"visual.ln_pre.weight": {w}, "visual.ln_pre.bias": {w}, "visual.ln_post.weight": {w}, "visual.ln_post.bias": {w},
	}
	for _, tower := range []string{"", "visual."} {
		for i := range 2 {
			p := fmt.Sprintf("%stransformer.resblocks.%d.", tower, i)
			maps.Copy(s, toySource{p + "attn.in_proj_weight": {3 * w, w}, p + "attn.in_proj_bias": {3 * w}, p + "attn.out_proj.weight": {w, w}, p + "attn.out_proj.bias": {w},
				p + "ln_1.weight": {w}, p + "ln_1.bias": {w}, p + "ln_2.weight": {w}, p + "ln_2.bias": {w}, p + "mlp.c_fc.weight": {4 * w, w}, p + "mlp.c_fc.bias": {4 * w},
				p + "mlp.c_proj.weight": {w, 4 * w}, p + "mlp.c_proj.bias": {w}})
		}
	}
	return s
}

func (s toySource) Names() []string { return slices.Sorted(maps.Keys(s)) }

func (s toySource) Shape(name string) ([]int, bool) {
	shape, ok := s[name]
	return shape, ok
}

func (s toySource) Read(name string, dst []float32) error {
	key, shape := tensor.NewKey(1).Name(name), s[name]
	for i := range dst {
		v := key.Normal(uint64(i))
		switch {
		case strings.Contains(name, "ln_") && strings.HasSuffix(name, "weight"):
			v = 1 + 0.1*v
		case len(shape) > 1:
			v *= math.Sqrt(float64(shape[0]) / float64(len(dst)))
		default:
			v *= 0.1
		}
		dst[i] = float32(v)
	}
	return nil
}

// toyCLIP are its encoders.
type toyCLIP struct {
	dev   *tensor.Device
	image vit.Image
	text  *text.Encoder
}

// toyPrompts share their beginning; 15 is the end-of-text token.
var toyPrompts = [][]int32{{14, 3, 5, 15, 0}, {14, 3, 7, 2, 15}, {14, 3, 15, 0, 0}}

func newToyCLIP(t *testing.T, device string) toyCLIP {
	t.Helper()
	dev, err := tensor.Open(device, tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	src := newToySource()
	arch, err := vit.ArchOf(src, vit.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tc, err := text.ConfigOf(src, text.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := nn.NewWeights(dev, src)
	c := toyCLIP{dev, arch.Build(w), text.New(w, tc)}
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c toyCLIP) head() train.Head {
	return train.Head{Classes: text.Ensemble(c.text, c.dev, toyPrompts, 1, text.NormalizeFirst), Scale: 20}
}

// images are n of them with labels.
func (c toyCLIP) images(n int) (*tensor.Tensor, []int32) {
	x := c.dev.New(tensor.Compute, n, 3, 8, 8)
	tensor.Normal(x, tensor.NewKey(9))
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(i % len(toyPrompts))
	}
	return x, labels
}

// start is a LoRA whose paths do something already.
func (c toyCLIP) start(t *testing.T, change func(*LoRAConfig)) *LoRA {
	t.Helper()
	s := DefaultLoRA(1)
	s.Batch, s.Params, s.LogitScale = 6, []string{"q", "k", "v", "o"}, 0
	if change != nil {
		change(&s)
	}
	l, err := NewLoRA(c.image, c.text, toyPrompts, c.head(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.group.Params {
		if strings.HasSuffix(p.Name, "_B") {
			uniform(p.Value, tensor.NewKey(4).Name(p.Name), 0.5)
		}
	}
	return l
}

// Parts of a batch see the numbers of the dropout that the batch does, and so gradients are those of the batch.
func TestLoRAInParts(t *testing.T) {
	c := newToyCLIP(t, "ref")
	images, labels := c.images(5) // not as many as a batch may have
	var want [][]float64
	for _, micro := range []int{0, 2} {
		l := c.start(t, nil)
		tr := train.New(c.dev, l, tensor.NewKey(1), micro)
		_, grads, err := tr.Gradients(t.Context(), images, labels)
		if err != nil {
			t.Fatal(err)
		}
		if len(grads) != 2*4*2*2 {
			t.Fatalf("%d trained tensors, want A and B of four paths in each of two blocks of both encoders", len(grads))
		}
		for i, g := range grads {
			v := g[0].Float64s()
			if micro == 0 {
				want = append(want, v)
				continue
			}
			for j := range v {
				if math.Abs(v[j]-want[i][j]) > 1e-12 {
					t.Errorf("%s, element %d: %g in parts, %g at once", l.group.Params[i].Name, j, v[j], want[i][j])
					break
				}
			}
		}
		if err := tr.Release(); err != nil {
			t.Fatal(err)
		}
		l.Detach()
	}
}

// More prompts than are kept in memory at a time: the gradients are those of all at once.
func TestLoRAOfManyPrompts(t *testing.T) {
	c := newToyCLIP(t, "ref")
	var many [][]int32
	for i := range 300 { // of 1800 tokens
		many = append(many, []int32{14, int32(1 + i%12), int32(1 + i/12%12), int32(1 + i/144), 3, 15})
	}
	whole := text.Ensemble(c.text, c.dev, many, 1, text.NormalizeFirst)
	images, labels := c.images(3)
	for _, dropout := range []float64{0, 0.25} {
		s := DefaultLoRA(1)
		s.Batch, s.Dropout, s.Encoder, s.LogitScale = 3, dropout, "text", 20
		l, err := NewLoRA(c.image, c.text, many, train.Head{Classes: whole, Scale: 20}, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range l.group.Params {
			if strings.HasSuffix(p.Name, "_B") {
				uniform(p.Value, tensor.NewKey(4).Name(p.Name), 0.5)
			}
		}
		tr := train.New(c.dev, l, tensor.NewKey(1), 0)
		_, grads, err := tr.Gradients(t.Context(), images, labels)
		if err != nil {
			t.Fatal(err)
		}
		l.Begin(0)
		tape := autograd.NewTape(c.dev)
		l.learning, l.batch = true, 3
		classes := autograd.L2Normalize(l.encodePart(tape, many, 0))
		l.learning = false
		f := autograd.L2Normalize(c.image.Encode(tape.Const(images)))
		want := autograd.Backward(autograd.CrossEntropy(autograd.Scale(autograd.Linear(f, classes, nil), 20), labels))
		for i, p := range l.group.Params {
			w, g := want.Of(p.Value).Index(0).Float64s(), grads[i][0].Float64s()
			for j := range w {
				if math.Abs(w[j]-g[j]) > 1e-12 {
					t.Fatalf("dropout %g, %s, element %d: %g in parts, %g at once", dropout, p.Name, j, g[j], w[j])
				}
			}
		}
		tape.Release()
		if err := tr.Release(); err != nil {
			t.Fatal(err)
		}
		l.Detach()
	}
}

// Without dropout the paths are a matrix added to the weights, in training and after it; off again, nothing is left of them.
func TestLoRAIsASum(t *testing.T) {
	c := newToyCLIP(t, "ref")
	images, labels := c.images(4)
	logits := func(m train.Classifier) []float64 {
		tape := autograd.NoGrad(c.dev)
		defer tape.Release()
		return m.Logits(tape.Const(images)).Value.Float64s()
	}
	bare := logits(train.Model{Encoder: c.image, Head: c.head()})
	l := c.start(t, func(s *LoRAConfig) { s.Dropout = 0 })
	got := logits(l.Model())
	tr := train.New(c.dev, l, tensor.NewKey(1), 0)
	stats, err := tr.Step(t.Context(), images, labels, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Release(); err != nil {
		t.Fatal(err)
	}
	loss := 0.0
	for i, y := range labels {
		row, sum := got[i*3:i*3+3], 0.0
		for _, z := range row {
			sum += math.Exp(z)
		}
		loss += (math.Log(sum) - row[y]) / float64(len(labels))
	}
	if math.Abs(stats.Loss-loss) > 1e-12 {
		t.Errorf("the loss in training is %.15g, that of the model's logits %.15g", stats.Loss, loss)
	}
	folded := map[*nn.Param][]float32{}
	tape := autograd.NoGrad(c.dev)
	for _, s := range l.sites {
		folded[s.weight] = s.weight.Folded(tape)
	}
	tape.Release()
	l.Detach()
	if back := logits(train.Model{Encoder: c.image, Head: c.head()}); !slices.Equal(back, bare) {
		t.Error("paths taken off left something")
	}
	// The same by hand.
	before := map[*nn.Param][]float64{}
	for _, s := range l.sites {
		v := s.weight.Value.Float64s()
		before[s.weight] = slices.Clone(v)
		d := s.weight.Value.Dim(1)
		for _, p := range s.paths {
			a, b, r := p.a.Value.Float64s(), p.b.Value.Float64s(), l.Config.Rank
			for i := range d {
				for j := range d {
					for k := range r {
						v[(p.at+i)*d+j] += l.Config.Alpha / math.Sqrt(float64(r)) * b[i*r+k] * a[k*d+j]
					}
				}
			}
		}
		s.weight.Value.SetFloat64(v)
		for i, w := range folded[s.weight] {
			if math.Abs(float64(w)-v[i]) > 1e-6*(1+math.Abs(v[i])) { // float32
				t.Fatalf("%s folded is %g at %d, by hand %g", s.weight.Name, w, i, v[i])
			}
		}
	}
	by := logits(train.Model{Encoder: c.image, Head: c.head()})
	for i := range by {
		if math.Abs(by[i]-got[i]) > 1e-11 {
			t.Errorf("logit %d is %.15g with paths, %.15g with their sum in the weights", i, got[i], by[i])
		}
	}
}

// Cosines are multiplied by the same number in the loss and in the classifier that is left: the settings', whatever the model's is, as
// published, or with 0 the model's.
func TestLoRALogitScale(t *testing.T) {
	c := newToyCLIP(t, "ref")
	images, labels := c.images(3)
	for _, encoder := range LoRAEncoders() {
		for set, want := range map[float64]float64{0: 20, 30: 30, DefaultLoRA(1).LogitScale: 100} {
			l := c.start(t, func(s *LoRAConfig) { s.Encoder, s.LogitScale, s.Dropout = encoder, set, 0 })
			tape := autograd.NoGrad(c.dev)
			m := l.Model()
			loss := autograd.CrossEntropy(m.Logits(tape.Const(images)), labels).Value.Item()
			if m.Head.Scale != want {
				t.Errorf("encoder %s, logit scale %g: cosines are multiplied by %g, want %g", encoder, set, m.Head.Scale, want)
			}
			tape.Release()
			tr := train.New(c.dev, l, tensor.NewKey(1), 0)
			stats, _, err := tr.Gradients(t.Context(), images, labels)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(stats.Loss-loss) > 1e-12 {
				t.Errorf("encoder %s, logit scale %g: the loss in training is %.15g, the classifier's %.15g", encoder, set, stats.Loss, loss)
			}
			if err := tr.Release(); err != nil {
				t.Fatal(err)
			}
			l.Detach()
		}
	}
}

// A run that is stopped anywhere goes on to the same bits: the dropout of a step depends on nothing but its number.
func TestLoRAResume(t *testing.T) {
	c := newToyCLIP(t, "cpu")
	images, labels := c.images(5)
	step := func(tr *train.Trainer, n int) {
		for range n {
			if _, err := tr.Step(t.Context(), images, labels, 1e-2); err != nil {
				t.Fatal(err)
			}
		}
	}
	values := func(l *LoRA) (v []float32) {
		for _, p := range l.group.Params {
			v = append(v, p.Value.Floats()...)
		}
		return v
	}
	l := c.start(t, nil)
	tr := train.New(c.dev, l, tensor.NewKey(1), 0)
	step(tr, 4)
	want := values(l)
	l = c.start(t, nil)
	dir, tr := t.TempDir(), train.New(c.dev, l, tensor.NewKey(1), 0)
	step(tr, 2)
	if err := train.SaveState(dir, tr, train.Position{}, train.Progress{}, nil); err != nil {
		t.Fatal(err)
	}
	l = c.start(t, nil)
	tr = train.New(c.dev, l, tensor.NewKey(1), 0)
	if _, found, err := train.RestoreState(dir, tr, nil, nil); err != nil || !found {
		t.Fatal(found, err)
	}
	step(tr, 2)
	if !slices.Equal(values(l), want) {
		t.Error("a run in two processes ends elsewhere")
	}
}

func TestLoRABadInput(t *testing.T) {
	c := newToyCLIP(t, "cpu")
	for want, change := range map[string]func(*LoRAConfig){
		`encoder "all": there are vision, text, both`: func(s *LoRAConfig) { s.Encoder = "all" },
		`projection "x": there are q, k, v and o`:     func(s *LoRAConfig) { s.Params = []string{"q", "x"} },
		`projection "q" is named twice`:               func(s *LoRAConfig) { s.Params = []string{"q", "q"} },
		"no projection to change":                     func(s *LoRAConfig) { s.Params = nil },
		"rank 0":                                      func(s *LoRAConfig) { s.Rank = 0 },
		"dropout 1 must lie in [0, 1)":                func(s *LoRAConfig) { s.Dropout = 1 },
		"logit scale -1":                              func(s *LoRAConfig) { s.LogitScale = -1 },
		"alpha NaN":                                   func(s *LoRAConfig) { s.Alpha = math.NaN() },
		"must be no more and not negative":            func(s *LoRAConfig) { s.LeastLR = 1 },
	} {
		s := DefaultLoRA(4)
		change(&s)
		if _, err := NewLoRA(c.image, c.text, toyPrompts, c.head(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// Where every position sees all, or a feature is read elsewhere than at the largest id, texts are run as the encoder runs them, with
// dropout too: with one that drops nothing features are the encoder's.
func TestLoRAOfRelatives(t *testing.T) {
	for _, config := range []text.Config{{}, {Full: true, Pool: text.PoolLast, Pad: 1}, {Pool: text.PoolLast, Pad: 1}, {Full: true}, {Pool: text.PoolEOS, EOS: 3}} {
		c := newToyCLIP(t, "ref")
		src := newToySource()
		tc, err := text.ConfigOf(src, config)
		if err != nil {
			t.Fatal(err)
		}
		w := nn.NewWeights(c.dev, src)
		c.text = text.New(w, tc)
		if err := w.Err(); err != nil {
			t.Fatal(err)
		}
		l := c.start(t, func(s *LoRAConfig) { s.Encoder, s.Dropout = "both", 1e-12 })
		l.Begin(0)
		tape := autograd.NoGrad(c.dev)
		want := c.text.Encode(tape, toyPrompts).Value.Float64s()
		l.learning = true
		got := l.encodeText(tape).Value.Float64s()
		l.learning = false
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-9 {
				t.Errorf("%+v: feature %d is %g, want %g", config, i, got[i], want[i])
				break
			}
		}
		tape.Release()
		l.Detach()
	}
}
