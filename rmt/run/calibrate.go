package run

import (
	"fmt"
	"math"
	"slices"
)

// Calibration is a temperature by which logits are divided before they become probabilities, fitted to validation images, and what it does
// to them.
type Calibration struct {
	Temperature float64 `json:"temperature"`
	Images      int     `json:"images"`
	NLLBefore   float64 `json:"nll_before"` // mean negative log likelihood of the labels at temperature 1, in nats
	NLL         float64 `json:"nll"`        // and at the fitted one
	ECEBefore   float64 `json:"ece_before"` // expected calibration error, 0 to 1
	ECE         float64 `json:"ece"`
}

// The range of temperatures that is searched: beyond it probabilities are those of the largest logit alone, or all the same.
const (
	leastTemperature = 1e-3
	mostTemperature  = 1e3
)

// Calibrate fits the temperature that makes labels most likely (Guo et al., On Calibration of Modern Neural Networks, 2017), given a row
// of logits and a label for each image. The mean negative log likelihood is convex in β = 1/T, with derivative mean(E_p[z] - z_label), so
// that its only zero is found by halving. There is none where all images are classified rightly, as the likelihood then grows with β for ever,
// and that is an error.
func Calibrate(logits [][]float64, labels []int32) (Calibration, error) {
	if len(logits) == 0 || len(logits) != len(labels) {
		return Calibration{}, fmt.Errorf("a temperature is fitted to images with labels, and there are %d with %d", len(logits), len(labels))
	}
	lo, hi := math.Log(1/mostTemperature), math.Log(1/leastTemperature) // of log β
	slope := func(logBeta float64) float64 {
		beta, sum := math.Exp(logBeta), 0.0
		for i, z := range logits {
			mean := 0.0
			for c, p := range Softmax(z, 1/beta) {
				mean += p * (z[c] - z[labels[i]]) // differences: no large numbers cancel
			}
			sum += mean
		}
		return sum
	}
	c := Calibration{Temperature: 1, Images: len(labels)}
	switch {
	case slope(lo) == 0: // the logits of each image are alike: no temperature changes anything
	case slope(hi) <= 0: // 0 where the other classes' probabilities are below what a float64 holds
		return c, fmt.Errorf("all %d images are classified rightly, so that every smaller temperature makes their labels more likely, and none is best: more images are needed", len(labels))
	case slope(lo) > 0:
		return c, fmt.Errorf("the %d images are classified so badly that all classes alike would be the most likely: are these the right labels?", len(labels))
	default:
		for range 60 {
			if mid := (lo + hi) / 2; slope(mid) < 0 {
				lo = mid
			} else {
				hi = mid
			}
		}
		c.Temperature = math.Exp(-(lo + hi) / 2)
	}
	c.NLLBefore, c.ECEBefore = nll(logits, labels, 1), ece(logits, labels, 1)
	c.NLL, c.ECE = nll(logits, labels, c.Temperature), ece(logits, labels, c.Temperature)
	return c, nil
}

// Softmax are the probabilities of logits divided by a temperature.
func Softmax(logits []float64, temperature float64) []float64 {
	largest, sum := slices.Max(logits), 0.0
	p := make([]float64, len(logits))
	for i, z := range logits {
		p[i] = math.Exp((z - largest) / temperature)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// LogSumExp is log Σ exp(z/T).
func LogSumExp(logits []float64, temperature float64) float64 {
	largest, sum := slices.Max(logits), 0.0
	for _, z := range logits {
		sum += math.Exp((z - largest) / temperature)
	}
	return largest/temperature + math.Log(sum)
}

// nll is the mean negative log likelihood of labels.
func nll(logits [][]float64, labels []int32, temperature float64) float64 {
	sum := 0.0
	for i, z := range logits {
		sum += LogSumExp(z, temperature) - z[labels[i]]/temperature
	}
	return sum / float64(len(labels))
}

// ece is the expected calibration error of logits divided by a temperature.
func ece(logits [][]float64, labels []int32, temperature float64) float64 {
	all := make([]Prediction, len(logits))
	for i, z := range logits {
		all[i] = predict(z, labels[i], temperature)
	}
	_, e := Reliability(all)
	return e
}
