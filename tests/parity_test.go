package tests

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/nn/checkpoint"
	"fewshot/optim"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// The fixtures below testdata/parity come from open_clip, transformers and PyTorch themselves (make_parity.py). Their
// numbers are float64, and beside them stands the yardstick: how far the very same PyTorch program is off in float32.
//
// Our float32 may be off by slack yardsticks. It sums in another order than PyTorch, so its rounding errors are others,
// of the same size; of two such samples of some hundred numbers the largest rarely differ by more than a factor 3.
// ref may be off by slack·2⁻²⁹ yardsticks, as float64 rounds 2⁻²⁹ times finer. Both sides of that comparison
// have errors then, which the slack covers too.
const slack = 8

// yardsticks judge deviations and log them, a line each.
type yardsticks struct {
	t       *testing.T
	device  string
	fixture string
}

// unitRoundoff is how much rounding changes a number at most, relatively, in a device's number format.
func unitRoundoff(device string) float64 {
	switch {
	case device == "ref":
		return 0x1p-53
	case strings.HasSuffix(device, " bf16"):
		return 0x1p-9
	}
	return 0x1p-24
}

// check compares a deviation with what the yardstick allows. floor is what cannot be asked of the number format
// itself, in its unit roundoffs: a sample of one or two numbers may by luck be better than that.
func (y yardsticks) check(what string, off, yardstick, floor float64) {
	y.t.Helper()
	unit := unitRoundoff(y.device)
	yardstick *= unit / 0x1p-24
	allowed := slack * max(yardstick, floor*unit)
	y.t.Logf("%-9s %-24s %-20s off by %.1e, allowed %.1e", y.device, y.fixture, what, off, allowed)
	if !(off <= allowed) {
		y.t.Errorf("%s: %s, %s: off by %.3g, allowed %.3g", y.device, y.fixture, what, off, allowed)
	}
}

// outputs are what a library computes with a model.
type outputs struct {
	ImageFeatures [][]float64 `json:"image_features"`
	TextFeatures  [][]float64 `json:"text_features"`
	Logits        [][]float64
	Float32       struct {
		ImageFeatures float64 `json:"image_features"`
		TextFeatures  float64 `json:"text_features"`
		Logits        float64
	}
}

// sketch is what is kept of a large tensor.
type sketch struct {
	RMS                  float64
	Samples, Projections []float64
}

// apart compares a whole tensor with a sketch, in units of its root mean square. A projection of independent errors on
// n numbers of variance 1/12 is √(n/12) times as large as they are.
func (s sketch) apart(got []float64) float64 {
	off := 0.0
	stride := len(got) / len(s.Samples)
	for i, want := range s.Samples {
		off = max(off, math.Abs(got[i*stride]-want))
	}
	for i, want := range s.Projections {
		dot := 0.0
		for j, u := range rays(len(got))[i][:len(got)] {
			dot += got[j] * (u - 0.5)
		}
		off = max(off, math.Abs(dot-want)/math.Sqrt(float64(len(got))/12))
	}
	if off /= cmp.Or(s.RMS, 1); math.IsNaN(off) { // of zeros, as it is
		return math.Inf(1)
	}
	return off
}

// rays are the directions of projections, for tensors of at least n elements.
func rays(n int) [][]float64 {
	if len(projections[0]) < n {
		for i := range projections {
			projections[i] = uniforms(tensor.NewKey(99).Name("projection").Fold(uint64(i)), n)
		}
	}
	return projections
}

var projections = make([][]float64, 8)

// uniforms are the first n numbers of a stream.
func uniforms(k tensor.Key, n int) []float64 {
	u := make([]float64, 0, n+3)
	for b := uint64(0); len(u) < n; b++ {
		for _, w := range k.Block(b) {
			u = append(u, tensor.Unit(w))
		}
	}
	return u[:n]
}

