package tests

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// golden holds the numbers of testdata/golden.json: what the tiny CLIP below computes, in float64.
type golden struct {
	Tokens        [][]int32
	Labels        []int32
	ImageFeatures [][]float64 `json:"image_features"`
	TextFeatures  [][]float64 `json:"text_features"`
	Logits        [][]float64
	MaskStep      struct {
		StudentLogits   [][]float64 `json:"student_logits"`
		TeacherLogits   [][]float64 `json:"teacher_logits"`
		CE, KD, Penalty float64
		Tensors         map[string]struct {
			CENorm     float64   `json:"ce_norm"`
			CEFirst    []float64 `json:"ce_first"`
			KDNorm     float64   `json:"kd_norm"`
			KDFirst    []float64 `json:"kd_first"`
			PurityMean float64   `json:"purity_mean"`
			Kept       int
			Leak       map[string]struct{ Norm, Sum float64 } // by the leak: of the final gradient, of the scores after a step
		}
	} `json:"mask_step"`
	Hash map[string][]float64
}

// hashFill is number i of stream k, in [-1, 1): the finaliser of a 32-bit hash of both, counted from 1.
func hashFill(i, k uint32) float64 {
	x := (i+1)*2654435761 ^ k*2246822519
	x ^= x >> 15
	x *= 2246822519
	x ^= x >> 13
	x *= 3266489917
	x ^= x >> 16
	return float64(x)/(1<<31) - 1
}

// tinyCLIP is a nn.Source of weights defined by a formula: for the k-th name in sorted order, counted from 1, and s
// its numbers by hashFill, 1 + 0.02·s for the gains of layer norms, s·√(3·rows/elements) for what has two or more
// axes, 0.2·s for other vectors, and ln 10 for the logit scale.
type tinyCLIP struct{ shapes }

func newTinyCLIP() tinyCLIP { return sizedCLIP(128, 2, 8, 4, 4) }

// sizedCLIP has the same weights by formula in other sizes: those of the image encoder, and of the text encoder width
// and layers.
func sizedCLIP(width, layers, embed, patch, grid int) tinyCLIP {
	const context, vocab = 8, 16
	s := shapes{
		"logit_scale": {}, "text_projection": {width, embed}, "positional_embedding": {context, width},
		"token_embedding.weight": {vocab, width}, "ln_final.weight": {width}, "ln_final.bias": {width},
		"visual.class_embedding": {width}, "visual.positional_embedding": {grid*grid + 1, width},
		"visual.conv1.weight": {width, 3, patch, patch}, "visual.proj": {width, embed},
		"visual.ln_pre.weight": {width}, "visual.ln_pre.bias": {width}, "visual.ln_post.weight": {width}, "visual.ln_post.bias": {width},
	}
	for _, tower := range []string{"", "visual."} {
		for i := range layers {
			s.block(fmt.Sprintf("%stransformer.resblocks.%d.", tower, i), width)
		}
	}
	return tinyCLIP{s}
}

// Read fills dst with a tensor's values, rounded.
func (s tinyCLIP) Read(name string, dst []float32) error {
	for i, v := range s.values(name) {
		dst[i] = float32(v)
	}
	return nil
}

// values are a tensor's, as the formula gives them.
func (s tinyCLIP) values(name string) []float64 {
	shape := s.shapes[name]
	v := make([]float64, tensor.Len(shape))
	k, _ := slices.BinarySearch(s.Names(), name)
	leaf := name[max(0, strings.LastIndex(strings.TrimSuffix(name, ".weight"), ".")+1):]
	for i := range v {
		h := hashFill(uint32(i), uint32(k+1))
		switch {
		case name == "logit_scale":
			v[i] = math.Ln10
		case strings.HasPrefix(leaf, "ln_") && strings.HasSuffix(leaf, ".weight"):
			v[i] = 1 + 0.02*h
		case len(shape) >= 2:
			v[i] = h * math.Sqrt(3*float64(shape[0])/float64(len(v)))
		default:
			v[i] = 0.2 * h
		}
	}
	return v
}

