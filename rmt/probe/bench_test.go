package probe

import (
	"encoding/binary"
	"math"
	"os"
	"testing"

	"fewshot/rmt/cputime"
	"fewshot/tensor"
)

// benchFeatures are 1600 training and 400 validation features of 100 classes in turn, of 512 numbers: those of the file that FEWSHOT_FEATURES
// names, float32 one after the other, which tests/peers/heads.py has made for both sides.
func benchFeatures(b *testing.B, dev *tensor.Device) (train, val Features) {
	b.Helper()
	const n, v, d, classes = 1600, 400, 512, 100
	train, val = clouds(dev, tensor.NewKey(3), n, classes, d), clouds(dev, tensor.NewKey(4), v, classes, d)
	if path := os.Getenv("FEWSHOT_FEATURES"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil || len(raw) != 4*(n+v)*d {
			b.Fatalf("%s: %d bytes, %v", path, len(raw), err)
		}
		x := make([]float32, len(raw)/4)
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		train.X.Set(x[:n*d])
		val.X.Set(x[n*d:])
	}
	return train, val
}

// BenchmarkSearchC is the whole search for C.
func BenchmarkSearchC(b *testing.B) {
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	train, val := benchFeatures(b, dev)
	before, times := cputime.Used(), 0
	for b.Loop() {
		times++
		h, s, err := SearchC(train, val, 100, DefaultSearch())
		if err != nil {
			b.Fatal(err)
		}
		n, objective := 0, 0.0
		for _, f := range s.Fits {
			n += f.Evaluations
			objective += f.Objective
		}
		b.ReportMetric(float64(n), "evaluations/op")
		b.ReportMetric(objective, "objectives/op")
		b.ReportMetric(math.Log10(s.Best.C), "log10C/op")
		b.ReportMetric(float64(s.Correct), "correct/op")
		h.Release()
	}
	b.ReportMetric((cputime.Used()-before).Seconds()/float64(times), "cpu-s/op")
}
