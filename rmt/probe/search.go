package probe

import (
	"cmp"
	"fmt"
	"math"
)

// SearchConfig are the settings of the search for C, the inverse strength of regularisation.
type SearchConfig struct {
	Coarse  []float64 `json:"coarse"` // tried first, the largest first: it wins if several are equally right
	Rounds  int       `json:"rounds"` // of halving what is around the best of them
	Tol     float64   `json:"tol"`    // a fit ends where no element of the objective's gradient is larger
	MaxIter int       `json:"max_iter"`
}

// DefaultSearch is lpclip's protocol, with scikit-learn's stopping rule. With few images and C of 1 and more that stops far from the
// minimum, and the accuracy is that of the solver's path; a Tol of 1e-8 or less is the minimum's.
func DefaultSearch() SearchConfig {
	return SearchConfig{Coarse: []float64{1e6, 1e4, 1e2, 1, 1e-2, 1e-4, 1e-6}, Rounds: 8, Tol: 1e-4, MaxIter: 1000}
}

// Validate reports the first setting that makes no sense.
func (c SearchConfig) Validate() error {
	if len(c.Coarse) == 0 {
		return fmt.Errorf("the search for C has no value to begin with")
	}
	for _, v := range c.Coarse {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("C %g must be positive", v)
		}
	}
	switch {
	case c.Rounds < 0:
		return fmt.Errorf("rounds %d: 0 or more", c.Rounds)
	case !(c.Tol > 0):
		return fmt.Errorf("tolerance %g must be positive", c.Tol)
	case c.MaxIter < 1:
		return fmt.Errorf("%d iterations: at least 1", c.MaxIter)
	}
	return nil
}

// Round is a step of the search: the ends of the range and how many validation images each gets right.
type Round struct {
	Left, Right               float64
	CorrectLeft, CorrectRight int
}

// Searched is how a search went.
type Searched struct {
	Coarse  []int // validation images right, by C of the coarse list
	Rounds  []Round
	Fits    []Fit // all that were made, in order
	Best    Fit
	Correct int // validation images that the result gets right
}

// SearchC fits the linear probe: logistic regression on features as the encoder gives them, with the C that a coarse list and then
// a halving of its logarithm find by validation images, as lpclip does. Of two ends that are equally right the smaller C stays. The
// result is the better end of the last round, though an earlier round may have been better.
func SearchC(train, val Features, classes int, c SearchConfig) (Linear, Searched, error) {
	var s Searched
	if err := c.Validate(); err != nil {
		return Linear{}, s, err
	}
	if val.X == nil || len(val.Labels) == 0 {
		return Linear{}, s, fmt.Errorf("the linear probe chooses C by validation images, and there are none")
	}
	if err := train.Check("training", classes, true); err != nil {
		return Linear{}, s, err
	}
	if err := val.Check("validation", classes, false); err != nil {
		return Linear{}, s, err
	}
	if classes < 2 {
		return Linear{}, s, fmt.Errorf("the linear probe needs at least two classes")
	}
	l, err := newLogistic(train, classes)
	if err != nil {
		return Linear{}, s, err
	}
	best, err := s.search(l, val, c)
	return best, s, cmp.Or(err, l.release())
}

// candidate is a fit with how many validation images it gets right.
type candidate struct {
	Linear
	right int
	fit   Fit
}

func (s *Searched) search(l *logistic, val Features, c SearchConfig) (Linear, error) {
	// A fit is determined by its C, and the rounds come back to some: the end that stays is one of the next round too,
	// and half way between the first two ends lies the best of the list.
	var best, listed candidate
	// try is the fit with a C, which the caller releases.
	try := func(v float64) (candidate, error) {
		for _, k := range []candidate{best, listed} {
			if k.fit.C == v {
				k.retain()
				return k, nil
			}
		}
		x, fit, err := l.minimize(v, c.Tol, c.MaxIter)
		if err != nil {
			return candidate{}, fmt.Errorf("logistic regression with C %g: %w", v, err)
		}
		s.Fits = append(s.Fits, fit)
		h := l.linear(x)
		return candidate{h, h.Correct(val), fit}, nil
	}
	keep := func(k candidate) {
		if best.W != nil {
			best.Release()
		}
		best, s.Correct, s.Best = k, k.right, k.fit
	}
	for _, v := range c.Coarse {
		k, err := try(v)
		if err != nil {
			return best.Linear, err
		}
		s.Coarse = append(s.Coarse, k.right)
		if best.W == nil || k.right > best.right {
			keep(k)
		} else {
			k.Release()
		}
	}
	listed = best
	listed.retain()
	defer listed.Release()
	left, right := 0.1*s.Best.C, 10*s.Best.C
	for range c.Rounds {
		a, err := try(left)
		if err != nil {
			return best.Linear, err
		}
		b, err := try(right)
		if err != nil {
			return best.Linear, err
		}
		s.Rounds = append(s.Rounds, Round{left, right, a.right, b.right})
		middle := 0.5 * (math.Log10(right) + math.Log10(left))
		if a.right < b.right {
			a.Release()
			keep(b)
			left, right = math.Pow(10, middle), math.Pow(10, math.Log10(right))
		} else {
			b.Release()
			keep(a)
			left, right = math.Pow(10, math.Log10(left)), math.Pow(10, middle)
		}
	}
	return best.Linear, nil
}

// FitC is logistic regression with a given C, up to the tolerance.
func FitC(train Features, classes int, c, tol float64, maxIter int) (Linear, Fit, error) {
	if err := (SearchConfig{Coarse: []float64{c}, Tol: tol, MaxIter: maxIter}).Validate(); err != nil {
		return Linear{}, Fit{}, err
	}
	if err := train.Check("training", classes, true); err != nil {
		return Linear{}, Fit{}, err
	}
	l, err := newLogistic(train, classes)
	if err != nil {
		return Linear{}, Fit{}, err
	}
	x, fit, err := l.minimize(c, tol, maxIter)
	if err != nil {
		return Linear{}, fit, cmp.Or(err, l.release())
	}
	return l.linear(x), fit, l.release()
}