// goldenRig is the tiny CLIP on a device, with its images.
func goldenRig(t *testing.T, dev *tensor.Device) (clip, *tensor.Tensor) {
	t.Helper()
	src := newTinyCLIP()
	c := newCLIP(t, dev, src, tensor.QuickGELU, 0, 0)
	for _, p := range c.params {
		p.Value.SetFloat64(src.values(p.Name)) // a Source hands out float32
	}
	pixels := make([]float64, 2*3*16*16)
	for i := range pixels {
		pixels[i] = 1.5 * hashFill(uint32(i), 1001)
	}
	return c, from(dev, tensor.Compute, pixels, 2, 3, 16, 16)
}

// roundings is the number of roundings that one number of the tiny CLIP has been through, one after the other, from
// pixel to feature: the lengths of all sums on the way, two layer norms, a softmax and an activation a block.
const roundings = 48 + 128 + 2*(128+128+64+17+128+128+128+512) + 128 + 128

// stores are those among them that round what is stored, and weights: all there are where sums are kept more precisely.
const stores = 5 + 2*(10+4) + 3

// tolerance bounds the relative error after so many passes from pixel to feature or back, on a device of unit roundoff
// u. Rounding errors of sums are as good as independent with mean zero; their sum then exceeds λ·√n·u with probability
// 2·exp(−λ²/2) (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). λ = 6 makes that 3e-8.
func tolerance(device string, passes int) float64 {
	u, n := unitRoundoff(device), passes*roundings
	if u > 0x1p-24 {
		n = passes * stores
	}
	return 6 * math.Sqrt(float64(n)) * u
}

func TestGoldenHash(t *testing.T) {
	var g golden
	readJSON(t, "golden.json", &g)
	for key, want := range g.Hash {
		var n, k uint32
		if _, err := fmt.Sscanf(key, "%d,%d", &n, &k); err != nil || int(n) != len(want) {
			t.Fatalf("hash %q of %d numbers: %v", key, len(want), err)
		}
		for i, w := range want {
			if got := hashFill(uint32(i), k); got != w {
				t.Errorf("h(%d,%d) = %v, want %v", i+1, k, got, w)
			}
		}
	}
	if names := newTinyCLIP().Names(); len(names) != 62 || !slices.Equal(names[:5], []string{"ln_final.bias", "ln_final.weight", "logit_scale", "positional_embedding", "text_projection"}) {
		t.Errorf("the tiny CLIP has %d tensors, first %v", len(names), names[:5])
	}
}

func TestGoldenFeatures(t *testing.T) {
	var g golden
	readJSON(t, "golden.json", &g)
	for _, device := range devices {
		t.Run(device, func(t *testing.T) {
			dev := open(t, device, 1)
			c, images := goldenRig(t, dev)
			check := func(what string, got []float64, want [][]float64) {
				t.Helper()
				if e, tol := apart(got, slices.Concat(want...)), tolerance(device, 1); e > tol {
					t.Errorf("%s: off by %.1e, allowed %.1e", what, e, tol)
				} else {
					t.Logf("%-15s off by %.1e, allowed %.1e", what, e, tol)
				}
			}
			check("image features", c.imageFeatures(dev, images), g.ImageFeatures)
			check("text features", c.textFeatures(dev, g.Tokens), g.TextFeatures)
			head := train.Head{Classes: from(dev, tensor.Full, slices.Concat(unit(g.TextFeatures)...), 3, 8), Scale: 10}
			check("teacher logits", sweep(dev, c, head, nil, images, g.Labels).logits, g.MaskStep.TeacherLogits)
			check("logits", sweep(dev, c, head, nil, images, g.Labels).logits, g.Logits)
		})
	}
}

