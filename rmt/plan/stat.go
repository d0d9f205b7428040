package plan

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Sample is what was measured with several seeds.
type Sample []float64

// Mean is the average; NaN of nothing.
func (s Sample) Mean() float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

// written is the mean as tables have it.
func (s Sample) written() string { return fmt.Sprintf("%.2f", s.Mean()) }

// Std is the sample's standard deviation, with n−1; NaN of fewer than two values.
func (s Sample) Std() float64 {
	if len(s) < 2 {
		return math.NaN()
	}
	mean, sum := s.Mean(), 0.0
	for _, v := range s {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(s)-1))
}

// CI95 is half the width of the mean's 95 % confidence interval by Student's t with n−1 degrees of freedom; NaN of fewer than two values.
func (s Sample) CI95() float64 {
	if len(s) < 2 {
		return math.NaN()
	}
	n := float64(len(s))
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975) * s.Std() / math.Sqrt(n)
}
