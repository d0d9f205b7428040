package run

import (
	"math"
	"testing"

	"fewshot/tensor"
)

// draw gives logits whose labels follow their softmax at a temperature.
func draw(n, classes int, temperature float64) (logits [][]float64, labels []int32) {
	key := tensor.NewKey(7)
	for i := range n {
		row := make([]float64, classes)
		for c := range row {
			row[c] = 6 * key.Fold(1).Uniform(uint64(i*classes+c))
		}
		u, label := key.Fold(2).Uniform(uint64(i)), 0
		for _, p := range Softmax(row, temperature)[:classes-1] {
			if u -= p; u < 0 {
				break
			}
			label++
		}
		logits, labels = append(logits, row), append(labels, int32(label))
	}
	return logits, labels
}

// The temperature by which labels were drawn is found, up to what the sample allows, and no other has a greater likelihood.
func TestCalibrate(t *testing.T) {
	for _, want := range []float64{0.25, 1, 3} {
		logits, labels := draw(4000, 5, want)
		c, err := Calibrate(logits, labels)
		// The standard error of log T is 1/√(n·Var z/T²), with Var z ≥ 0.1·T² under the softmax here: 5 %, and four of these.
		if err != nil || math.Abs(math.Log(c.Temperature/want)) > 0.2 {
			t.Errorf("T %g, want %g (%v)", c.Temperature, want, err)
		}
		if c.NLL > c.NLLBefore || c.Images != 4000 || c.NLL != nll(logits, labels, c.Temperature) {
			t.Errorf("%+v", c)
		}
		for _, near := range []float64{1 - 1e-4, 1 + 1e-4} { // second order: the minimum is flat within 1e-8 or so, above rounding
			if nll(logits, labels, c.Temperature*near) < c.NLL-1e-14 {
				t.Errorf("T %g is better than %g", c.Temperature*near, c.Temperature)
			}
		}
		if c.ECE > 0.05 {
			t.Errorf("ECE %g of labels drawn from these probabilities", c.ECE)
		}
	}
}

func TestCalibrateWithoutBest(t *testing.T) {
	if _, err := Calibrate([][]float64{{90, 0}, {0, 80}}, []int32{0, 1}); err == nil {
		t.Error("a temperature of images that are all right")
	}
	if _, err := Calibrate([][]float64{{9, 0}, {0, 8}}, []int32{1, 0}); err == nil {
		t.Error("a temperature of images that are all wrong")
	}
	if _, err := Calibrate(nil, nil); err == nil {
		t.Error("a temperature of nothing")
	}
	if c, err := Calibrate([][]float64{{2, 2}, {1, 1}}, []int32{1, 0}); err != nil || c.Temperature != 1 || c.ECE != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// By hand: confidences 0.9 (right), 0.9 (wrong), 0.6 (right) in two bins: (|1-1.8| + |1-0.6|)/3.
func TestECE(t *testing.T) {
	z := func(p float64) []float64 { return []float64{math.Log(p), math.Log(1 - p)} }
	got := ece([][]float64{z(0.9), z(0.9), z(0.6)}, []int32{0, 1, 0}, 1)
	if math.Abs(got-0.4) > 1e-12 {
		t.Errorf("%g, want 0.4", got)
	}
	if p := Softmax([]float64{1e4, 0, -1e4}, 1); p[0] != 1 || p[1] != 0 || p[2] != 0 {
		t.Errorf("%v", p)
	}
	if v := LogSumExp([]float64{1000, 1000}, 2); math.Abs(v-500-math.Log(2)) > 1e-12 {
		t.Errorf("%g", v)
	}
}
