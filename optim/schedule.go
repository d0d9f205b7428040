package optim

import "math"

// Schedule gives the learning rate of an epoch or a step, counted from 0.
type Schedule func(i int) float64

// Constant is the same rate throughout.
func Constant(lr float64) Schedule { return func(int) float64 { return lr } }

// Cosine anneals from lr at 0 towards 0 at n: lr·(1+cos(πi/n))/2, as torch's CosineAnnealingLR with
// η_min 0. The last of n epochs is not zero.
func Cosine(lr float64, n int) Schedule {
	return func(i int) float64 { return lr * (1 + math.Cos(math.Pi*float64(i)/float64(n))) / 2 }
}

// CosineTo anneals to least, which would be reached at n: CosineAnnealingLR with η_min.
func CosineTo(lr, least float64, n int) Schedule {
	return func(i int) float64 { return least + (lr-least)*(1+math.Cos(math.Pi*float64(i)/float64(n)))/2 }
}

// Warmup runs at a constant rate for the first n, then s from its beginning: CoOp's warm-up epoch is Warmup(1, 1e-5,
// Cosine(lr, epochs)), as Dassl's ConstantWarmupScheduler has it, so that the last epoch's rate is s(epochs-2).
func Warmup(n int, rate float64, s Schedule) Schedule {
	return func(i int) float64 {
		if i < n {
			return rate
		}
		return s(i - n)
	}
}

// WarmupLinear rises linearly over the first n, then continues s.
func WarmupLinear(n int, s Schedule) Schedule {
	return func(i int) float64 {
		if i < n {
			return s(i) * float64(i+1) / float64(n)
		}
		return s(i)
	}
}
