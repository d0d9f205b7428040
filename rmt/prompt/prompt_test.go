package prompt

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// random is a nn.Source of normal numbers, of the size of CLIP's, for a small model.
type random map[string][]int

const (
	width, layers, embed, ctxLength = 64, 2, 32, 77
	patch, pixels                   = 4, 12
	grid                            = pixels / patch
)

func newRandom(vocab int) random {
	r := random{"token_embedding.weight": {vocab, width}, "positional_embedding": {ctxLength, width}, "text_projection": {width, embed},
		"ln_final.weight": {width}, "ln_final.bias": {width}, "visual.class_embedding": {width}, "visual.positional_embedding": {1 + grid*grid, width},
		"visual.conv1.weight": {width, 3, patch, patch}, "visual.proj": {width, embed}, "visual.ln_pre.weight": {width}, "visual.ln_pre.bias": {width},
		"visual.ln_post.weight": {width}, "visual.ln_post.bias": {width}}
	for _, tower := range []string{"", "visual."} {
		for i := range layers {
			for name, shape := range map[string][]int{"ln_1.weight": {width}, "ln_1.bias": {width}, "ln_2.weight": {width}, "ln_2.bias": {width},
				"attn.in_proj_weight": {3 * width, width}, "attn.in_proj_bias": {3 * width}, "attn.out_proj.weight": {width, width}, "attn.out_proj.bias": {width},
				"mlp.c_fc.weight": {4 * width, width}, "mlp.c_fc.bias": {4 * width}, "mlp.c_proj.weight": {width, 4 * width}, "mlp.c_proj.bias": {width}} {
				r[fmt.Sprintf("%stransformer.resblocks.%d.%s", tower, i, name)] = shape
			}
		}
	}
	return r
}

func (r random) Names() []string { return slices.Sorted(maps.Keys(r)) }

func (r random) Shape(name string) ([]int, bool) { s, ok := r[name]; return s, ok }

func (r random) Read(name string, dst []float32) error {
	scale, offset := 0.3, 0.0
	if shape := r[name]; len(shape) > 1 {
		scale = 1 / math.Sqrt(float64(tensor.Len(shape[1:])))
	} else if strings.Contains(name, "ln_") && strings.HasSuffix(name, "weight") {
		scale, offset = 0.1, 1
	}
	key := tensor.NewKey(1).Name(name)
	for i := range dst {
		dst[i] = float32(offset + scale*key.Normal(uint64(i)))
	}
	return nil
}

var classes = []string{"ab", "a b c", "dog", "zebra_crossing"}

