package autograd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/autograd/gradcheck"
	"fewshot/tensor"
)

// gradients lists, for every operation, the cases its gradient is checked in.
var gradients = map[string][]struct {
	shapes [][]int
	f      gradcheck.Func
}{
	"Add":   {{[][]int{{2, 3, 4}, {3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Add(v[0], v[1]) })}, {[][]int{{5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Add(v[0], v[0]) })}},
	"Mul":   {{[][]int{{2, 3, 4}, {4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Mul(v[0], v[1]) })}, {[][]int{{3, 2}, {}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Mul(v[0], v[1]) })}},
	"Scale": {{[][]int{{2, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Scale(v[0], -2.5) })}},
	"Exp":   {{[][]int{{2, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Exp(v[0]) })}},
	"Activate": {
		{[][]int{{3, 7}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Activate(v[0], tensor.QuickGELU) })},
		{[][]int{{3, 7}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Activate(v[0], tensor.GELU) })},
		{[][]int{{3, 7}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Activate(v[0], tensor.TanhGELU) })},
		{[][]int{{3, 7}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Activate(v[0], tensor.ReLU) })},
	},
	"Linear": {
		{[][]int{{2, 3, 5}, {4, 5}, {4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Linear(v[0], v[1], v[2]) })},
		{[][]int{{3, 5}, {1, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Linear(v[0], v[1], nil) })},
		{[][]int{{3, 5}, {5}, {5}, {4, 5}}, scoped(func(v []*autograd.Var) *autograd.Var { // the factor is computed again
			return autograd.Linear(autograd.LayerNorm(v[0], v[1], v[2], 1e-5), v[3], nil)
		})},
	},
	"LinearAdd": {
		{[][]int{{2, 3, 5}, {4, 5}, {4}, {2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.LinearAdd(v[0], v[1], v[2], v[3]) })},
		{[][]int{{3, 5}, {5, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.LinearAdd(v[0], v[1], nil, v[0]) })},
	},
	"MatMul": {
		{[][]int{{2, 3, 5}, {5, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.MatMul(v[0], v[1]) })},
		{[][]int{{3, 5}, {5, 4}}, scoped(func(v []*autograd.Var) *autograd.Var {
			return autograd.MatMul(autograd.Activate(v[0], tensor.GELU), v[1])
		})},
	},
	"LowRank": {
		{[][]int{{2, 3, 5}, {2, 5}, {4, 2}, {1, 5}, {3, 1}}, on(func(v []*autograd.Var) *autograd.Var {
			return lowRank(v[0], 8, []autograd.Path{{A: v[1], B: v[2]}, {A: v[3], B: v[4], At: 5}})
		})},
		{[][]int{{2, 3, 5}, {2, 5}, {4, 2}, {1, 5}, {4, 1}}, func(t *autograd.Tape, v []*autograd.Var) *autograd.Var {
			return lowRank(v[0], 8, []autograd.Path{{A: v[1], B: v[2], Drop: drop(t, 3, 0, 6, 1, 2, 5)}, {A: v[3], B: v[4], At: 4}})
		}},
		{[][]int{{2, 3, 5}, {2, 5}, {4, 2}}, func(t *autograd.Tape, v []*autograd.Var) *autograd.Var { // numbers as they lie
			return lowRank(v[0], 4, []autograd.Path{{A: v[1], B: v[2], Drop: drop(t, 1, 2, 3, 4, 5, 6)}})
		}},
		{[][]int{{3, 5}, {2, 5}, {4, 2}}, scoped(func(v []*autograd.Var) *autograd.Var { // the input is computed again
			return lowRank(autograd.Activate(v[0], tensor.GELU), 4, []autograd.Path{{A: v[1], B: v[2]}})
		})},
	},
	"LowRankAdd": {
		{[][]int{{2, 3, 2}, {4, 2}, {2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.LowRankAdd(v[0], v[1], v[2], tensor.Full) })},
	},
	"LayerNorm": {{[][]int{{2, 3, 6}, {6}, {6}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.LayerNorm(v[0], v[1], v[2], 1e-5) })}},
	"ClassAffinities": { // a class without a key; features that are the keys
		{[][]int{{3, 4}, {6, 4}}, on(func(v []*autograd.Var) *autograd.Var {
			return autograd.ClassAffinities(v[0], v[1], []int32{3, 0, 1, 0, 3, 0}, 4, 0.7)
		})},
		{[][]int{{2, 4}}, on(func(v []*autograd.Var) *autograd.Var {
			return autograd.ClassAffinities(v[0], v[0], []int32{1, 0}, 2, 0.3)
		})},
	},
	"Transport": { // where the plan does not depend on the similarities, which it is taken not to
		{[][]int{{2, 4, 1, 3}}, on(func(v []*autograd.Var) *autograd.Var {
			return autograd.Transport(v[0], tensor.SinkhornOptions{Eps: 1, Most: 9})
		})},
		{[][]int{{2, 1, 3, 2}}, on(func(v []*autograd.Var) *autograd.Var {
			return autograd.Transport(v[0], tensor.SinkhornOptions{Eps: 1, Most: 9, Together: true})
		})},
	},
	"Softmax":     {{[][]int{{2, 3, 6}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Softmax(v[0]) })}},
	"L2Normalize": {{[][]int{{2, 3, 6}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.L2Normalize(v[0]) })}},
	"Attention": {
		{[][]int{{2, 5, 24}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Attention(v[0], 2, false) })},
		{[][]int{{2, 5, 24}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Attention(v[0], 4, true) })},
	},
	"SplitHeads": {
		{[][]int{{2, 6}, {6, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.SplitHeads(v[0], v[1], 3) })},
		{[][]int{{2, 3, 4}, {4, 7}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.SplitHeads(v[0], v[1], 1) })},
		{[][]int{{2, 6}, {6, 5}}, scoped(func(v []*autograd.Var) *autograd.Var {
			return autograd.SplitHeads(autograd.Activate(v[0], tensor.GELU), v[1], 3)
		})},
	},
	"JoinHeads": {
		{[][]int{{2, 3, 5}, {6, 5}, {6}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.JoinHeads(v[0], v[1], v[2]) })},
		{[][]int{{2, 3, 5}, {6, 5}, {6}}, on(func(v []*autograd.Var) *autograd.Var { // a second gradient is added to the first
			return autograd.JoinHeads(autograd.SplitHeads(autograd.JoinHeads(v[0], v[1], v[2]), v[1], 3), v[1], v[2])
		})},
		{[][]int{{2, 3, 5}, {6, 5}, {6}}, scoped(func(v []*autograd.Var) *autograd.Var {
			return autograd.JoinHeads(autograd.Activate(v[0], tensor.GELU), v[1], v[2])
		})},
	},
	"Attend": {
		{[][]int{{2, 3, 4}, {2, 5, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Attend(v[0], v[1], 0.5) })},
		{[][]int{{1, 1, 4}, {1, 6, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Attend(v[0], v[1], 2) })},
		{[][]int{{2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Attend(v[0], v[0], 0.5) })},
	},
	// The images are constants; what follows the patches is differentiated.
	"Patches": {{[][]int{{3, 12}}, func(t *autograd.Tape, v []*autograd.Var) *autograd.Var {
		img := gradcheck.Random(t.Device(), tensor.NewKey(3), 1, 2, 3, 4, 6)
		return autograd.Linear(autograd.Patches(t.Const(img), 2), v[0], nil)
	}}},
	"Conv": {
		{[][]int{{2, 4, 3, 2}, {18, 5}, {5}, {2, 4, 3, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Conv(v[0], v[1], v[2], v[3], 3, 1) })},
		{[][]int{{1, 5, 6, 2}, {18, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Conv(v[0], v[1], nil, nil, 3, 2) })},
		{[][]int{{2, 3, 3, 4}, {4, 4}, {4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Conv(v[0], v[1], v[2], v[0], 1, 1) })},
		{[][]int{{1, 3, 3, 2}, {18, 3}}, scoped(func(v []*autograd.Var) *autograd.Var {
			return autograd.Conv(autograd.Activate(v[0], tensor.GELU), v[1], nil, nil, 3, 1)
		})},
	},
	"ConvReLU": {
		{[][]int{{2, 4, 3, 2}, {18, 5}, {5}, {2, 4, 3, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ConvReLU(v[0], v[1], v[2], v[3], 3, 1) })},
		{[][]int{{1, 3, 3, 4}, {4, 4}}, scoped(func(v []*autograd.Var) *autograd.Var { // the result meets itself again
			return autograd.ConvReLU(autograd.ConvReLU(v[0], v[1], nil, nil, 1, 1), v[1], nil, v[0], 1, 1)
		})},
	},
	"ConvReLUOver": {
		{[][]int{{2, 4, 3, 2}, {18, 5}, {5}, {2, 4, 3, 5}}, on(func(v []*autograd.Var) *autograd.Var { // in the residual's place
			return autograd.ConvReLUOver(v[0], v[1], v[2], autograd.Scale(v[3], 2), 3, 1)
		})},
		{[][]int{{1, 3, 3, 4}, {4, 4}}, on(func(v []*autograd.Var) *autograd.Var { // beside it: it is kept, and a leaf
			y := autograd.ConvReLU(v[0], v[1], nil, nil, 1, 1)
			return autograd.ConvReLUOver(autograd.ConvReLUOver(y, v[1], nil, y, 1, 1), v[1], nil, v[0], 1, 1)
		})},
	},
	"ConvWeight": {
		{[][]int{{3, 2, 3, 3}, {3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ConvWeight(v[0], v[1]) })},
		{[][]int{{3, 2, 3, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ConvWeight(v[0], nil) })},
		{[][]int{{3, 2, 1, 1}, {3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ConvWeight(v[0], v[1]) })},
		{[][]int{{3, 5, 1, 1}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ConvWeight(v[0], nil) })},
	},
	"Concat": {
		{[][]int{{2, 3, 2}, {2, 3, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Concat(v[0], v[1]) })},
		{[][]int{{3, 2}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Concat(v[0], v[0]) })},
	},
	"ChannelsLast": {{[][]int{{2, 3, 2, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ChannelsLast(v[0]) })}},
	"AvgPool":      {{[][]int{{2, 4, 6, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.AvgPool(v[0], 2) })}},
	"PrependMean":  {{[][]int{{2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.PrependMean(v[0]) })}},
	"Prepend":      {{[][]int{{4}, {2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Prepend(v[0], v[1]) })}},
	"FirstToken":   {{[][]int{{2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.FirstToken(v[0]) })}},
	"TakeTokens":   {{[][]int{{2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.TakeTokens(v[0], []int32{2, 1}) })}},
	"TakeRows":     {{[][]int{{2, 3, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.TakeRows(v[0], []int32{5, 0, 5}) })}},
	"JoinTokens": {
		{[][]int{{2, 3, 4}, {2, 4}, {2, 1, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.JoinTokens(v[1], v[0], v[1], v[2]) })},
		{[][]int{{3, 4}, {2, 4}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.JoinTokens(v[0], v[1]) })},
	},
	"ReplaceTokens": {
		{[][]int{{2, 5, 3}, {2, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ReplaceTokens(v[0], v[1], 1) })},
		{[][]int{{2, 5, 3}, {2, 2, 3}}, on(func(v []*autograd.Var) *autograd.Var {
			return autograd.ReplaceTokens(autograd.Activate(v[0], tensor.GELU), v[1], 3)
		})},
		{[][]int{{5, 3}, {1, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.ReplaceTokens(v[0], v[1], 0) })},
	},
	"Tokens":  {{[][]int{{2, 5, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Tokens(v[0], 1, 3) })}},
	"Reshape": {{[][]int{{2, 6}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Reshape(v[0], 3, 2, 2) })}},
	"CausalAttention": {
		{[][]int{{10, 24}}, on(func(v []*autograd.Var) *autograd.Var {
			return autograd.CausalAttention(v[0], 2, []autograd.Sequences{{First: 0, Count: 1, Len: 4}, {First: 4, Count: 2, Len: 3}})
		})},
		{[][]int{{19, 24}}, on(func(v []*autograd.Var) *autograd.Var { // two texts after each of two prefixes, one after part of one, one alone
			return autograd.CausalAttention(v[0], 4, []autograd.Sequences{{First: 0, Count: 2, Len: 3}, {First: 6, Count: 2, Len: 2, Prefix: 0, Shared: 3},
				{First: 10, Count: 2, Len: 1, Prefix: 3, Shared: 3}, {First: 12, Count: 1, Len: 3, Prefix: 4, Shared: 2}, {First: 15, Count: 1, Len: 4}})
		})},
	},
	"Checkpoint": {{[][]int{{4, 3}, {3, 2}, {2}}, on(func(v []*autograd.Var) *autograd.Var {
		return autograd.Checkpoint(v, 2, func(_ *autograd.Tape, part int, v []*autograd.Var) *autograd.Var {
			return autograd.Add(autograd.Activate(autograd.MatMul(autograd.Rows(v[0], part, 3), v[1]), tensor.GELU), v[2])
		})
	})}},
	"Rows": {{[][]int{{5, 3}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Rows(v[0], 1, 3) })},
		{[][]int{{2, 3}, {6, 3}}, on(func(v []*autograd.Var) *autograd.Var { // two parts of one weight meet again
			return autograd.Add(autograd.Linear(v[0], autograd.Rows(v[1], 0, 2), nil), autograd.Linear(v[0], autograd.Rows(v[1], 4, 6), nil))
		})}},
	"Gather": {{[][]int{{4, 3}}, on(func(v []*autograd.Var) *autograd.Var {
		return autograd.Gather(v[0], []int32{1, 3, 1, 0, 1, 2}, 2, 3)
	})}},
	"Matrix":       {{[][]int{{3, 2, 2, 2}, {2, 8}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.Linear(v[1], autograd.Matrix(v[0]), nil) })}},
	"CrossEntropy": {{[][]int{{4, 5}}, on(func(v []*autograd.Var) *autograd.Var { return autograd.CrossEntropy(v[0], []int32{0, 4, 2, 2}) })}},
	"SoftCrossEntropy": {{[][]int{{4, 5}}, func(t *autograd.Tape, v []*autograd.Var) *autograd.Var {
		return autograd.SoftCrossEntropy(v[0], gradcheck.Random(t.Device(), tensor.NewKey(5), 2, 4, 5))
	}}},
}