// parityImages are the fixtures' images of a key, in [-2, 2).
func parityImages(dev *tensor.Device, key uint64, n, size int) *tensor.Tensor {
	v := uniforms(tensor.NewKey(key).Name("images"), n*3*size*size)
	for i := range v {
		v[i] = 4*v[i] - 2
	}
	return from(dev, tensor.Compute, v, n, 3, size, size)
}

const paritySize = 16 // pixels, of all fixtures' images

// openParity opens a fixture's model.
func openParity(t testing.TB, name string) *checkpoint.Model {
	t.Helper()
	m, err := checkpoint.OpenModel(filepath.Join("testdata", "parity", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func checkOutputs(y yardsticks, dev *tensor.Device, c clip, scale float64, images *tensor.Tensor, tokens [][]int32, want outputs) {
	y.t.Helper()
	texts := c.textFeatures(dev, tokens)
	y.check("image features", apart(c.imageFeatures(dev, images), slices.Concat(want.ImageFeatures...)), want.Float32.ImageFeatures, 1)
	y.check("text features", apart(texts, slices.Concat(want.TextFeatures...)), want.Float32.TextFeatures, 1)
	n := dev.New(tensor.Full, len(tokens))
	classes := from(dev, tensor.Full, texts, len(tokens), len(texts)/len(tokens))
	tensor.L2Normalize(classes, n, classes)
	logits := sweep(dev, c, train.Head{Classes: classes, Scale: scale}, nil, images, make([]int32, images.Shape()[0])).logits
	y.check("logits", apart(logits, slices.Concat(want.Logits...)), want.Float32.Logits, 1)
}

// logitScale is the model's factor on cosines.
func logitScale(t testing.TB, m *checkpoint.Model) float64 {
	t.Helper()
	var v [1]float32
	if err := m.Read("logit_scale", v[:]); err != nil {
		t.Fatal(err)
	}
	return math.Exp(float64(v[0]))
}

func TestParityOpenCLIP(t *testing.T) {
	var want struct {
		Images          int
		Tokens          [][]int32
		QuickGELU, GELU outputs
	}
	readJSON(t, "parity/openclip.json", &want)
	m := openParity(t, "openclip.safetensors")
	for _, device := range devices {
		dev := open(t, device, 1)
		t.Log(dev.Describe())
		images := parityImages(dev, 1, want.Images, paritySize)
		for _, a := range []tensor.Activation{tensor.QuickGELU, tensor.GELU} {
			w := map[tensor.Activation]outputs{tensor.QuickGELU: want.QuickGELU, tensor.GELU: want.GELU}[a]
			c := newCLIP(t, dev, m, a, 0, 0)
			checkOutputs(yardsticks{t, device, "open_clip " + a.String()}, dev, c, logitScale(t, m), images, want.Tokens, w)
		}
	}
}

// The folder that transformers wrote says activation and heads itself; heads are 32 wide here, unlike OpenAI's.
func TestParityHuggingFace(t *testing.T) {
	var want struct {
		Images    int
		Tokens    [][]int32
		QuickGELU outputs
	}
	readJSON(t, "parity/huggingface.json", &want)
	m := openParity(t, "huggingface")
	if a := m.Activation(); a != "quickgelu" {
		t.Fatalf("activation %q", a)
	}
	for _, device := range devices {
		dev := open(t, device, 1)
		vision, text := m.Heads()
		c := newCLIP(t, dev, m, tensor.QuickGELU, vision, text)
		images := parityImages(dev, 2, want.Images, paritySize)
		checkOutputs(yardsticks{t, device, "transformers"}, dev, c, logitScale(t, m), images, want.Tokens, want.QuickGELU)
	}
}

// Both losses' gradients for every mask, with a tenth of the weights off, for both recipes.
func TestParityGradients(t *testing.T) {
	type step struct {
		CE, KD  float64
		Tensors map[string]struct{ CE, KD sketch }
		Float32 struct{ Loss, Gradients float64 }
	}
	var want struct {
		Images          int
		Labels          []int32
		Classes         [][]float64
		Scale           float64
		Paper, Released step
	}
	readJSON(t, "parity/gradients.json", &want)
	m := openParity(t, "openclip.safetensors")
	for _, device := range devices {
		dev := open(t, device, 1)
		images := parityImages(dev, 1, want.Images, paritySize)
		head := train.Head{Classes: from(dev, tensor.Full, slices.Concat(want.Classes...), len(want.Classes), len(want.Classes[0])), Scale: want.Scale}
		for _, recipe := range rmt.Recipes() {
			w := map[string]step{"paper": want.Paper, "released": want.Released}[recipe]
			c := newCLIP(t, dev, m, tensor.QuickGELU, 0, 0)
			off := map[string][]float64{}
			masks := c.mask(t, patterns(t, recipe == "released"), func(name string, i int) float64 {
				if off[name] == nil {
					shape, _ := m.Shape(name)
					off[name] = uniforms(tensor.NewKey(17).Name("off").Name(name), tensor.Len(shape))
				}
				if off[name][i] < 0.1 {
					return 0.001
				}
				return 0.01
			})
			got := sweep(dev, c, head, masks, images, want.Labels)
			y := yardsticks{t, device, "gradients " + recipe}
			y.check("losses", max(math.Abs(got.ce[0]-w.CE), math.Abs(got.kd[0]-w.KD)), w.Float32.Loss, max(w.CE, w.KD))
			if len(got.byName) != len(w.Tensors) {
				t.Errorf("%d masks, want %d", len(got.byName), len(w.Tensors))
			}
			worst := 0.0
			for name, g := range got.byName {
				worst = max(worst, w.Tensors[name].CE.apart(g[0]), w.Tensors[name].KD.apart(g[1]))
			}
			y.check("mask gradients", worst, w.Float32.Gradients, 1)
		}
	}
}

// run is ten steps of tuning by PyTorch.
type run struct {
	Name               string
	Stem               bool
	LR                 float64
	Seed               uint64
	Leak, Eps, Penalty float64
	Steps              []struct {
		CE      float64
		KD      *float64 // nil while no weight is off
		Tensors map[string]struct {
			Kept        int     // elements of the gradient that dropout kept
			KeptInDoubt int     `json:"kept_in_doubt"` // elements of which rounding to float32 decides
			Off         int     // weights
			OffInDoubt  int     `json:"off_in_doubt"`
			Sum         float64 // of the scores
		}
	}
	Scores  map[string]sketch // after the last step
	Float32 struct{ Loss, Sum, Scores float64 }
}

// Ten steps of the tuner, every one of which is compared. PyTorch's program knows nothing of what the tuner leaves
// out: it runs the teacher from the first step on.
func TestParityTuning(t *testing.T) {
	var want struct {
		Images, Batch int
		Labels        []int32
		Classes       [][]float64
		Scale         float64
		Runs          []run
	}
	readJSON(t, "parity/tuning.json", &want)
	m := openParity(t, "huggingface")
	vision, text := m.Heads()
	for _, device := range devices {
		for _, r := range want.Runs {
			dev := open(t, device, 1)
			c := newCLIP(t, dev, m, tensor.QuickGELU, vision, text)
			masks := c.mask(t, patterns(t, r.Stem), func(string, int) float64 { return 0.01 })
			head := train.Head{Classes: from(dev, tensor.Full, slices.Concat(want.Classes...), len(want.Classes), len(want.Classes[0])), Scale: want.Scale}
			images := parityImages(dev, 3, want.Images, paritySize)
			config := rmt.Config{Leak: r.Leak, Eps: r.Eps, Penalty: r.Penalty, Seed: r.Seed}
			census := &census{GradDrop: config.Rule().(optim.GradDrop), kept: map[*tensor.Tensor]int{}}
			tuner := rmt.NewTrainer(dev, rmt.NewLearner(c.student, c.teacher, head, masks, census), config)
			schedule := optim.Cosine(r.LR, len(r.Steps))
			y := yardsticks{t, device, r.Name}
			var loss, total, largest float64
			largestMask := 0
			for i, w := range r.Steps {
				lo := i * want.Batch % want.Images
				s, err := tuner.Step(t.Context(), images.Rows(lo, lo+want.Batch), want.Labels[lo:lo+want.Batch], schedule(i))
				if err != nil {
					t.Fatal(err)
				}
				// In bfloat16 rounding decides which weights go; once some are gone, the losses are those of other masks.
				comparable := unitRoundoff(device) <= 0x1p-24 || w.KD == nil
				if comparable {
					loss, largest = max(loss, math.Abs(s.Loss-w.CE)), max(largest, w.CE)
				}
				if taught := w.KD != nil && r.Leak != 0; taught == math.IsNaN(s.Distill) {
					t.Errorf("%s: %s, step %d: distillation loss %g", device, r.Name, i+1, s.Distill)
				} else if taught && comparable {
					loss = max(loss, math.Abs(s.Distill-*w.KD))
				}
				if len(masks) != len(w.Tensors) {
					t.Fatalf("%d masks, want %d", len(masks), len(w.Tensors))
				}
				for _, k := range masks {
					x := w.Tensors[k.Param.Name]
					largestMask = max(largestMask, k.Scores.Len())
					switch unit := unitRoundoff(device); {
					case unit < 0x1p-24:
						x.KeptInDoubt, x.OffInDoubt = 0, 0
					case unit > 0x1p-24: // more is in doubt than the fixture knows
						x.KeptInDoubt, x.OffInDoubt = k.Scores.Len(), k.Scores.Len()
					}
					if kept := census.kept[k.Scores]; apartInts(kept, x.Kept) > x.KeptInDoubt {
						t.Errorf("%s: %s, step %d: %s: %d elements of the gradient kept, want %d ± %d", device, r.Name, i+1, k.Param.Name, kept, x.Kept, x.KeptInDoubt)
					}
					if off := k.Off(); apartInts(off, x.Off) > x.OffInDoubt {
						t.Errorf("%s: %s, step %d: %s: %d off, want %d ± %d", device, r.Name, i+1, k.Param.Name, off, x.Off, x.OffInDoubt)
					}
					total = max(total, math.Abs(sum(k.Scores.Float64s())/x.Sum-1))
				}
			}
			scores := 0.0
			for _, k := range masks {
				scores = max(scores, r.Scores[k.Param.Name].apart(k.Scores.Float64s()))
			}
			y.check("losses", loss, r.Float32.Loss, largest)
			floor := 1.0
			if device == "ref" {
				floor = math.Sqrt(float64(largestMask)) // this test's own sums, which are float64 for either device
			}
			y.check("sums of scores", total, r.Float32.Sum, floor)
			y.check("scores", scores, r.Float32.Scores, 1)
		}
	}
}

// census is gradient dropout that counts what it keeps.
type census struct {
	optim.GradDrop
	kept map[*tensor.Tensor]int // by the scores, of the last step
}

func (c *census) Apply(o optim.Optimizer, w, a, b *tensor.Tensor, key tensor.Key) {
	c.kept[w] = w.Len()
	if c.Leak != 0 {
		dev := w.Device()
		g, squares := dev.New(tensor.Full, w.Shape()...), dev.New(tensor.Full)
		tensor.SumSquares(squares, w)
		// With leak 1 what is dropped is 0; no gradient of the fixtures is 0 otherwise.
		tensor.GradDrop(g, a, b, w, tensor.GradDropOptions{Leak: 1, Eps: c.Eps, Key: key, Penalty: float64(c.Penalty), SumSquares: squares})
		for _, x := range g.Floats() {
			if x == 0 {
				c.kept[w]--
			}
		}
		g.Release()
		squares.Release()
	}
	c.GradDrop.Apply(o, w, a, b, key)
}

func apartInts(a, b int) int { return max(a-b, b-a) }
