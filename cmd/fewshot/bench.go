package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"fewshot/nn"
	"fewshot/rmt/clip"
	"fewshot/tensor"
	"fewshot/vit"
)

var benchCommand = command{
	example: "fewshot bench -only inference -arch ViT-B-16",
	name:    "bench", summary: "measure this machine: its peak, matrix products, inference, training steps",
	about: `Measures, in this order:

  gemm       matrix products at the sizes of a transformer: forwards, backwards to the input (for one loss and for two), and
             to the weight; for one image also with the weight packed before
  inference  the image encoder
  step       a training step of AMT; one of R-AMT before the first weight is off (one loss, no teacher), and one after;
             of a ResNet PMT and R-PMT, as there is no AMT of one
  scaling    steps of R-AMT with more and more workers, images and tokens; only if asked for
  data       decoding and augmenting the images of a step, beside the step; only if asked for

Each round measures every case of a kind once, after a round that does not count; printed are the median and the range over
the rounds. In every round the peak of the machine is measured too, by multiply-adds in registers on all workers, in each number
format; the share of it is that of the format in use. Beside it stands what the loop of a product does on operands in the
nearest cache: where the other hardware thread of a core is at work, for whomever, it is instructions that are short, which
the peak does not need. So is how long a word of memory takes from one processor to another and
back. On a virtual machine it may be some 50 ns in one round and 300 in another, when its processors have no cache in common for a
while: then products take some percent longer, small ones a tenth. Operations are counted from sizes: two for a multiplication and
addition, what the kernels compute again not at all, and as many of products that -strassen computes by fewer, so that
the share can exceed all. Memory is the most that tensors, and on Linux the whole process, have
taken up so far: to measure one case's, measure it alone, with -match. Allocations are how many a call makes in the garbage
collected memory, and of how much. Relative is, for workers, images a second over those of one; for images and
tokens, time an image or a token over that of the fewest, so that 1 is linear growth; for data, time an image over the step's.
Without -model the weights are random.`,
	setup: setupBench,
}

// archs are the sizes of some of OpenAI's models.
var archs = map[string]vit.Arch{
	"ViT-B-32": vit.Config{ImageSize: 224, Patch: 32, Width: 768, Layers: 12, Heads: 12, Embed: 512},
	"ViT-B-16": vit.Config{ImageSize: 224, Patch: 16, Width: 768, Layers: 12, Heads: 12, Embed: 512},
	"ViT-L-14": vit.Config{ImageSize: 224, Patch: 14, Width: 1024, Layers: 24, Heads: 16, Embed: 768},
	"RN50":     vit.ResNetConfig{ImageSize: 224, Width: 64, Layers: [4]int{3, 4, 6, 3}, Heads: 32, Embed: 1024},
	"RN101":    vit.ResNetConfig{ImageSize: 224, Width: 64, Layers: [4]int{3, 4, 23, 3}, Heads: 32, Embed: 512},
}

// benchGroups are the cases that are measured together, round by round, in the order of measurement: one group after the
// other, so that the memory of a group does not count for the one before. A kind may have several.
var benchGroups = []struct {
	kind     string
	unasked  bool // measured without -only
	assemble func(*bench) (*benchGroup, error)
}{
	{"gemm", true, gemmCases},
	{"inference", true, inferenceCases},
	{"step", true, stepCases},
	{"scaling", false, workersCases},
	{"scaling", false, batchCases},
	{"scaling", false, tokensCases},
	{"data", false, dataCases},
}

// stepBatch is how many images a step is on unless another number is asked for.
const stepBatch = 8

func benchKinds() []string {
	var kinds []string
	for _, g := range benchGroups {
		kinds = append(kinds, g.kind)
	}
	return slices.Compact(kinds)
}

type benchFlags struct {
	device deviceFlags
	model  modelFlags
	arch   string
	only   string
	match  string
	batch  int
	micro  microBatch
	square int
	rounds int
}

