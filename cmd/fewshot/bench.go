package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fewshot/autograd"
	"fewshot/rmt"
	"fewshot/tensor"
	"fewshot/vit"
)

var benchCommand = command{
	name: "bench", summary: "measure this machine: matrix products, inference, training steps",
	about: `Measures, in this order: matrix products at the sizes of the model, forwards and in both directions backwards; the image
encoder; and a training step of R-AMT, before the first weight is off (one loss, no teacher) and after. Each round measures every
case once, after a round that does not count; printed are the median and the range over the rounds. Operations are counted from
sizes: two for a multiplication and addition, what the kernels compute again not at all. Without -model the weights are random.`,
	setup: setupBench,
}

// archs are the sizes of OpenAI's vision transformers.
var archs = map[string]vit.Config{
	"ViT-B-32": {ImageSize: 224, Patch: 32, Width: 768, Layers: 12, Heads: 12, Embed: 512},
	"ViT-B-16": {ImageSize: 224, Patch: 16, Width: 768, Layers: 12, Heads: 12, Embed: 512},
	"ViT-L-14": {ImageSize: 224, Patch: 14, Width: 1024, Layers: 24, Heads: 16, Embed: 768},
}

type benchFlags struct {
	device deviceFlags
	model  modelFlags
	arch   string
	only   string
	batch  int
	square int
	rounds int
}

func setupBench(fs *flag.FlagSet) func(context.Context, *ui, []string) error {
	var f benchFlags
	names := strings.Join(slices.Sorted(maps.Keys(archs)), ", ")
	f.device.declare(fs)
	fs.StringVar(&f.model.path, "model", "", "measure this `checkpoint`'s image encoder, or embedded")
	fs.StringVar(&f.arch, "arch", "", "measure random weights of this size: "+names+" (default ViT-B-16)")
	fs.StringVar(&f.only, "only", "", "measure only this: gemm, inference or step")
	fs.IntVar(&f.batch, "batch", 8, "images in a training step, and in a third measurement of inference if above 32")
	fs.IntVar(&f.square, "square", 0, "measure the product of two square matrices of this `side`, too")
	fs.IntVar(&f.rounds, "rounds", 5, "rounds of measurements")
	return func(ctx context.Context, u *ui, args []string) error {
		_, known := archs[f.arch]
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case f.model.path != "" && f.arch != "":
			return usagef("-model and -arch exclude each other")
		case f.arch != "" && !known:
			return usagef("-arch %q: there are %s", f.arch, names)
		case !slices.Contains([]string{"", "gemm", "inference", "step"}, f.only):
			return usagef("-only %q: there are gemm, inference and step", f.only)
		case f.batch < 1 || f.rounds < 1:
			return usagef("-batch %d, -rounds %d: at least 1", f.batch, f.rounds)
		case f.square < 0:
			return usagef("-square %d: not the side of a matrix", f.square)
		}
		if f.model.path == "" && f.arch == "" {
			f.arch = "ViT-B-16"
		}
		return f.run(ctx, u)
	}
}

// measurement is one case and the last line's content of -json.
type measurement struct {
	Kind   string  `json:"kind"` // gemm, inference or step
	Name   string  `json:"name"`
	Images int     `json:"images,omitempty"` // a call
	FLOP   float64 `json:"flop"`             // of a call, counted from sizes
	// Times of a call, in seconds.
	Median float64 `json:"median_seconds"`
	Min    float64 `json:"min_seconds"`
	Max    float64 `json:"max_seconds"`
	// By the median time.
	GFLOPS float64 `json:"gflops"`
	Rate   float64 `json:"images_per_second,omitempty"`
	// Peak is the most memory the device has held for tensors up to then.
	Peak int64 `json:"peak_bytes"`

	call  func() error
	times []time.Duration
}

// benchResult is the last line of -json.
type benchResult struct {
	Kind    string         `json:"kind"`
	Model   string         `json:"model"`
	Sizes   vit.Config     `json:"sizes"`
	Rounds  int            `json:"rounds"`
	Cases   []*measurement `json:"cases"`
	Device  string         `json:"device"`
	Program string         `json:"program"`
}

