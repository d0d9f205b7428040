package tests

import (
	"math"
	"testing"

	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// TestStrassenGradients compares, with float64, both lanes' gradients of every mask of an encoder whose products are
// large enough for Strassen's algorithm, with and without it. Errors of a product by it are two to three times those of
// an ordinary one, as package simd's tests show, and so are those of what is computed with products alone; the rest
// adds to both.
func TestStrassenGradients(t *testing.T) {
	if testing.Short() {
		t.Skip("computes large products in portable float64")
	}
	config := vit.Config{ImageSize: 56, Patch: 14, Width: 512, Layers: 2, Heads: 8, Embed: 128}
	const batch = 121 // of 17 tokens: as many rows as it takes with AVX2
	run := func(name string, o tensor.Options) (lanes, bool) {
		dev, err := tensor.Open(name, o)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		w := nn.NewWeights(dev, randomViT(config))
		c := clip{student: vit.New(w, config), teacher: vit.New(w, config)}
		if err := w.Err(); err != nil {
			t.Fatal(err)
		}
		masks := c.mask(t, patterns(t, false), func(_ string, i int) float64 {
			if i%40 == 0 {
				return 0
			}
			return 0.01
		})
		classes, norms := dev.New(tensor.Full, batch, config.Embed), dev.New(tensor.Full, batch)
		tensor.Normal(classes, tensor.NewKey(1))
		tensor.L2Normalize(classes, norms, classes)
		images := dev.New(tensor.Compute, batch, 3, config.ImageSize, config.ImageSize)
		tensor.Normal(images, tensor.NewKey(2))
		labels := make([]int32, batch)
		for i := range labels {
			labels[i] = int32(i)
		}
		return sweep(dev, c, train.Head{Classes: classes, Scale: 10}, masks, images, labels), dev.Strassen()
	}
	strassen, permitted := run("cpu", tensor.Options{Strassen: true})
	if !permitted {
		t.Skip("this build or machine has no kernels for it")
	}
	ordinary, _ := run("cpu", tensor.Options{})
	want, _ := run("ref", tensor.Options{})
	for name, w := range want.byName {
		for lane := range w {
			by, without := distance(strassen.byName[name][lane], w[lane]), distance(ordinary.byName[name][lane], w[lane])
			t.Logf("%-50s lane %d: %.1e of the RMS, ordinary products %.1e", name, lane, by, without)
			if by > 3*without {
				t.Errorf("%s, lane %d: errors are %.1f times those of ordinary products", name, lane, by/without)
			}
			if by == without {
				t.Errorf("%s, lane %d: no product was by the algorithm", name, lane)
			}
		}
	}
}

// distance is the root mean square of the differences over that of what is wanted.
func distance(got, want []float64) float64 {
	var d, n float64
	for i := range want {
		d += (got[i] - want[i]) * (got[i] - want[i])
		n += want[i] * want[i]
	}
	return math.Sqrt(d / n)
}