// TestGoldenMaskStep is one step of R-AMT in the authors' released recipe, with uniform numbers by a formula.
func TestGoldenMaskStep(t *testing.T) {
	const lr, eps, factor = 8e-5, 1e-8, 1e-4
	var g golden
	readJSON(t, "golden.json", &g)
	for _, device := range devices {
		t.Run(device, func(t *testing.T) {
			dev := open(t, device, 1)
			c, images := goldenRig(t, dev)
			masks := c.mask(t, patterns(t, true), func(_ string, i int) float64 {
				if (7*i+3)%10 < 8 {
					return 0.01
				}
				return 0.001
			})
			head := train.Head{Classes: from(dev, tensor.Full, slices.Concat(unit(g.TextFeatures)...), 3, 8), Scale: 10}
			got, want := sweep(dev, c, head, masks, images, g.Labels), g.MaskStep
			tol := tolerance(device, 2) // there and back
			check := func(what string, got, want float64) {
				t.Helper()
				if e := math.Abs(got-want) / math.Abs(want); !(e <= tol) {
					t.Errorf("%s = %.15g, want %.15g: off by %.1e, allowed %.1e", what, got, want, e, tol)
				}
			}
			if e := apart(got.logits, slices.Concat(want.StudentLogits...)); e > tol {
				t.Errorf("student logits: off by %.1e, allowed %.1e", e, tol)
			}
			check("cross-entropy", got.ce[0], want.CE)
			check("soft cross-entropy", got.kd[0], want.KD)
			if len(masks) != len(want.Tensors) {
				t.Fatalf("%d masks, want %d", len(masks), len(want.Tensors))
			}
			penalty := 0.0
			for _, m := range masks {
				name, scores := m.Param.Name, m.Scores.Float64s()
				w, a, b := want.Tensors[name], got.byName[name][0], got.byName[name][1]
				penalty += factor * norm(scores)
				check(name+": norm of the task's gradient", norm(a), w.CENorm)
				check(name+": norm of the distillation gradient", norm(b), w.KDNorm)
				rms := w.CENorm / math.Sqrt(float64(len(a)))
				if e := max(farthest(a[:4], w.CEFirst), farthest(b[:4], w.KDFirst)); e > tol*rms {
					t.Errorf("%s: first gradients off by %.1e, allowed %.1e", name, e, tol*rms)
				}

				// Every element may be off by slack, its purity by slack relative to its size. Where that leaves the
				// decision open, it may go either way.
				slack, length := tol*rms, norm(scores)
				var mean, meanSlack float64
				kept, open := 0, 0
				keep := make([]bool, len(a))
				for i := range a {
					a[i] += factor * scores[i] / length
					size := math.Abs(a[i]) + math.Abs(b[i]) + eps
					p := 0.5 * (1 + sign(a[i])*(a[i]+b[i])/size)
					_, u := math.Modf(0.6180339887498949 * float64(i+1))
					mean += p / float64(len(a))
					meanSlack += min(1, slack/size) / float64(len(a))
					if keep[i] = p > u; keep[i] {
						kept++
					}
					if math.Abs(p-u) <= slack/size {
						open++
					}
				}
				if device == "ref" && open > 0 {
					t.Errorf("%s: %d decisions are open even in float64", name, open)
				}
				if kept < w.Kept-open || kept > w.Kept+open {
					t.Errorf("%s: kept %d, want %d ± %d", name, kept, w.Kept, open)
				}
				if e := math.Abs(mean - w.PurityMean); e > meanSlack+tol {
					t.Errorf("%s: mean purity %.12g, want %.12g: off by %.1e, allowed %.1e", name, mean, w.PurityMean, e, meanSlack+tol)
				}
				for _, leak := range []float64{1, 0.3} {
					final := slices.Clone(a)
					for i := range final {
						if !keep[i] {
							final[i] *= 1 - leak
						}
					}
					r := w.Leak[fmt.Sprintf("%.1f", leak)]
					if e, most := math.Abs(norm(final)-r.Norm), tol*r.Norm+float64(open)*rms; e > most {
						t.Errorf("%s, leak %g: final gradient %.12g long, want %.12g: off by %.1e, allowed %.1e", name, leak, norm(final), r.Norm, e, most)
					}
					x := from(dev, tensor.Full, scores, len(a))
					adam := optim.NewAdam()
					adam.Tick(lr)
					adam.Update(x, from(dev, tensor.Full, final, len(a)))
					// The first step is lr·g/(|g|+1e-8): it turns with the sign of g. The scores are rounded before and
					// after it, and summed here in float64.
					most := r.Sum * (2*tolerance(device, 1) + float64(len(a))*0x1p-53)
					for _, g := range final {
						most += 2 * lr * slack / max(math.Abs(g), slack)
					}
					if e := math.Abs(sum(x.Float64s()) - r.Sum); e > most+2*lr*float64(open) {
						t.Errorf("%s, leak %g: scores sum to %.12g after a step, want %.12g: off by %.1e, allowed %.1e", name, leak, sum(x.Float64s()), r.Sum, e, most)
					}
				}
			}
			check("penalty", penalty, want.Penalty)
		})
	}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}