func (f *benchFlags) run(ctx context.Context, u *ui) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	name, c := "random "+f.arch, (*clip)(nil)
	if f.arch != "" {
		c, err = randomViT(dev, archs[f.arch])
	} else {
		name = f.model.path
		var m *model
		if m, err = f.model.open(dev, u); err == nil {
			c = m.clip
		}
	}
	if err != nil {
		return err
	}
	r := &benchResult{Kind: "result", Model: name, Sizes: c.image.Config, Rounds: f.rounds, Device: dev.Describe(), Program: version()}
	u.note("%s, %d rounds, %s\n", name, f.rounds, r.Device)
	u.note("%-9s %-24s %12s %25s %10s %12s %9s", "", "", "median", "range", "GFLOP/s", "images/s", "peak MiB")
	// One kind after the other, so that the memory of a kind does not count for the one before.
	for _, kind := range []struct {
		name  string
		cases func(*tensor.Device, *clip) ([]*measurement, func(), error)
	}{{"gemm", f.gemmCases}, {"inference", f.inferenceCases}, {"step", f.stepCases}} {
		if f.only != "" && f.only != kind.name {
			continue
		}
		cases, done, err := kind.cases(dev, c)
		if err == nil {
			err = measure(ctx, dev, u, f.rounds, cases)
		}
		done()
		if err != nil {
			return err
		}
		for _, m := range cases {
			u.note("%s", m.line())
		}
		r.Cases = append(r.Cases, cases...)
		dev.Trim()
	}
	return u.result(r, func(io.Writer) {})
}

// measure times all cases once a round, so that a slow spell of the machine hits all alike.
func measure(ctx context.Context, dev *tensor.Device, u *ui, rounds int, cases []*measurement) error {
	advance, finish := u.progress(cases[0].Kind, (rounds+1)*len(cases))
	defer finish()
	for round := range rounds + 1 {
		for i, m := range cases {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			err := m.call()
			if err == nil {
				err = dev.Sync()
			}
			if err != nil {
				return err
			}
			if round > 0 { // the first fills the pool of memory
				m.times = append(m.times, time.Since(start))
			}
			m.Peak = dev.PeakBytes()
			advance(round*len(cases)+i+1, m.Name)
		}
	}
	for _, m := range cases {
		m.sum()
	}
	return nil
}

// sum computes what is reported from the times.
func (m *measurement) sum() {
	t := slices.Sorted(slices.Values(m.times))
	n := len(t)
	m.Median = (t[(n-1)/2] + t[n/2]).Seconds() / 2
	m.Min, m.Max = t[0].Seconds(), t[n-1].Seconds()
	m.GFLOPS = m.FLOP / m.Median / 1e9
	m.Rate = float64(m.Images) / m.Median
}

func (m *measurement) line() string {
	rate := ""
	if m.Images > 0 {
		rate = fmt.Sprintf("%.2f", m.Rate)
	}
	return fmt.Sprintf("%-9s %-24s %9.2f ms %9.2f .. %9.2f ms %10.1f %12s %9.0f", m.Kind, m.Name, 1e3*m.Median, 1e3*m.Min, 1e3*m.Max, m.GFLOPS, rate, float64(m.Peak)/(1<<20))
}

// randomViT makes an image encoder of the given sizes with random weights and no text tower.
func randomViT(dev *tensor.Device, c vit.Config) (*clip, error) {
	cfg := pretrainConfig{Width: c.Width, Layers: c.Layers, Patch: c.Patch, Embed: c.Embed}
	shapes := cfg.shapes(1)
	maps.DeleteFunc(shapes, func(name string, _ []int) bool { return !strings.HasPrefix(name, "visual.") })
	grid := c.ImageSize / c.Patch
	shapes["visual.positional_embedding"] = []int{grid*grid + 1, c.Width}
	return newCLIP(dev, initial{cfg, shapes, tensor.NewKey(1).Name("bench")}, tensor.QuickGELU, 0, 0)
}