// rig is a small CLIP on a device, whose words are letters.
func rig(t testing.TB, device string) *CLIP {
	t.Helper()
	workers := 2
	if name, n, ok := strings.Cut(device, " "); ok {
		device = name
		fmt.Sscan(n, &workers)
	}
	dev, err := tensor.Open(device, tensor.Options{Workers: workers, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	tok, err := text.ReadMerges("letters", strings.NewReader("#version: 0.2\na b\np h\nph o\npho t\nphot o</w>\no f</w>\n"))
	if err != nil {
		t.Fatal(err)
	}
	src := newRandom(tok.Size())
	tc, err := text.ConfigOf(src, text.Config{Activation: tensor.QuickGELU})
	if err != nil {
		t.Fatal(err)
	}
	vc, err := vit.ConfigOf(src, vit.Config{Activation: tensor.QuickGELU})
	if err != nil {
		t.Fatal(err)
	}
	w := nn.NewWeights(dev, src)
	m := &CLIP{Device: dev, Image: vit.New(w, vc), Text: text.New(w, tc), Tokenizer: tok, Scale: 10}
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}

// quick is a recipe whose few steps move something.
func quick(r Recipe) Recipe {
	r.Epochs, r.Batch, r.LR, r.Warmup = 3, 4, 0.05, 0
	return r
}

// methods are all methods with settings for the small model.
func methods() map[string]func(m *CLIP) (Learner, error) {
	const template = "a {} of"
	return map[string]func(m *CLIP) (Learner, error){
		"coop": func(m *CLIP) (Learner, error) {
			c := DefaultCoOp("", 16, false)
			c.Context, c.Position, c.Recipe = 5, "middle", quick(c.Recipe)
			return NewCoOp(m, classes, c)
		},
		"coop class-specific": func(m *CLIP) (Learner, error) {
			c := DefaultCoOp("", 16, false)
			c.Context, c.Specific, c.Recipe = 3, true, quick(c.Recipe)
			return NewCoOp(m, classes, c)
		},
		"prograd": func(m *CLIP) (Learner, error) {
			c := DefaultProGrad("", 16, false)
			c.Context, c.Template, c.Recipe = 6, "a photo of {}.", quick(c.Recipe)
			return NewProGrad(m, classes, c)
		},
		"kgcoop": func(m *CLIP) (Learner, error) {
			c := DefaultKgCoOp("", template)
			c.Recipe = quick(c.Recipe)
			return NewKgCoOp(m, classes, c)
		},
		"cocoop": func(m *CLIP) (Learner, error) {
			c := DefaultCoCoOp()
			c.Recipe = quick(c.Recipe)
			return NewCoCoOp(m, classes, c)
		},
		"vpt": func(m *CLIP) (Learner, error) {
			c, err := DefaultVPT("maple", true, "", template, 16)
			if err != nil {
				return nil, err
			}
			c.Prompts, c.Recipe = 3, quick(c.Recipe)
			return NewVPT(m, classes, c)
		},
		"upt": func(m *CLIP) (Learner, error) {
			c := DefaultUPT("", 16)
			c.Recipe = quick(c.Recipe)
			return NewUPT(m, classes, c)
		},
		"upt mixing": func(m *CLIP) (Learner, error) {
			c := DefaultUPT("", 16)
			c.Mix, c.Recipe = true, quick(c.Recipe)
			return NewUPT(m, classes, c)
		},
		"mvlpt": func(m *CLIP) (Learner, error) {
			c := DefaultMVLPT("", 16)
			c.Deep, c.Project, c.Recipe = true, 16, quick(c.Recipe)
			return NewMVLPT(m, classes, c)
		},
		"mvlpt mixing": func(m *CLIP) (Learner, error) {
			c := DefaultMVLPT("", 16)
			c.Mix, c.Project, c.Recipe = true, width, quick(c.Recipe)
			return NewMVLPT(m, classes, c)
		},
		"maple": func(m *CLIP) (Learner, error) {
			c := DefaultMaPLe()
			c.Depth, c.Recipe = layers, quick(c.Recipe)
			return NewMaPLe(m, classes, c)
		},
		"promptsrc": func(m *CLIP) (Learner, error) {
			c := DefaultPromptSRC("", true)
			c.TextDepth, c.ImageDepth, c.Templates, c.TextWeight, c.ImageWeight = layers, layers, []string{"a {}", "of {}"}, 1, 1
			c.Recipe = quick(c.Recipe)
			return NewPromptSRC(m, classes, c)
		},
		"plot": func(m *CLIP) (Learner, error) {
			c := DefaultPLOT("imagenet", 16)
			c.Contexts, c.Context, c.Recipe = 2, 4, quick(c.Recipe)
			return NewPLOT(m, classes, c)
		},
		"plot++": func(m *CLIP) (Learner, error) {
			c := DefaultPLOTPlus("joint", "", 16)
			c.Templates, c.Sets, c.Recipe = []string{"a photo of", "of a photo"}, 3, quick(c.Recipe)
			return NewPLOTPlus(m, classes, c)
		},
		"plot++ in stages": func(m *CLIP) (Learner, error) {
			c := DefaultPLOTPlus("both", "", 16)
			c.Templates, c.Sets, c.Recipe = []string{"a photo of", "of a photo"}, 2, quick(c.Recipe)
			return NewPLOTPlus(m, classes, c)
		},
	}
}

func batch(dev *tensor.Device) (*tensor.Tensor, []int32) {
	x := dev.New(tensor.Compute, 4, 3, pixels, pixels)
	tensor.Normal(x, tensor.NewKey(5))
	return x, []int32{2, 0, 3, 1}
}

func step(t *testing.T, tr *train.Trainer, lr float64) train.Stats {
	t.Helper()
	x, labels := batch(tr.Learner.Groups()[0].Params[0].Value.Device())
	s, err := tr.Step(context.Background(), x, labels, lr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trained(l Learner) (all []float64) {
	for _, g := range l.Groups() {
		for _, p := range g.Params {
			all = append(all, p.Value.Float64s()...)
		}
	}
	return all
}

func logits(t *testing.T, m *CLIP, l Learner, names []string) []float64 {
	t.Helper()
	c, release, err := l.Classifier(names)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	x, _ := batch(m.Device)
	tape := autograd.NoGrad(m.Device)
	defer tape.Release()
	return c.Logits(tape.Const(x)).Value.Float64s()
}

// Every method learns: the loss on a batch falls. What it leaves says of its classes what it says in training, and of others something
// too unless it refuses them.
func TestMethodsLearn(t *testing.T) {
	for name, start := range methods() {
		t.Run(name, func(t *testing.T) { learns(t, rig(t, "cpu"), name, start) })
		t.Run(name+" of SigLIP", func(t *testing.T) { learns(t, siglip(t, "cpu"), name, start) })
	}
}

func learns(t *testing.T, m *CLIP, name string, start func(m *CLIP) (Learner, error)) {
	l, err := start(m)
	if err != nil {
		t.Fatal(err)
	}
	tr := train.New(m.Device, l, tensor.NewKey(1), 0)
	defer tr.Release()
	first := step(t, tr, 0.02)
	var last train.Stats
	for range 12 {
		last = step(t, tr, 0.02)
	}
	if !(last.Loss < first.Loss) {
		t.Errorf("the loss was %g and is %g", first.Loss, last.Loss)
	}
	if got := logits(t, m, l, classes); len(got) != 4*len(classes) || slices.ContainsFunc(got, math.IsNaN) {
		t.Errorf("logits %v", got)
	}
	others := []string{"cat", "ph"}
	if name == "coop class-specific" {
		if _, _, err := l.Classifier(others); err == nil {
			t.Error("contexts of other classes were not refused")
		}
	} else if got := logits(t, m, l, others); len(got) != 8 {
		t.Errorf("%d logits of two other classes", len(got))
	}
}

// Gradients of a batch are those of its parts, added up.
func TestMethodsInParts(t *testing.T) {
	for name, start := range methods() {
		m := rig(t, "ref")
		l, err := start(m)
		if err != nil {
			t.Fatal(err)
		}
		gradients := func(micro int) (all [][]float64) {
			tr := train.New(m.Device, l, tensor.NewKey(1), micro)
			defer tr.Release()
			x, labels := batch(m.Device)
			_, lanes, err := tr.Gradients(context.Background(), x, labels)
			if err != nil {
				t.Fatal(err)
			}
			for _, pair := range lanes {
				if pair[0] != nil { // one that does not rest
					all = append(all, pair[0].Float64s())
				}
			}
			return all
		}
		whole, parts := gradients(0), gradients(1)
		for i := range whole {
			largest := slices.Max(whole[i]) - slices.Min(whole[i])
			for j := range whole[i] {
				// Some thousand roundings, in another order.
				if d := math.Abs(whole[i][j] - parts[i][j]); !(d <= 1e-11*(largest+1)) {
					t.Fatalf("%s: parameter %d, element %d: %g of the batch, %g of its parts", name, i, j, whole[i][j], parts[i][j])
				}
			}
		}
	}
}

// A method that cannot begin, as there is a class whose prompt is too long, leaves nothing behind, whether the name has
// no room in a template already or only behind a context.
func TestMethodsRefuse(t *testing.T) {
	defer func(c []string) { classes = c }(classes)
	for letters, all := range map[int]bool{100: true, 71: false} {
		classes = []string{"ab", strings.Repeat("z", letters)}
		refused := map[string]bool{}
		for name, start := range methods() {
			m := rig(t, "cpu")
			before := m.Device.LiveBytes()
			l, err := start(m)
			if refused[name] = err != nil; !refused[name] {
				continue
			}
			if !strings.Contains(err.Error(), "zzz") {
				t.Errorf("%s: %v, %v", name, l, err)
			}
			if now := m.Device.LiveBytes(); now != before {
				t.Errorf("%s leaves %d bytes", name, now-before)
			}
		}
		for name := range methods() {
			// Of these two the template has room for 71 letters, and the context has not.
			if must := all || name == "kgcoop" || name == "prograd"; must && !refused[name] {
				t.Errorf("%s takes a name of %d letters", name, letters)
			}
		}
	}
}

// A run that goes on from a checkpoint ends where one does that was never stopped, to the bit.
func TestMethodsResume(t *testing.T) {
	for name, start := range methods() {
		resumes(t, rig(t, "cpu"), name, start)
	}
	for _, name := range []string{"coop", "maple"} {
		resumes(t, siglip(t, "cpu"), name, methods()[name])
	}
}

func resumes(t *testing.T, m *CLIP, name string, start func(m *CLIP) (Learner, error)) {
	run := func(steps int, from string) (*train.Trainer, Learner) {
		l, err := start(m)
		if err != nil {
			t.Fatal(err)
		}
		tr := train.New(m.Device, l, tensor.NewKey(1), 0)
		t.Cleanup(func() { tr.Release() })
		if from != "" {
			if _, found, err := train.RestoreState(from, tr, nil, nil); err != nil || !found {
				t.Fatal(found, err)
			}
		}
		for range steps {
			step(t, tr, 0.01)
		}
		return tr, l
	}
	dir := t.TempDir()
	half, _ := run(2, "")
	if err := train.SaveState(dir, half, train.Position{}, train.Progress{}, nil); err != nil {
		t.Fatal(err)
	}
	_, resumed := run(2, dir)
	_, whole := run(4, "")
	if !slices.Equal(trained(resumed), trained(whole)) {
		t.Errorf("%s: a resumed run differs", name)
	}
}

// The average of PromptSRC's prompts is by a Gaussian over epochs, and is what is left.
func TestPromptSRCAverages(t *testing.T) {
	m := rig(t, "ref")
	c := DefaultPromptSRC("", true)
	c.TextDepth, c.ImageDepth, c.Templates, c.Epochs, c.Mean, c.Deviation = 1, 1, []string{"a {}"}, 3, 2, 1
	l, err := NewPromptSRC(m, classes, c)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range c.Epochs {
		for _, p := range l.Groups()[0].Params {
			tensor.Fill(p.Value, []float64{1, 10, 100}[epoch])
		}
		l.EndEpoch(epoch)
	}
	side := math.Exp(-0.5)
	want := (101*side + 10) / (2*side + 1)
	for _, v := range trained(l) {
		if math.Abs(v-want) > 1e-12 {
			t.Fatalf("%g is left, want %g", v, want)
		}
	}
}

// The second stage of PLOT++ moves contexts too, by rates from the beginning and without the first one's momentum.
func TestPLOTPlusStages(t *testing.T) {
	m := rig(t, "ref")
	c := DefaultPLOTPlus("both", "", 16)
	c.Templates, c.Sets, c.Epochs, c.Batch = []string{"a photo of", "of a photo"}, 2, 2, 4
	l, err := NewPLOTPlus(m, classes, c)
	if err != nil {
		t.Fatal(err)
	}
	words, s := l.Contexts().Float64s(), c.Schedule()
	if c.Total() != 4 || s(2) != s(0) || s(3) != s(1) {
		t.Errorf("%d epochs with rates %g %g, %g %g", c.Total(), s(0), s(1), s(2), s(3))
	}
	tr := train.New(m.Device, l, tensor.NewKey(1), 0)
	defer tr.Release()
	step(t, tr, 0.1)
	l.EndEpoch(0)
	step(t, tr, 0.1)
	if !slices.Equal(l.Contexts().Float64s(), words) {
		t.Error("contexts moved in the first stage")
	}
	l.EndEpoch(1)
	if v := l.groups[0].Optimizer.State(l.vision.Value)[0].Tensor.Float64s(); slices.Max(v) != 0 || slices.Min(v) != 0 {
		t.Error("the second stage begins with the first one's momentum")
	}
	step(t, tr, 0.1)
	if slices.Equal(l.Contexts().Float64s(), words) {
		t.Error("contexts did not move in the second stage")
	}
}

// Results do not depend on the number of workers.
func TestWorkers(t *testing.T) {
	for name, start := range methods() {
		var want []float64
		for _, workers := range []int{1, 3} {
			m := rig(t, fmt.Sprintf("cpu %d", workers))
			l, err := start(m)
			if err != nil {
				t.Fatal(err)
			}
			tr := train.New(m.Device, l, tensor.NewKey(1), 0)
			step(t, tr, 0.02)
			step(t, tr, 0.02)
			if got := trained(l); want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%s: another result with %d workers", name, workers)
			}
			tr.Release()
		}
	}
}

// Many classes are computed in chunks, with the same features and gradients; and beyond a chunk, memory grows by their features alone.
func TestManyClasses(t *testing.T) {
	m := rig(t, "ref")
	many := make([]string, 160)
	for i := range many {
		many[i] = fmt.Sprintf("c%d %s", i, strings.Repeat("x", i%4))
	}
	c := newContext(4, "end", false)
	features := func(t *autograd.Tape, vectors *tensor.Tensor, n, most int) *autograd.Var {
		prompts, shared, err := c.prompts(m, many[:n])
		if err != nil {
			panic(err)
		}
		return newTexts(m.Text, []family{{shared, prompts}}, most).features(t, t.Leaf(vectors))
	}
	vectors := m.normal(1, "test", "ctx", 4, width).Value
	cts := m.Device.New(tensor.Full, 2, len(many), embed)
	tensor.Normal(cts, tensor.NewKey(2))
	pull := func(n, most int) (value, grad []float64) {
		tape := autograd.NewTape(m.Device)
		defer tape.Release()
		f := features(tape, vectors, n, most)
		value = f.Value.Float64s()
		return value, autograd.Pullback(f, cts).Of(vectors).Float64s()
	}
	value, grad := pull(len(many), 1<<20)
	for _, most := range []int{1, 40, 333} {
		v, g := pull(len(many), most)
		if !slices.Equal(v, value) {
			t.Errorf("chunks of %d rows: other features", most)
		}
		for i := range g {
			if d := math.Abs(g[i] - grad[i]); !(d <= 1e-9) { // sums over 160 classes of numbers of about 100
				t.Fatalf("chunks of %d rows: element %d of the gradient is %g, %g at once", most, i, g[i], grad[i])
			}
		}
	}
	memory := func(n, most int) int64 {
		return m.Device.Measure(func() {
			tape := autograd.NewTape(m.Device)
			defer tape.Release()
			f := features(tape, vectors, n, most)
			ct := m.Device.Zeros(tensor.Full, append([]int{1}, f.Shape()...)...)
			autograd.Pullback(f, ct)
			ct.Release()
		})
	}
	const rows = 128
	few, all := memory(40, rows), memory(160, rows)
	if most := few + int64(8*embed*120*4); all > most {
		t.Errorf("%d bytes for 40 classes, %d for 160; want at most %d", few, all, most)
	}
	if at := memory(160, 1<<20); at < 3*all {
		t.Errorf("%d bytes at once, %d in chunks: that is not worth it", at, all)
	}
}

// The published settings of every method are valid, whatever the data set.
func TestDefaults(t *testing.T) {
	for _, row := range Methods() {
		for _, dataset := range []string{"", "imagenet", "eurosat", "oxford_pets", "dtd", "ucf101", "food101"} {
			for _, shots := range []int{1, 4, 16} {
				for _, baseToNew := range []bool{false, true} {
					s, err := row.Defaults(method.Task{Dataset: dataset, Published: true, Shots: shots, BaseToNew: baseToNew})
					if err == nil {
						err = s.Validate()
					}
					if err != nil {
						t.Errorf("%s on %s: %v", row.Name, dataset, err)
					}
				}
			}
		}
	}
}

// Flags for a context go together: words make as many vectors, a number of vectors starts from none, and both say the same or are refused.
func TestContextFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", `4 "a photo of a"`}, {"-context=16", `16 ""`}, {"-words=this_is a", `3 "this is a"`}, {"-words=", `4 ""`}, {"-context=2 -words=a dog", `2 "a dog"`},
		{"-words=a dog -context=2", `2 "a dog"`}, {"-context=3 -words=a dog", "make a context of 2 vectors, not of 3"}, {"-words=a photo of a -context=3", "make a context of 4 vectors, not of 3"},
	} {
		x := DefaultCoOp("", 16, true)
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		x.Declare(fs)
		var args []string
		for _, a := range strings.Split(c.args, " -") {
			if a != "" {
				args = append(args, "-"+strings.TrimPrefix(a, "-"))
			}
		}
		got := ""
		if err := fs.Parse(args); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%d %q", x.Context, x.Words)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
}

// Settings that a method has not, or that contradict each other, and names that do not fit, are refused in one line before any work.
func TestBadInput(t *testing.T) {
	m := rig(t, "cpu")
	coop := func(change func(c *ContextConfig)) error {
		c := DefaultCoOp("", 16, false)
		change(&c)
		_, err := NewCoOp(m, classes, c)
		return err
	}
	plot := func(change func(c *PLOTConfig)) error {
		c := DefaultPLOT("", 16)
		change(&c)
		_, err := NewPLOT(m, classes, c)
		return err
	}
	long := func() error {
		_, err := NewCoOp(m, append(slices.Clone(classes), strings.Repeat("very ", 30)), DefaultCoOp("", 16, false))
		return err
	}
	resnet := func() error {
		other := *m
		other.Image = prompted(func(x *autograd.Var) *autograd.Var { return x })
		c, _ := DefaultVPT("upt", true, "", "a {}", 16)
		_, err := NewVPT(&other, classes, c)
		return err
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{coop(func(c *ContextConfig) { c.Words, c.Context, c.Specific = "a b", 2, true }), "class-specific contexts start from random vectors"},
		{coop(func(c *ContextConfig) { c.Words = "a b" }), `the words "a b" make a context of 2 vectors, not of 16`},
		{coop(func(c *ContextConfig) { c.Context = 0 }), "a context of 0 vectors"},
		{coop(func(c *ContextConfig) { c.Position = "back" }), `position "back" is not known`},
		{coop(func(c *ContextConfig) { c.LR = math.NaN() }), "not a finite number"},
		{coop(func(c *ContextConfig) { c.Epochs = 0 }), "epochs 0"},
		{coop(func(c *ContextConfig) { c.Context = 90 }), `class "ab": `},
		{long(), `class "very very`},
		{plot(func(c *PLOTConfig) { c.Words, c.Context = "a b", 2 }), "4 contexts that start from the same words stay the same"},
		{plot(func(c *PLOTConfig) { c.Specific = true }), "PLOT's contexts are shared by all classes"},
		{plot(func(c *PLOTConfig) { c.Eps = 1e-9 }), "eps 1e-09"},
		{plot(func(c *PLOTConfig) { c.Stop = "never" }), `stop "never" is not known`},
		{resnet(), "vpt puts tokens into a vision transformer"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "\n") {
			t.Errorf("the error is %v, want %q in one line", c.err, c.want)
		}
	}
}
