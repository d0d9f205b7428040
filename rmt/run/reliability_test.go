package run

import (
	"math"
	"testing"
)

func TestReliability(t *testing.T) {
	// By hand: 0.5 and 0.52 are bin 8, (7/15, 8/15]; 0.9 twice and 14/15 are bin 14; 1 and 0 go to the ends.
	of := func(right bool, c float64) Prediction {
		p := Prediction{Confidence: c}
		if !right {
			p.Predicted = 1
		}
		return p
	}
	all := []Prediction{of(true, 0.5), of(false, 0.52), of(true, 0.9), of(true, 0.9), of(false, 14./15), of(true, 1), of(false, 0)}
	b, ece := Reliability(all)
	want := (2*math.Abs(0.5-0.51) + 3*math.Abs(2./3-(1.8+14./15)/3) + 0 + 0) / 7
	if math.Abs(ece-want) > 1e-15 || b[7].Images != 2 || b[13].Images != 3 || b[14].Images != 1 || b[0].Images != 1 {
		t.Errorf("ECE %v, want %v: %+v", ece, want, b)
	}
	if _, ece := Reliability(nil); !math.IsNaN(ece) {
		t.Errorf("%v of nothing", ece)
	}
}