// tokens is the length of the encoder's sequences.
func tokens(c vit.Config) int { return (c.ImageSize/c.Patch)*(c.ImageSize/c.Patch) + 1 }

// gemmCases are the products of the MLP and the input projection of attention for the tokens of 1 and of 32 images: forwards
// (x·wᵀ), backwards to the input (ct·w) and to the weight (ctᵀ·x).
func (f *benchFlags) gemmCases(dev *tensor.Device, c *clip) (cases []*measurement, done func(), err error) {
	var held []*tensor.Tensor
	done = func() {
		for _, t := range held {
			t.Release()
		}
	}
	random := func(shape ...int) *tensor.Tensor {
		t := dev.New(tensor.Compute, shape...)
		tensor.Normal(t, tensor.NewKey(uint64(len(held))))
		held = append(held, t)
		return t
	}
	width := c.image.Width
	for _, rows := range []int{tokens(c.image.Config), 32 * tokens(c.image.Config)} {
		for _, out := range []int{3 * width, 4 * width} {
			x, w, y, dw := random(rows, width), random(out, width), random(rows, out), random(out, width)
			flop := 2 * float64(rows) * float64(out) * float64(width)
			for _, d := range []struct {
				name      string
				dst, a, b *tensor.Tensor
				o         tensor.GemmOptions
			}{
				{"forward", y, x, w, tensor.GemmOptions{TransB: true}},
				{"dX", x, y, w, tensor.GemmOptions{}},
				{"dW", dw, y, x, tensor.GemmOptions{TransA: true}},
			} {
				cases = append(cases, &measurement{Kind: "gemm", Name: fmt.Sprintf("%-7s %d×%d×%d", d.name, rows, out, width), FLOP: flop,
					call: func() error {
						tensor.Gemm(d.dst, d.a, d.b, d.o)
						return nil
					}})
			}
		}
	}
	if n := f.square; n > 0 {
		a, b, dst := random(n, n), random(n, n), random(n, n)
		cases = append(cases, &measurement{Kind: "gemm", Name: fmt.Sprintf("square  %d×%d×%d", n, n, n), FLOP: 2 * float64(n) * float64(n) * float64(n),
			call: func() error {
				tensor.Gemm(dst, a, b, tensor.GemmOptions{})
				return nil
			}})
	}
	return cases, done, nil
}

// inferenceCases are the image encoder on 1, on 32 and on more images, as a recorded program.
func (f *benchFlags) inferenceCases(dev *tensor.Device, c *clip) (cases []*measurement, done func(), err error) {
	var undo []func()
	done = func() {
		for _, f := range undo {
			f()
		}
	}
	sizes := []int{1, 32}
	if f.batch > 32 {
		sizes = append(sizes, f.batch)
	}
	for _, n := range sizes {
		images := randomImages(dev, c.image, n)
		p, err := dev.Record(func() {
			t := autograd.NoGrad(dev)
			defer t.Release()
			c.image.Encode(t.Const(images))
		})
		undo = append(undo, images.Release)
		if err != nil {
			return nil, done, err
		}
		undo = append(undo, func() { p.Release() }) // its error stays with the device
		cases = append(cases, &measurement{Kind: "inference", Name: fmt.Sprintf("batch %d", n), Images: n, FLOP: float64(n) * forwardFLOP(c.image.Config),
			call: func() error {
				p.Run()
				return nil
			}})
	}
	return cases, done, nil
}

func randomImages(dev *tensor.Device, e *vit.Encoder, n int) *tensor.Tensor {
	images := dev.New(tensor.Compute, n, 3, e.ImageSize, e.ImageSize)
	tensor.Normal(images, tensor.NewKey(uint64(n)))
	return images
}

// benchClasses is how many classes the measured training step tells apart.
const benchClasses = 100

