package tests

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/rmt"
	models "fewshot/rmt/clip"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// The benchmarks of this file are what each saving of the engine is worth, with it and without, by name:
//
//	go test -run '^$' -bench Gain -count 6 ./tests | benchstat -col /way -
//
// Those of single kernels are beside them: BenchmarkFewRows, BenchmarkGain (parts of a product, switched off one by
// one), BenchmarkGemm (instruction sets) and BenchmarkGemmBF16 in tensor/internal/simd. What the teacher costs before
// the first flip is the difference of the two steps of fewshot bench.

// gainBatch is small, so that a round of all takes a minute or two.
const gainBatch = 4

// gain opens a ViT-B/16 of random weights with masks, some weights off, and images for a step.
func gain(b *testing.B, o tensor.Options, batch int) (dev *tensor.Device, tuner *train.Trainer, images *tensor.Tensor, labels []int32) {
	b.Helper()
	dev, err := tensor.Open("cpu", o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	config := encoders[1].Config
	w := nn.NewWeights(dev, randomViT(config))
	student, teacher := vit.New(w, config), vit.New(w, config)
	if err := w.Err(); err != nil {
		b.Fatal(err)
	}
	c, err := rmt.Defaults("r-amt", "paper", "", 16, false)
	if err != nil {
		b.Fatal(err)
	}
	params, err := rmt.Select(student.Params(), c.Patterns)
	if err != nil {
		b.Fatal(err)
	}
	masks := attachThinned(params, c)
	head := randomHead(dev, config.Embed)
	images = dev.New(tensor.Compute, batch, 3, config.ImageSize, config.ImageSize)
	tensor.Normal(images, tensor.NewKey(2))
	return dev, rmt.NewTrainer(dev, rmt.NewLearner(student, teacher, head, masks, c.Rule()), c), images, make([]int32, batch)
}

// attachThinned masks parameters, with one weight in 40 off, so that steps have the teacher and both losses.
func attachThinned(params []*nn.Param, c rmt.Config) []*rmt.Mask {
	masks := rmt.Attach(params, c.Init, c.Threshold)
	for _, m := range masks {
		v := m.Scores.Floats()
		for i := 0; i < len(v); i += 40 {
			v[i] = 0
		}
		m.Scores.Set(v)
	}
	return masks
}

// randomHead has 100 classes of random features.
func randomHead(dev *tensor.Device, embed int) train.Head {
	const classes = 100
	head := train.Head{Classes: dev.New(tensor.Full, classes, embed), Scale: 100}
	norms := dev.New(tensor.Full, classes)
	tensor.Normal(head.Classes, tensor.NewKey(1))
	tensor.L2Normalize(head.Classes, norms, head.Classes)
	return head
}

// masks are what a tuner of gain learns.
func masks(t *train.Trainer) *rmt.Learner { return t.Learner.(*rmt.Learner) }

// repeat measures steps after the first, which takes the memory.
func repeat(b *testing.B, tuner *train.Trainer, images *tensor.Tensor, labels []int32) {
	step := func() {
		if _, err := tuner.Step(context.Background(), images, labels, 0); err != nil {
			b.Fatal(err)
		}
	}
	step()
	for b.Loop() {
		step()
	}
}

// BenchmarkGainLanes: both losses' gradients in one sweep, or in two, for which the student must be run twice as a
// tape serves one sweep; the time of a second forward pass is taken out.
func BenchmarkGainLanes(b *testing.B) {
	dev, tuner, images, labels := gain(b, tensor.Options{}, gainBatch)
	target := dev.Zeros(tensor.Full, gainBatch, 100)
	forward := func() (*autograd.Tape, *autograd.Var) {
		t := autograd.NewTape(dev)
		return t, masks(tuner).Head.Logits(masks(tuner).Student.Encode(t.Const(images)))
	}
	together := func() {
		t, z := forward()
		autograd.Backward(autograd.CrossEntropy(z, labels), autograd.SoftCrossEntropy(z, target))
		t.Release()
	}
	together() // takes the memory
	for _, way := range []string{"together", "apart"} {
		b.Run("way="+way, func(b *testing.B) {
			for b.Loop() {
				if way == "together" {
					together()
					continue
				}
				t, z := forward()
				autograd.Backward(autograd.CrossEntropy(z, labels))
				t.Release()
				b.StopTimer()
				t, z = forward()
				loss := autograd.SoftCrossEntropy(z, target)
				b.StartTimer()
				autograd.Backward(loss)
				t.Release()
			}
		})
	}
}

// BenchmarkGainClassToken: the last block for the class token alone, or for all tokens.
func BenchmarkGainClassToken(b *testing.B) {
	dev := open(b, "cpu", runtime.GOMAXPROCS(0))
	config := encoders[1].Config
	w := nn.NewWeights(dev, randomViT(config))
	blocks := nn.NewTransformer(w.In("visual", "transformer"), nn.TransformerConfig{Width: config.Width, Layers: config.Layers, Heads: config.Heads})
	if err := w.Err(); err != nil {
		b.Fatal(err)
	}
	x := dev.New(tensor.Compute, gainBatch, 197, config.Width)
	tensor.Normal(x, tensor.NewKey(1))
	for _, way := range []string{"class", "all"} {
		b.Run("way="+way, func(b *testing.B) {
			for b.Loop() {
				t := autograd.NoGrad(dev)
				if way == "class" {
					blocks.ForwardFirst(t.Const(x))
				} else {
					autograd.FirstToken(blocks.Forward(t.Const(x)))
				}
				t.Release()
			}
		})
	}
}

// BenchmarkGainFirstAttention: attention of the class token alone to the tokens themselves, or to keys and values of
// all of them.
func BenchmarkGainFirstAttention(b *testing.B) {
	dev := open(b, "cpu", runtime.GOMAXPROCS(0))
	config := encoders[1].Config
	w := nn.NewWeights(dev, randomViT(config))
	attention := nn.NewAttention(w.In("visual", "transformer", "resblocks", config.Layers-1, "attn"), config.Width, config.Heads, false)
	if err := w.Err(); err != nil {
		b.Fatal(err)
	}
	x := dev.New(tensor.Compute, gainBatch, 197, config.Width)
	tensor.Normal(x, tensor.NewKey(1))
	for _, way := range []string{"tokens", "keys"} {
		b.Run("way="+way, func(b *testing.B) {
			for b.Loop() {
				t := autograd.NoGrad(dev)
				if way == "tokens" {
					attention.ForwardFirst(t.Const(x), nil)
				} else {
					byKeys(attention, config, t.Const(x))
				}
				t.Release()
			}
		})
	}
}

// byKeys is ForwardFirst by keys and values of all tokens.
func byKeys(a nn.Attention, c vit.Config, x *autograd.Var) *autograd.Var {
	t, d := x.Tape(), c.Width
	w, b := a.InW.On(t), a.InB.On(t)
	q := autograd.Linear(autograd.FirstToken(x), autograd.Rows(w, 0, d), autograd.Rows(b, 0, d))
	kv := autograd.Linear(x, autograd.Rows(w, d, 3*d), autograd.Rows(b, d, 3*d))
	n := x.Shape()[0]
	out, lse := t.New(tensor.Compute, n, 1, d), t.New(tensor.Full, n, c.Heads)
	tensor.Attention(out, lse, q.Value.View(n, 1, d), kv.Value, tensor.AttentionOptions{Heads: c.Heads, V: d})
	return a.Out.Forward(t.Const(out.View(n, d)))
}

// BenchmarkGainProgram: a step run as a recorded program, or recorded each time.
func BenchmarkGainProgram(b *testing.B) {
	_, tuner, images, labels := gain(b, tensor.Options{}, gainBatch)
	step := func() {
		if _, err := tuner.Step(context.Background(), images, labels, 0); err != nil {
			b.Fatal(err)
		}
	}
	for _, way := range []string{"recorded", "anew"} {
		b.Run("way="+way, func(b *testing.B) {
			step()
			b.ReportAllocs()
			for b.Loop() {
				step()
				if way == "anew" {
					if err := tuner.Release(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkGainUpdate: gradient dropout and Adam in one pass over the memory, or one after the other.
func BenchmarkGainUpdate(b *testing.B) {
	dev := open(b, "cpu", runtime.GOMAXPROCS(0))
	var x [6]*tensor.Tensor
	for i := range x {
		x[i] = dev.New(tensor.Full, 2304, 768)
		tensor.Normal(x[i], tensor.NewKey(uint64(i)))
	}
	scores, m, v, ce, kl, g := x[0], x[1], x[2], x[3], x[4], x[5]
	tensor.Mul(v, v, v)
	drop, adam := tensor.GradDropOptions{Leak: 1}, tensor.AdamArgs{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}
	for _, way := range []string{"fused", "apart"} {
		b.Run("way="+way, func(b *testing.B) {
			for b.Loop() {
				if way == "fused" {
					tensor.GradDropAdam(scores, m, v, ce, kl, drop, adam)
				} else {
					tensor.GradDrop(g, ce, kl, scores, drop)
					tensor.Adam(scores, m, v, g, adam)
				}
			}
		})
	}
}

// BenchmarkGainResidual: the residual added by the product before it, or after it, in both halves of a block, for 32
// images, as fewshot computes them.
func BenchmarkGainResidual(b *testing.B) {
	dev, err := tensor.Open("cpu", tensor.Options{Strassen: tensor.StrassenPays()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	const rows, width = 32 * 197, 768
	fresh := func(shape ...int) *tensor.Tensor {
		t := dev.New(tensor.Compute, shape...)
		tensor.Normal(t, tensor.NewKey(1))
		return t
	}
	residual, y, sum, bias := fresh(rows, width), fresh(rows, width), fresh(rows, width), fresh(width)
	x := []*tensor.Tensor{fresh(rows, width), fresh(rows, 4*width)}
	w := []*tensor.Tensor{fresh(width, width), fresh(width, 4*width)}
	for _, way := range []string{"fused", "apart"} {
		b.Run("way="+way, func(b *testing.B) {
			for b.Loop() {
				for i := range x {
					o := tensor.GemmOptions{TransB: true, Bias: bias}
					if way == "fused" {
						o.Add = residual
						tensor.Gemm(y, x[i], w[i], o)
					} else {
						tensor.Gemm(y, x[i], w[i], o)
						tensor.Add(sum, residual, y)
					}
				}
			}
		})
	}
}

// BenchmarkGainAttention: attention a head at a time, its scores in the cache, or made of products and softmax over
// all.
func BenchmarkGainAttention(b *testing.B) {
	dev := open(b, "cpu", runtime.GOMAXPROCS(0))
	const heads, tokens, size = 12, 197, 64
	qkv, out := dev.New(tensor.Compute, gainBatch, tokens, 3*heads*size), dev.New(tensor.Compute, gainBatch, tokens, heads*size)
	lse := dev.New(tensor.Full, gainBatch, heads, tokens)
	tensor.Normal(qkv, tensor.NewKey(1))
	var q, k, v, o [heads]*tensor.Tensor
	for h := range heads {
		q[h], k[h], v[h], o[h] = dev.New(tensor.Compute, gainBatch, tokens, size), dev.New(tensor.Compute, gainBatch, tokens, size),
			dev.New(tensor.Compute, gainBatch, tokens, size), dev.New(tensor.Compute, gainBatch, tokens, size)
	}
	scores := dev.New(tensor.Compute, gainBatch, tokens, tokens)
	rows := gainBatch * tokens
	for _, way := range []string{"fused", "composed"} {
		b.Run("way="+way, func(b *testing.B) {
			for b.Loop() {
				if way == "fused" {
					tensor.Attention(out, lse, qkv, qkv, tensor.AttentionOptions{Heads: heads, K: heads * size, V: 2 * heads * size})
					continue
				}
				for h := range heads {
					for i, part := range []*tensor.Tensor{q[h], k[h], v[h]} {
						tensor.CopyBlocks(part, qkv, rows, size, 0, size, (i*heads+h)*size, 3*heads*size)
					}
					tensor.Gemm(scores, q[h], k[h], tensor.GemmOptions{TransB: true})
					tensor.Scale(scores, scores, 0.125)
					tensor.Softmax(scores, scores)
					tensor.Gemm(o[h], scores, v[h], tensor.GemmOptions{})
					tensor.CopyBlocks(out, o[h], rows, size, h*size, heads*size, 0, size)
				}
			}
		})
	}
}

// BenchmarkGainFrozen: gradients for masks alone, and no way back below the lowest, or for all the encoder's
// parameters.
func BenchmarkGainFrozen(b *testing.B) {
	dev, tuner, images, labels := gain(b, tensor.Options{}, gainBatch)
	masked := map[*nn.Param]bool{}
	for _, m := range masks(tuner).Masks {
		masked[m.Param] = true
	}
	for _, way := range []string{"masks", "all"} {
		b.Run("way="+way, func(b *testing.B) {
			for _, p := range masks(tuner).Student.(*vit.Encoder).Params() {
				p.Trainable = way == "all" && !masked[p]
			}
			step := func() {
				t := autograd.NewTape(dev)
				autograd.Backward(autograd.CrossEntropy(masks(tuner).Head.Logits(masks(tuner).Student.Encode(t.Const(images))), labels))
				t.Release()
			}
			step() // takes the memory
			for b.Loop() {
				step()
			}
		})
	}
}

// BenchmarkGainOpening: of ViT-B/16 in half precision the image encoder alone, or the text encoder too, and with the digest of
// all weights.
func BenchmarkGainOpening(b *testing.B) {
	config := encoders[1].Config
	s := randomViT(config)
	const words = 512
	maps.Copy(s, shapes{
		"token_embedding.weight": {49408, words}, "positional_embedding": {77, words}, "text_projection": {words, config.Embed},
		"ln_final.weight": {words}, "ln_final.bias": {words}, "logit_scale": {},
	})
	for i := range config.Layers {
		s.block(fmt.Sprintf("transformer.resblocks.%d.", i), words)
	}
	path := filepath.Join(b.TempDir(), "model.safetensors")
	if err := checkpoint.WriteFile(path, func(w io.Writer) error { return checkpoint.WriteModel(w, nil, s, checkpoint.F16) }); err != nil {
		b.Fatal(err)
	}
	for way, o := range map[string]models.Options{
		"images": {ImagesOnly: true, NoDigest: true}, "both": {NoDigest: true}, "digest": {},
	} {
		b.Run("way="+way, func(b *testing.B) {
			o.Path, o.Activation = path, "quickgelu"
			for b.Loop() {
				dev := open(b, "cpu", runtime.GOMAXPROCS(0))
				if _, err := o.Open(dev); err != nil {
					b.Fatal(err)
				}
				if err := dev.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGainParts: a batch of 32 in parts, as fewshot computes it, or all at once, which takes less time and more
// memory.
func BenchmarkGainParts(b *testing.B) {
	const batch = 32
	for _, way := range []string{"parts", "whole"} {
		b.Run("way="+way, func(b *testing.B) {
			dev, tuner, images, labels := gain(b, tensor.Options{Strassen: tensor.StrassenPays()}, batch)
			if way == "parts" {
				tuner.MicroBatch = rmt.AutoMicroBatch(batch, 197)
			}
			repeat(b, tuner, images, labels)
			b.ReportMetric(float64(dev.PeakBytes())/(1<<20), "MiB")
		})
	}
}

// BenchmarkGainPrecision: a step in bfloat16, or in float32.
func BenchmarkGainPrecision(b *testing.B) {
	for _, way := range []string{"bf16", "float32"} {
		b.Run("way="+way, func(b *testing.B) {
			_, tuner, images, labels := gain(b, tensor.Options{Precision: way}, gainBatch)
			repeat(b, tuner, images, labels)
		})
	}
}

// BenchmarkGainStrassen: a step with its large products by Strassen's algorithm, or as others are: with AVX2
// it gains nothing, see tensor.StrassenPays. On few images no product is large.
func BenchmarkGainStrassen(b *testing.B) {
	for _, way := range []string{"strassen", "ordinary"} {
		b.Run("way="+way, func(b *testing.B) {
			_, tuner, images, labels := gain(b, tensor.Options{Strassen: way == "strassen"}, 4*gainBatch)
			repeat(b, tuner, images, labels)
		})
	}
}