func setupBench(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f benchFlags
	names := strings.Join(slices.Sorted(maps.Keys(archs)), ", ")
	kinds := strings.Join(benchKinds(), ", ")
	f.device.tests(fs)
	fs.StringVar(&f.model.Path, "model", "", "measure the image encoder of this `checkpoint`, a file, folder or name, or embedded")
	f.model.declareOffline(fs)
	fs.StringVar(&f.arch, "arch", "", "measure random weights of this size: "+names+" (default ViT-B-16)")
	fs.StringVar(&f.only, "only", "", "measure only these `kinds`, separated by commas: "+kinds+" (default gemm,inference,step)")
	fs.StringVar(&f.match, "match", "", "measure only cases whose names match this `regexp`")
	fs.IntVar(&f.batch, "batch", stepBatch, fmt.Sprintf("images in a training step, and in a third measurement of inference if above %d", stepBatch))
	f.micro.declare(fs)
	fs.IntVar(&f.square, "square", 0, "measure the product of two square matrices of this `side`, too")
	fs.IntVar(&f.rounds, "rounds", 5, "rounds of measurements")
	return func(ctx context.Context, u *ui, args []string) error {
		_, known := archs[f.arch]
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case f.model.Path != "" && f.arch != "":
			return usagef("-model and -arch exclude each other")
		case f.arch != "" && !known:
			return usagef("-arch %q: there are %s", f.arch, names)
		case f.batch < 1 || f.rounds < 1:
			return usagef("-batch %d, -rounds %d: at least 1", f.batch, f.rounds)
		case f.square < 0:
			return usagef("-square %d: not the side of a matrix", f.square)
		}
		if f.device.precision == "int8" {
			f.only = cmp.Or(f.only, "inference")
			if f.only != "inference" {
				return usagef("-only %q: with -precision int8 there is inference to measure, and nothing else", f.only)
			}
		}
		for _, kind := range f.kinds() {
			if !slices.Contains(benchKinds(), kind) {
				return usagef("-only %q: there are %s", kind, kinds)
			}
		}
		match, err := regexp.Compile(f.match)
		if err != nil {
			return usagef("-match %q: %v", f.match, err)
		}
		if f.model.Path == "" && f.arch == "" {
			f.arch = "ViT-B-16"
		}
		return f.run(ctx, u, match)
	}
}

// kinds are those asked for, nil for those that are measured unasked.
func (f *benchFlags) kinds() []string {
	if f.only == "" {
		return nil
	}
	return strings.Split(f.only, ",")
}

// bench is what cases are made of.
type bench struct {
	*benchFlags
	ui   *ui
	dev  *tensor.Device
	clip *clip.CLIP
	trip tripMeter
}

// benchResult is the last line of -json.
type benchResult struct {
	Kind    string         `json:"kind"`
	Model   string         `json:"model"`
	Sizes   any            `json:"sizes"` // a vit.Config or vit.ResNetConfig
	Rounds  int            `json:"rounds"`
	Peaks   []*peakMeter   `json:"peaks"` // by number format; none where the device cannot show its peak
	Trip    *tripMeter     `json:"round_trip"`
	Cases   []*measurement `json:"cases"`
	Device  string         `json:"device"`
	Program string         `json:"program"`
}

