package tests

import (
	"fmt"
	"math"
	"testing"

	"fewshot/optim"
	"fewshot/tensor"
)

// The vectors in this file come from PyTorch and NumPy, printed with the digits given.

// TestPurity finds the purity that a device uses out of what it keeps. An element is kept where its purity exceeds its
// uniform number, and that is known: so the purity lies between the largest number that was kept and the smallest that
// was dropped. Among 2¹⁷ numbers these are about 2⁻¹⁷ apart.
func TestPurity(t *testing.T) {
	const n = 1 << 17
	key := tensor.NewKey(5).Name("purity")
	uniform := make([]float64, n)
	for i := range uniform {
		uniform[i] = key.Uniform(uint64(i))
	}
	vectors := []struct{ a, b, paper, released float64 }{
		{1e-6, 2e-6, 1, .998339},
		{-2e-6, 1e-6, .666667, .666113},
		{3e-7, -3e-7, .5, .5},
		{-1e-8, -1e-8, 1, .833333},
		{5e-6, 0, 1, .999002},
		{-4e-6, 8e-6, .333333, .333472},
		{1e-7, -9e-7, .1, .103960},
	}
	for _, device := range devices {
		dev := open(t, device, 1)
		a, b, out := dev.New(tensor.Full, n), dev.New(tensor.Full, n), dev.New(tensor.Full, n)
		for _, v := range vectors {
			for eps, want := range map[float64]float64{0: v.paper, 1e-8: v.released} {
				tensor.Fill(a, v.a)
				tensor.Fill(b, v.b)
				tensor.GradDrop(out, a, b, nil, tensor.GradDropOptions{Leak: 1, Eps: eps, Key: key})
				low, high := 0.0, 1.0
				for i, g := range out.Floats() {
					if g != 0 {
						low = max(low, uniform[i])
					} else {
						high = min(high, uniform[i])
					}
				}
				// ½ of the last digit given, and float32's rounding of 1 and of a quotient.
				const slack = 0.5e-6 + 0x1p-23
				if want < low-slack || want > high+slack {
					t.Errorf("%s: a = %g, b = %g, eps = %g: purity between %.7f and %.7f, want %.6f", device, v.a, v.b, eps, low, high, want)
				}
				if high-low > 1e-3 {
					t.Errorf("%s: a = %g, b = %g, eps = %g: purity only known to lie between %.6f and %.6f", device, v.a, v.b, eps, low, high)
				}
			}
		}
	}
}

// TestAdam follows torch.optim.Adam in float32 over three steps. Between two float32 programs each step may differ by
// one unit in the last place of the parameter, 2⁻³⁰ near 0.01.
func TestAdam(t *testing.T) {
	grads := [][]float32{{1e-6, -1e-8, 0}, {1e-6, 1e-8, 2e-7}, {-5e-7, 1e-8, 0}}
	want := [][]float64{
		{0.0099207917, 0.0100400001, 0.0099999998},
		{0.0098415837, 0.0100378944, 0.0099443998},
		{0.0098008020, 0.0100218058, 0.0099020498},
	}
	for _, device := range devices {
		dev := open(t, device, 1)
		w := dev.From([]float32{0.01, 0.01, 0.01}, 3)
		adam := optim.NewAdam()
		for step, g := range grads {
			adam.Tick(8e-5)
			adam.Update(w, dev.From(g, 3))
			if e, most := farthest(w.Float64s(), want[step]), float64(step+1)*0x1p-30+0.5e-10; e > most {
				t.Errorf("%s: after step %d: %.10f, want %.10f", device, step+1, w.Float64s(), want[step])
			}
		}
	}
}

// TestSchedules compares learning rates with torch's schedulers, as CoOp and its relatives step them: by epoch.
func TestSchedules(t *testing.T) {
	coop := optim.Warmup(1, 1e-5, optim.Cosine(2e-3, 50))
	cocoop := optim.Warmup(1, 1e-5, optim.Cosine(2e-3, 10))
	for _, c := range []struct {
		name     string
		schedule optim.Schedule
		want     map[int]string
	}{
		{"R-AMT", optim.Cosine(8e-5, 30), map[int]string{0: "8.000000e-05", 1: "7.978088e-05", 2: "7.912590e-05", 3: "7.804226e-05",
			4: "7.654182e-05", 5: "7.464102e-05", 15: "4.000000e-05", 28: "8.740960e-07", 29: "2.191242e-07"}},
		{"R-AMT on ImageNet", optim.Cosine(3e-5, 10), map[int]string{0: "3.000000e-05", 1: "2.926585e-05", 2: "2.713525e-05", 3: "2.381678e-05",
			4: "1.963525e-05", 5: "1.500000e-05", 6: "1.036475e-05", 7: "6.183221e-06", 8: "2.864745e-06", 9: "7.341523e-07"}},
		{"CoOp", coop, map[int]string{0: "1.000000e-05", 1: "2.000000e-03", 2: "1.998027e-03", 3: "1.992115e-03", 49: "7.885299e-06"}},
		{"CoCoOp", cocoop, map[int]string{0: "1.000000e-05", 1: "2.000000e-03", 2: "1.951057e-03", 3: "1.809017e-03", 4: "1.587785e-03",
			5: "1.309017e-03", 6: "1.000000e-03", 7: "6.909830e-04", 8: "4.122147e-04", 9: "1.909830e-04"}},
	} {
		for epoch, want := range c.want {
			if got := fmt.Sprintf("%.6e", c.schedule(epoch)); got != want {
				t.Errorf("%s: epoch %d: %s, want %s", c.name, epoch, got, want)
			}
		}
	}
	total := 0.0
	for e := range 30 {
		total += optim.Cosine(8e-5, 30)(e)
	}
	if want := 8e-5 * 31 / 2; math.Abs(total-want) > 1e-15 {
		t.Errorf("30 epochs sum to %g, want lr·(E+1)/2 = %g", total, want)
	}
}
