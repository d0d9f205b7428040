package tests

import (
	"math"

	"fewshot/optim"
	"fewshot/tensor"
)

// Ten steps of masks in float32 are not those in float64 with rounding beside them: where a draw is as close to a
// purity, or a score to the threshold, as numbers are exact, rounding decides, and what follows is another run. So a
// run on cpu follows the one on ref, which is compared with the file for itself: after each step what was decided
// otherwise, of which there may be as many as are in doubt, is set to what ref made of it, and everything else goes on
// as it is. Losses, scores and logits of all steps are then compared as of a run without decisions.

// A lead is what a run on ref went through: by the parameter's name, its state after each step.
type lead struct {
	steps map[string][]led
}

// led are scores and Adam's moments of them.
type led struct{ scores, m, v []float64 }

// lead is that of the case: on ref a new one, which the run is to record; on another device the one that it follows.
// again runs the case on a device, where nobody has run it on ref before.
func (g *goldenCase) lead(again func(ref *goldenCase)) *lead {
	g.Helper()
	if g.Folder.leads == nil {
		g.Folder.leads = map[string]*lead{}
	}
	if g.Device == "ref" {
		l := &lead{map[string][]led{}}
		g.Folder.leads[g.Name] = l
		return l
	}
	if g.Folder.leads[g.Name] == nil {
		ref := *g
		ref.Device, ref.Dev, ref.checks = "ref", open(g.T, "ref", 1), new(int)
		again(&ref)
	}
	return g.Folder.leads[g.Name]
}

// record keeps what a step has made of scores.
func (l *lead) record(name string, w *tensor.Tensor, o optim.Optimizer) {
	x := led{scores: w.Float64s()}
	state := o.State(w)
	x.m, x.v = state[0].Tensor.Float64s(), state[1].Tensor.Float64s()
	l.steps[name] = append(l.steps[name], x)
}

// gradientNoise is what gradients are off by in float32, of their root mean square: some thousand roundings of terms
// that cancel. Adam divides by an element's own size, and so makes much of it where that is small; where a row of keys
// is off, that of queries has nothing else.
const gradientNoise = slack * 1e3 * 0x1p-24

// follow sets what the given step, counted from 0, has decided otherwise than ref: elements that are off on one side
// alone, and those that are apart by more than a hundredth of what a step moves. It says how many there were that not
// even noise explains.
func (l *lead) follow(name string, step int, w *tensor.Tensor, o optim.Optimizer, lr, threshold float64) (turned int) {
	changed := false
	x, state := l.steps[name][step], o.State(w)
	scores, m, v := w.Float64s(), state[0].Tensor.Float64s(), state[1].Tensor.Float64s()
	size := math.Sqrt(accurateSum(x.v) / float64(len(x.v)))
	for i, s := range scores {
		if want := x.scores[i]; (s > threshold) != (want > threshold) || math.Abs(s-want) > lr/100 {
			if math.Abs(s-want)*math.Sqrt(x.v[i]) > lr*gradientNoise*size || (s > threshold) != (want > threshold) {
				turned++
			}
			changed = true
			// A score may be nearer to the threshold than float32 can say. (A number beyond it to step towards could be
			// the same one in float32.)
			near, beyond := float32(want), math.Inf(-1)
			if want > threshold {
				beyond = math.Inf(1)
			}
			for float64(near) > threshold != (want > threshold) {
				near = math.Nextafter32(near, float32(beyond))
			}
			scores[i], m[i], v[i] = float64(near), x.m[i], x.v[i]
		}
	}
	if changed {
		w.SetFloat64(scores)
		state[0].Tensor.SetFloat64(m)
		state[1].Tensor.SetFloat64(v)
	}
	return turned
}