func on(f func(v []*autograd.Var) *autograd.Var) gradcheck.Func {
	return func(_ *autograd.Tape, v []*autograd.Var) *autograd.Var { return f(v) }
}

// scoped lets what f takes go before the sweep.
func scoped(f func(v []*autograd.Var) *autograd.Var) gradcheck.Func {
	return func(t *autograd.Tape, v []*autograd.Var) *autograd.Var {
		return t.Scope(func() *autograd.Var { return f(v) })
	}
}

// lowRank is a product of low rank.
func lowRank(x *autograd.Var, width int, paths []autograd.Path) *autograd.Var {
	h, w := autograd.LowRank(x, width, 0.7, paths)
	return autograd.LowRankAdd(h, w, nil, tensor.Compute)
}

// drop hides elements of rows of 5 by these rows of its numbers.
func drop(t *autograd.Tape, rows ...int32) *autograd.Dropout {
	u := t.Device().New(tensor.Full, 7, 5)
	tensor.Uniform(u, tensor.NewKey(8))
	return &autograd.Dropout{Uniform: u, Rows: rows, P: 0.4}
}

func TestGradients(t *testing.T) {
	dev := gradcheck.Ref(t)
	for op, cases := range gradients {
		for i, c := range cases {
			t.Run(op, func(t *testing.T) {
				var leaves []*tensor.Tensor
				for j, s := range c.shapes {
					leaves = append(leaves, gradcheck.Random(dev, tensor.NewKey(uint64(100*i+j)).Name(op), 1, s...))
				}
				gradcheck.Check(t, dev, c.f, leaves...)
			})
		}
	}
}

// Every exported function that takes and returns Vars is an operation, and has a gradient check.
func TestEveryOperationIsChecked(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !fn.Name.IsExported() || fn.Type.Results == nil || len(fn.Type.Params.List) == 0 {
				continue
			}
			if isVar(fn.Type.Results.List[0].Type) && isVar(fn.Type.Params.List[0].Type) {
				seen++
				if gradients[fn.Name.Name] == nil {
					t.Errorf("%s: operation %s has no gradient check", name, fn.Name.Name)
				}
			}
		}
	}
	if seen < len(gradients) {
		t.Errorf("found %d operations but %d are in the table", seen, len(gradients))
	}
}

func isVar(e ast.Expr) bool {
	switch list := e.(type) {
	case *ast.Ellipsis:
		e = list.Elt
	case *ast.ArrayType:
		e = list.Elt
	}
	p, ok := e.(*ast.StarExpr)
	if !ok {
		return false
	}
	id, ok := p.X.(*ast.Ident)
	return ok && id.Name == "Var"
}
