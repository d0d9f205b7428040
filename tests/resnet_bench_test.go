package tests

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt"
	"fewshot/tensor"
	"fewshot/vit"
)

// rn50 is a checkpoint of RN50's shapes, with normal numbers as small as keep activations of size 1.
type rn50 struct{ shapes }

func newRN50() rn50 {
	s := shapes{"visual.attnpool.positional_embedding": {50, 2048}}
	conv := func(conv, norm string, in, out, size int) {
		s["visual."+conv+".weight"] = []int{out, in, size, size}
		for _, v := range []string{"weight", "bias", "running_mean", "running_var"} {
			s["visual."+norm+"."+v] = []int{out}
		}
	}
	conv("conv1", "bn1", 3, 32, 3)
	conv("conv2", "bn2", 32, 32, 3)
	conv("conv3", "bn3", 32, 64, 3)
	in := 64
	for i, n := range []int{3, 4, 6, 3} {
		inside := 64 << i
		for j := range n {
			b := fmt.Sprintf("layer%d.%d.", i+1, j)
			conv(b+"conv1", b+"bn1", in, inside, 1)
			conv(b+"conv2", b+"bn2", inside, inside, 3)
			conv(b+"conv3", b+"bn3", inside, 4*inside, 1)
			if j == 0 {
				conv(b+"downsample.0", b+"downsample.1", in, 4*inside, 1)
			}
			in = 4 * inside
		}
	}
	for name, out := range map[string]int{"q": in, "k": in, "v": in, "c": 1024} {
		s["visual.attnpool."+name+"_proj.weight"], s["visual.attnpool."+name+"_proj.bias"] = []int{out, in}, []int{out}
	}
	return rn50{s}
}

func (r rn50) Read(name string, dst []float32) error {
	shape := r.shapes[name]
	scale := 0.1
	if len(shape) > 1 {
		scale = float64(shape[0]) / float64(len(dst)) // 1 / inputs
	}
	for i, u := range uniforms(tensor.NewKey(1).Name(name), len(dst)) {
		switch {
		case strings.HasSuffix(name, "running_var") || strings.HasSuffix(name, ".weight") && len(shape) == 1:
			dst[i] = float32(0.9 + 0.2*u)
		default:
			dst[i] = float32((2*u - 1) * scale * 6)
		}
	}
	return nil
}

// BenchmarkRN50 encodes a batch of images with RN50, with norms folded once and anew for each batch, and makes steps of
// R-PMT, some weights being off: the teacher and two losses, with nothing packed, as training does it on so many
// images. tests/peers/resnet.py runs it beside PyTorch.
func BenchmarkRN50(b *testing.B) {
	dev := open(b, "cpu", runtime.GOMAXPROCS(0))
	w := nn.NewWeights(dev, newRN50())
	arch, err := vit.ArchOf(newRN50(), vit.Config{})
	if err != nil {
		b.Fatal(err)
	}
	images := func(n int) *tensor.Tensor {
		x := dev.New(tensor.Compute, n, 3, 224, 224)
		tensor.Normal(x, tensor.NewKey(2))
		return x
	}
	teacher, student := arch.Build(w), arch.Build(w)
	for _, batch := range []int{1, 32} {
		for _, way := range []string{"folded", "each"} {
			b.Run(fmt.Sprintf("op=inference/batch=%d/norms=%s", batch, way), func(b *testing.B) {
				if way == "folded" {
					teacher.Pack(false)
					defer teacher.Unpack()
				}
				x := images(batch)
				defer x.Release()
				encode := func() {
					t := autograd.NoGrad(dev)
					teacher.Encode(t.Const(x))
					t.Release()
				}
				encode() // takes the memory
				for b.Loop() {
					encode()
				}
				b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
	b.Run("op=step/batch=8", func(b *testing.B) {
		c, err := rmt.Defaults("r-pmt", "paper", "", 16, false)
		if err != nil {
			b.Fatal(err)
		}
		if c, err = c.For(student.Params()); err != nil {
			b.Fatal(err)
		}
		params, err := rmt.Select(student.Params(), c.Patterns)
		if err != nil {
			b.Fatal(err)
		}
		const batch = 8
		masks, head := attachThinned(params, c), randomHead(dev, arch.Sizes().Embed)
		trainer := rmt.NewTrainer(dev, rmt.NewLearner(student, teacher, head, masks, c.Rule()), c)
		repeat(b, trainer, images(batch), make([]int32, batch))
		b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
	})
}
