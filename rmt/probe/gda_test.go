package probe

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Of features that are nearly alike, as an untrained encoder's, what classes have in common in the discriminants is ten
// thousands of times larger than what they have not; the latter is as exact in float32 as its own size allows.
func TestGDAOfFeaturesThatAreAlike(t *testing.T) {
	const n, classes, d, spread = 96, 6, 32, 0.01
	var at []float64 // the same float32 numbers on both devices
	for i, v := range clouds(device(t, "ref"), tensor.NewKey(3), n, classes, d).X.Float64s() {
		at = append(at, float64(float32(1+math.Sin(float64(i%d))+spread*v)))
	}
	logits := map[string][]float64{}
	var size float64 // of weights and biases, less what they have in common
	for _, name := range []string{"ref", "cpu"} {
		dev := device(t, name)
		f := clouds(dev, tensor.NewKey(3), n, classes, d)
		f.X.SetFloat64(at)
		_, fit, err := FitGDA(f, f, words(dev, classes, d), DefaultGDA())
		if err != nil {
			t.Fatal(err)
		}
		h := fit.Head(words(dev, classes, d), 1, 1)
		tape := autograd.NoGrad(dev)
		defer tape.Release()
		v := h.Logits(tape.Const(f.X)).Value.Float64s()
		for row := 0; row < len(v); row += classes {
			floats.AddConst(-floats.Sum(v[row:row+classes])/classes, v[row:row+classes])
		}
		logits[name] = v
		if name == "ref" {
			common, b := make([]float64, d), floats.Sum(fit.B)/classes
			for c := range classes {
				floats.AddScaled(common, 1./classes, fit.W.RawRowView(c))
			}
			for c := range classes {
				size = max(size, floats.Distance(fit.W.RawRowView(c), common, 2)+math.Abs(fit.B[c]-b))
			}
			if whole := floats.Norm(common, 2); whole < 20*size {
				t.Fatalf("what weights have in common is %g long, the rest %g: not what is meant to be tested", whole, size)
			}
		}
	}
	// A rounding of each weight, product and number of a feature, added up as they come.
	tol := 4 * math.Sqrt(d) * 0x1p-24 * size
	for i, want := range logits["ref"] {
		if off := math.Abs(logits["cpu"][i] - want); !(off <= tol) {
			t.Fatalf("logit %d is %g, in float64 %g: %g off, want at most %g", i, logits["cpu"][i], want, off, tol)
		}
	}
}
