package rmt

import "fewshot/tensor"

// gradientSums add up, over the steps of a training, γ·mean(∂L/∂M) of each mask: γ is the learning rate, L the task's
// loss alone, and the mean is over the scores. A step neither allocates nor waits for them.
type gradientSums struct {
	sums *tensor.Tensor   // what they are so far [masks]
	of   []*tensor.Tensor // a view of each
	part *tensor.Tensor   // of a step
	ones *tensor.Tensor   // as many as the largest mask has scores
	each []*tensor.Tensor // as many of them as each mask has
}

func newGradientSums(masks []*Mask) *gradientSums {
	g := &gradientSums{}
	if len(masks) == 0 {
		return g
	}
	most := 0
	for _, m := range masks {
		most = max(most, m.Scores.Len())
	}
	dev := masks[0].Scores.Device()
	g.sums, g.part, g.ones = dev.Zeros(tensor.Full, len(masks)), dev.New(tensor.Full), dev.New(tensor.Full, most)
	tensor.Fill(g.ones, 1)
	for i, m := range masks {
		g.of, g.each = append(g.of, g.sums.Index(i)), append(g.each, g.ones.Rows(0, m.Scores.Len()))
	}
	return g
}

// add takes the gradient of mask i in a step.
func (g *gradientSums) add(i int, lr float64, gradient *tensor.Tensor) {
	tensor.Dot(g.part, gradient, g.each[i])
	tensor.AXPY(g.of[i], lr/float64(gradient.Len()), g.part)
}

// release gives the memory back.
func (g *gradientSums) release() {
	for _, t := range []*tensor.Tensor{g.sums, g.part, g.ones} {
		t.Release()
	}
}