func (f *benchFlags) run(ctx context.Context, u *ui, match *regexp.Regexp) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := f.model.fetch(ctx, u); err != nil {
		return err
	}
	b := &bench{benchFlags: f, ui: u, dev: dev}
	if b.clip, err = b.encoder(dev); err != nil {
		return err
	}
	r := &benchResult{Kind: "result", Model: cmp.Or(f.model.Name, f.model.Path), Sizes: b.clip.Arch, Rounds: f.rounds, Peaks: metersOf(dev), Trip: &b.trip, Device: dev.Describe(), Program: version()}
	if f.arch != "" {
		r.Model = "random " + f.arch
	}
	u.Note("%s, %d rounds, %s\n", r.Model, f.rounds, r.Device)
	u.Note("%s", measurementHeader)
	for _, g := range benchGroups {
		if f.only == "" && !g.unasked || f.only != "" && !slices.Contains(f.kinds(), g.kind) {
			continue
		}
		group, err := g.assemble(b)
		if err != nil {
			return err
		}
		if len(group.cases) == 0 { // of a ResNet
			if group.close != nil {
				group.close()
			}
			continue
		}
		group.keep(match)
		if err := group.measure(ctx, b, r.Peaks); err != nil {
			return err
		}
		for _, c := range group.cases {
			u.Note("%s", c.line())
			r.Cases = append(r.Cases, &c.measurement)
		}
		dev.Trim()
		debug.FreeOSMemory()
	}
	if len(r.Cases) == 0 && f.match == "" {
		return usagef("-only %s: nothing of that kind is measured of a ResNet", f.only)
	}
	if len(r.Cases) == 0 {
		return usagef("-match %q: no case has such a name", f.match)
	}
	for _, p := range r.Peaks {
		p.sum()
		u.Note("peak of %s: %.1f GFLOP/s (%.1f .. %.1f)", p.Format, p.GFLOPS, p.Min, p.Max)
		if p.Loop > 0 {
			u.Note("  with the loads and addresses of a product's loop, in the L1 cache: %.1f GFLOP/s, %.0f %%", p.Loop, 100*p.Loop/p.GFLOPS)
		}
	}
	if r.Trip.sum(); r.Trip.Median > 0 {
		u.Note("from processor to processor and back: %.0f ns (%.0f .. %.0f)", r.Trip.Median, r.Trip.Min, r.Trip.Max)
	}
	return u.result(r, func(io.Writer) {})
}

// encoder puts the model to be measured on a device.
func (b *bench) encoder(dev *tensor.Device) (*clip.CLIP, error) {
	if b.arch != "" {
		return randomEncoder(dev, archs[b.arch])
	}
	m, err := b.model.load(dev, b.ui)
	if err != nil {
		return nil, err
	}
	return m.CLIP, nil
}

// randomEncoder makes an image encoder of the given sizes with random weights and no text tower.
func randomEncoder(dev *tensor.Device, arch vit.Arch) (*clip.CLIP, error) {
	key := tensor.NewKey(1).Name("bench")
	c, transformer := arch.(vit.Config)
	if !transformer {
		w := nn.NewCheck(initial{})
		arch.Build(w)
		return clip.New(dev, initialNet{initial{shapes: w.Asked(), key: key}}, clip.Config{})
	}
	cfg := pretrainConfig{Width: c.Width, Layers: c.Layers, Patch: c.Patch, Embed: c.Embed}
	shapes := cfg.shapes(1)
	maps.DeleteFunc(shapes, func(name string, _ []int) bool { return !strings.HasPrefix(name, "visual.") })
	shapes["visual.positional_embedding"] = []int{c.Tokens(), c.Width}
	return clip.New(dev, initial{cfg, shapes, key}, clip.Config{})
}

// initialNet are weights of a ResNet in which activations stay of size 1: gains and variances are 1, biases and means
// 0, and filters normal.
type initialNet struct{ initial }

func (s initialNet) Read(name string, dst []float32) error {
	std, mean := 0.0, 0.0
	switch shape := s.shapes[name]; {
	case len(shape) > 1:
		std = math.Pow(float64(len(dst)/shape[0]), -0.5)
	case strings.HasSuffix(name, "weight") || strings.HasSuffix(name, "running_var"):
		mean = 1
	}
	normals(dst, s.key.Name(name), mean, std)
	return nil
}

// randomImages are a batch for an encoder, the same on every device.
func randomImages(dev *tensor.Device, e vit.Image, n int) *tensor.Tensor {
	size := e.Sizes().Image
	images := dev.New(tensor.Compute, n, 3, size, size)
	tensor.Normal(images, tensor.NewKey(uint64(n)))
	return images
}