// stepCases are steps of R-AMT while no weight is off, and with one weight of 40 off.
func (f *benchFlags) stepCases(dev *tensor.Device, c *clip) (cases []*measurement, done func(), err error) {
	var undo []func()
	done = func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	config, err := rmt.Defaults("r-amt", "paper", "", 16, false)
	if err != nil {
		return nil, done, err
	}
	images := randomImages(dev, c.image, f.batch)
	classes, norm := dev.New(tensor.Full, benchClasses, c.image.Embed), dev.New(tensor.Full, benchClasses)
	undo = append(undo, images.Release, classes.Release, norm.Release)
	tensor.Normal(classes, tensor.NewKey(2))
	tensor.L2Normalize(classes, norm, classes)
	labels := make([]int32, f.batch)
	for i := range labels {
		labels[i] = int32(i % benchClasses)
	}
	for _, off := range []bool{false, true} {
		tuner, err := benchTuner(dev, c, rmt.Head{Classes: classes, Scale: 100}, config, off)
		if err != nil {
			return nil, done, err
		}
		undo = append(undo, func() {
			tuner.Release() // its error stays with the device
			for _, m := range tuner.Masks {
				m.Detach()
			}
		})
		name := fmt.Sprintf("batch %d, all weights on", f.batch)
		if off {
			name = fmt.Sprintf("batch %d, some weights off", f.batch)
		}
		cases = append(cases, &measurement{Kind: "step", Name: name, Images: f.batch, FLOP: float64(f.batch) * stepFLOP(c.image.Config, off),
			call: func() error {
				// At rate 0 a step does all it does, and the masks stay as they are.
				_, err := tuner.Step(images, labels, 0)
				return err
			}})
	}
	return cases, done, nil
}

// benchTuner masks an encoder of its own over the model's weights, with one weight of 40 off if so wanted.
func benchTuner(dev *tensor.Device, c *clip, head rmt.Head, config rmt.Config, off bool) (*rmt.Tuner, error) {
	student := c.teacher()
	picked, err := rmt.Select(student.Params(), config.Patterns)
	if err != nil {
		return nil, err
	}
	masks := rmt.Attach(picked, config.Init, config.Threshold)
	for _, m := range masks {
		scores := m.Scores.Floats()
		for i := 0; off && i < len(scores); i += 40 {
			scores[i] = 0
		}
		m.Scores.Set(scores)
	}
	return rmt.NewTuner(dev, student, c.image, head, masks, config), nil
}

// blockFLOP counts the products of a transformer block for an image, with the class token alone as query in the last one.
func blockFLOP(c vit.Config, last bool) (in, attention, out, mlp float64) {
	n, w := float64(tokens(c)), float64(c.Width)
	q := n
	if last {
		q = 1
	}
	return 2 * (q + 2*n) * w * w, 2 * 2 * q * n * w, 2 * q * w * w, 2 * 8 * q * w * w
}

// forwardFLOP counts the products of the image encoder for an image.
func forwardFLOP(c vit.Config) float64 {
	sum := 2*float64(tokens(c)-1)*float64(3*c.Patch*c.Patch*c.Width) + 2*float64(c.Width*c.Embed)
	for i := range c.Layers {
		in, attention, out, mlp := blockFLOP(c, i == c.Layers-1)
		sum += in + attention + out + mlp
	}
	return sum
}

// stepFLOP counts the products of an R-AMT step for an image: the student forwards, and once some weight is off the teacher;
// backwards for one loss, or two, the products to the inputs down to the lowest masked weight and those to the masked weights.
func stepFLOP(c vit.Config, off bool) float64 {
	passes := 1.0
	if off {
		passes = 2
	}
	back := 2 * float64(c.Width*c.Embed)
	for i := range c.Layers {
		in, attention, out, mlp := blockFLOP(c, i == c.Layers-1)
		back += 2*in + 2*attention + 2*out + mlp
		if i == 0 {
			back -= in
		}
	}
	return passes * (forwardFLOP(c) + back)
}
