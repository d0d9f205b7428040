package tests

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"fewshot/optim"
	"fewshot/tensor"
)

var _ = onGolden("rules.json", goldenRules)

// taken is an optimizer that keeps the gradient it gets.
type taken struct{ gradient []float64 }

func (*taken) Tick(float64)                       {}
func (*taken) Steps() int                         { return 0 }
func (*taken) SetSteps(int)                       {}
func (*taken) Release(*tensor.Tensor)             {}
func (*taken) State(*tensor.Tensor) []optim.Named { return nil }

// Update takes the gradient.
func (o *taken) Update(_, g *tensor.Tensor) {
	o.gradient = append(o.gradient, g.Float64s()...)
}

// goldenRules compares the rules of package optim with the functions that were published for them. Uniform numbers
// are those of the tensors' key: GradDrop and SignDrop take whole vectors, as one tensor; rules that look at a tensor
// as a whole get both parts.
func goldenRules(g *goldenCase) {
	var want struct {
		A, B, U    []float64
		Split      map[string][2]int
		GDR        map[string]expected
		ProGrad    map[string]expected
		Dot        map[string]float64
		AgreeSum   expected            `json:"agree_sum"`
		WholePC    expected            `json:"pcgrad_whole_vector"`
		ByTensorPC expected            `json:"pcgrad_by_tensor"`
		GradDrop   map[string]expected // of torchjd, by the leaks of a and b
		Sum        expected
		Penalty    struct {
			Scores    []float64
			Factor    float64
			GradientP expected `json:"gradient_p"`
			GradientQ expected `json:"gradient_q"`
		}
	}
	g.Decode(&want)
	key, n := tensor.NewKey(99).Name("u"), len(want.A)
	if e := farthest(uniforms(key, n), want.U); e != 0 {
		g.Fatalf("uniform numbers are not those of the key: off by %g", e)
	}
	apply := func(r optim.Rule, parts ...[2]int) []float64 {
		o := &taken{}
		for _, p := range parts {
			m := p[1] - p[0]
			w := g.Dev.Zeros(tensor.Full, m)
			r.Apply(o, w, from(g.Dev, tensor.Full, want.A[p[0]:p[1]], m), from(g.Dev, tensor.Full, want.B[p[0]:p[1]], m), key)
		}
		return o.gradient
	}
	whole, p, q := [2]int{0, n}, want.Split["p"], want.Split["q"]
	if len(want.Split) != 2 || p[1] != q[0] || q[1] != n {
		g.Refuse("it is split into %v", want.Split)
	}
	const few = 4 // roundings from the gradients to the rule's
	for leak, w := range want.GDR {
		l := g.number(leak)
		g.Check("gdr "+leak, w.Apart(apply(optim.GradDrop{Leak: l, Eps: 1e-8}, whole)), 0, few)
	}
	sums := few * math.Sqrt(float64(n)) // of as many products
	for lambda, w := range want.ProGrad {
		g.Check("prograd "+lambda, w.Apart(apply(optim.ProGrad{Lambda: g.number(lambda)}, p, q)), 0, sums)
	}
	for name, dot := range want.Dot {
		part, s := want.Split[name], 0.0
		for i := part[0]; i < part[1]; i++ {
			s += want.A[i] * want.B[i]
		}
		g.Within("dot "+name, math.Abs(s/dot-1), 1e-14*sums)
	}
	g.Check("agree_sum", want.AgreeSum.Apart(apply(optim.AgreeGrad{DropZero: true}, whole)), 0, few)
	g.Check("sum", want.Sum.Apart(apply(optim.Sum{Weight: 1}, whole)), 0, few)
	g.Check("pcgrad_whole_vector", want.WholePC.Apart(apply(optim.PCGrad{}, whole)), 0, sums)
	g.Check("pcgrad_by_tensor", want.ByTensorPC.Apart(apply(optim.PCGrad{}, p, q)), 0, sums)
	for leaks, w := range want.GradDrop {
		a, b := leaks, leaks
		if x, y, two := strings.Cut(leaks, ", "); two {
			a, b = x, y
		}
		rule := optim.SignDrop{LeakA: g.number(a), LeakB: g.number(b)}
		g.Check("graddrop "+leaks, w.Apart(apply(rule, whole)), 0, few)
	}
	for part, w := range map[[2]int]expected{p: want.Penalty.GradientP, q: want.Penalty.GradientQ} {
		o, m := &taken{}, part[1]-part[0]
		scores := from(g.Dev, tensor.Full, want.Penalty.Scores[part[0]:part[1]], m)
		optim.GradDrop{Penalty: optim.Penalty(want.Penalty.Factor)}.Apply(o, scores, g.Dev.Zeros(tensor.Full, m), nil, key)
		g.Check(fmt.Sprintf("penalty %d", part[0]), w.Apart(o.gradient), 0, sums)
	}
}

// number reads a setting that is a name in the file.
func (g *goldenCase) number(s string) float64 {
	g.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		g.Refuse("%q is no number", s)
	}
	return v
}
