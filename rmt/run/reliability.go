package run

import "math"

// Bins of confidence, of equal width: as many as Guo et al. take.
const Bins = 15

// Bin is the images whose confidence lies in (From, To].
type Bin struct {
	From, To   float64
	Images     int
	Accuracy   float64 // share of them that is classified rightly; NaN of none
	Confidence float64 // their mean; NaN of none
}

// Reliability sorts predictions by their confidence, and sums up how far confidence and accuracy lie apart: the expected calibration error
//
//	ECE = Σ over bins of (images of the bin / all images) · |accuracy - mean confidence|
//
// (Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks, ICML 2017, equation 3, with 15 bins of equal width). It is between
// 0 and 1; NaN without predictions.
func Reliability(all []Prediction) (b []Bin, ece float64) {
	if len(all) == 0 {
		return nil, math.NaN()
	}
	b = make([]Bin, Bins)
	right := make([]int, Bins)
	sum := make([]float64, Bins)
	for _, p := range all {
		i := min(max(int(math.Ceil(p.Confidence*Bins))-1, 0), Bins-1)
		b[i].Images++
		sum[i] += p.Confidence
		if p.Label == p.Predicted {
			right[i]++
		}
	}
	for i := range b {
		n := float64(b[i].Images)
		b[i].From, b[i].To = float64(i)/Bins, float64(i+1)/Bins
		b[i].Accuracy, b[i].Confidence = float64(right[i])/n, sum[i]/n
		ece += math.Abs(float64(right[i])-sum[i]) / float64(len(all))
	}
	return b, ece
}
