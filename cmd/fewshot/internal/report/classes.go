package report

import (
	"cmp"
	"math"
	"slices"

	"fewshot/rmt/run"
)

// Confusion counts predictions: of images of class i, how many are called j.
func Confusion(all []run.Prediction, classes int) [][]int {
	m := make([][]int, classes)
	for i := range m {
		m[i] = make([]int, classes)
	}
	for _, p := range all {
		m[p.Label][p.Predicted]++
	}
	return m
}

// shares are the rows of a confusion matrix in percent; NaN of a class without images.
func shares(m [][]int) [][]float64 {
	out := make([][]float64, len(m))
	for i, row := range m {
		n := 0
		for _, c := range row {
			n += c
		}
		out[i] = make([]float64, len(row))
		for j, c := range row {
			out[i][j] = math.NaN()
			if n > 0 {
				out[i][j] = 100 * float64(c) / float64(n)
			}
		}
	}
	return out
}

// Class is a row of the table of classes.
type Class struct {
	run.ClassAccuracy
	Confused string // the class that its images are called most often, wrongly; "" where they never are
	Times    int
}

// byClass are the classes, the worst first; those without images last.
func byClass(all []run.Prediction, names []string) []Class {
	m := Confusion(all, len(names))
	var out []Class
	for i, a := range run.TallyOf(all, len(names)).PerClass(names) {
		c := Class{ClassAccuracy: a}
		for j, n := range m[i] {
			if j != i && n > c.Times {
				c.Confused, c.Times = names[j], n
			}
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Class) int {
		switch {
		case a.Accuracy == nil && b.Accuracy == nil:
			return 0
		case a.Accuracy == nil:
			return 1
		case b.Accuracy == nil:
			return -1
		}
		return cmp.Compare(*a.Accuracy, *b.Accuracy)
	})
	return out
}

// Mistakes are the indices of at most n wrong predictions, the most certain first.
func Mistakes(all []run.Prediction, n int) []int {
	var wrong []int
	for i, p := range all {
		if p.Label != p.Predicted {
			wrong = append(wrong, i)
		}
	}
	slices.SortStableFunc(wrong, func(a, b int) int { return cmp.Compare(all[b].Confidence, all[a].Confidence) })
	return wrong[:min(n, len(wrong))]
}
