package tests

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/rmt/probe"
	"fewshot/tensor"
)

var _ = onGolden("probe.json", goldenProbe)

// Tensor reads a tensor of numbers of a file of the folder.
func (g *goldenCase) Tensor(file, name string) *tensor.Tensor {
	g.Helper()
	f, info := g.entry(file, name)
	v := make([]float32, tensor.Len(info.Shape))
	if err := f.Read(name, v); err != nil {
		g.Fatal(err)
	}
	x := g.Dev.New(tensor.Full, info.Shape...)
	x.Set(v)
	return x
}

// Ints reads a tensor of integers of a file of the folder, of 32 bits or of 64 with a high half of zeros.
func (g *goldenCase) Ints(file, name string) []int32 {
	g.Helper()
	f, info := g.entry(file, name)
	b, err := f.ReadBytes(name)
	v := make([]int32, tensor.Len(info.Shape))
	each := len(b) / max(len(v), 1)
	if err != nil || len(b) != each*len(v) || each != 4 && each != 8 {
		g.Fatalf("%s: %s: %d bytes, %v", file, name, len(b), err)
	}
	for i := range v {
		v[i] = int32(binary.LittleEndian.Uint32(b[each*i:]))
		if each == 8 && binary.LittleEndian.Uint32(b[each*i+4:]) != 0 {
			g.Fatalf("%s: %s: number %d needs 64 bits", file, name, i)
		}
	}
	return v
}

func (g *goldenCase) entry(file, name string) (*checkpoint.File, checkpoint.Info) {
	g.Helper()
	f, err := checkpoint.Open(g.Path(file))
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { f.Close() })
	info, ok := f.Info(name)
	if !ok {
		g.Fatalf("%s has no %s", file, name)
	}
	return f, info
}

// Features are those of features.safetensors under a name.
func (g *goldenCase) Features(name string) probe.Features {
	g.Helper()
	const file = "features.safetensors"
	return probe.Features{X: g.Tensor(file, name), Labels: g.Ints(file, name+"_labels")}
}

// Pick are some of the features.
func (g *goldenCase) Pick(f probe.Features, at []int) probe.Features {
	d := f.X.Dim(1)
	all, some := f.X.Float64s(), probe.Features{}
	var x []float64
	for _, i := range at {
		x = append(x, all[i*d:(i+1)*d]...)
		some.Labels = append(some.Labels, f.Labels[i])
	}
	some.X = from(g.Dev, tensor.Full, x, len(at), d)
	return some
}

// goldenProbe is lpclip: its draws, its search for C, and the minima that it searches among.
func goldenProbe(g *goldenCase) {
	type run struct {
		Shots, Seed int
		Train       []int     `json:"train_index"`
		Val         []int     `json:"val_index"`
		C           []float64 `json:"coarse_C"`
		Coarse      []int     `json:"coarse_val_correct"`
		Rounds      []struct {
			Left         float64 `json:"C_left"`
			Right        float64 `json:"C_right"`
			CorrectLeft  int     `json:"val_correct_left"`
			CorrectRight int     `json:"val_correct_right"`
			C            float64 `json:"C_final"`
			Test         int     `json:"test_correct"`
		}
	}
	var want struct {
		SKLearn string
		Runs    []run
		Optima  struct {
			Run  struct{ Shots, Seed int } `json:"of_run"`
			Fits []struct {
				C           float64
				Objective   float64 `json:"objective_half_w2_plus_C_sum_loss"`
				LossSum     float64 `json:"loss_sum"`
				W2          float64
				Coef        expected
				Intercept   []float64 `json:"intercept_minus_mean"`
				NewtonApart float64   `json:"newton_apart"`
				Apart       float64   `json:"sklearn_default_tolerance_apart"`
				Iterations  int       `json:"sklearn_default_iterations"`
			}
		}
		TwoClasses struct {
			Note string
			Fits []struct {
				C         float64
				Shape     []int `json:"coef_shape"`
				Coef      expected
				Intercept []float64
			}
		} `json:"two_classes"`
		FisherYates bool `json:"numpy_choice_is_fisher_yates"`
	}
	g.Decode(&want)
	train, val, test := g.Features("probe_train"), g.Features("probe_val"), g.Features("test")
	classes := int(slices.Max(train.Labels)) + 1
	for _, r := range want.Runs {
		name := fmt.Sprintf("%d shots seed %d", r.Shots, r.Seed)
		drawn, drawnVal, err := datasets.DrawProbe(train.Labels, val.Labels, r.Shots, uint64(r.Seed))
		if err != nil {
			g.Fatal(err)
		}
		if !slices.Equal(drawn, r.Train) || !slices.Equal(drawnVal, r.Val) {
			g.Errorf("%s: drawn %v and %v, want %v and %v", name, drawn, drawnVal, r.Train, r.Val)
		}
		few, fewVal := g.Pick(train, drawn), g.Pick(val, drawnVal)
		c := probe.DefaultSearch()
		if !slices.Equal(c.Coarse, r.C) || c.Rounds != len(r.Rounds) {
			g.Refuse("it has the coarse list %v and %d rounds", r.C, len(r.Rounds))
		}
		head, s, err := probe.SearchC(few, fewVal, classes, c)
		if err != nil {
			g.Fatal(err)
		}
		// Which C wins, where the solver stops, and so everything that follows, may hang on the last bit of float32.
		apart, apartTest := 0.0, 0.0
		if g.Device != "ref" {
			apart, apartTest = 1, 3
		}
		for i, n := range s.Coarse {
			g.Within(fmt.Sprintf("coarse %s C %g", name, r.C[i]), math.Abs(float64(n-r.Coarse[i])), apart)
		}
		last := r.Rounds[len(r.Rounds)-1]
		g.Within("test "+name, math.Abs(float64(head.Correct(test)-last.Test)), apartTest)
		if g.Device == "ref" {
			for i, x := range s.Rounds {
				w := r.Rounds[i]
				g.Within(fmt.Sprintf("round %d %s", i, name), max(math.Abs(x.Left/w.Left-1), math.Abs(x.Right/w.Right-1)), 1e-12)
				if x.CorrectLeft != w.CorrectLeft || x.CorrectRight != w.CorrectRight {
					g.Errorf("%s, round %d: %v, want %v", name, i, x, w)
				}
			}
			g.Within("winner "+name, math.Abs(s.Best.C/last.C-1), 1e-12)
		}
		head.Release()
		if r.Shots != want.Optima.Run.Shots || r.Seed != want.Optima.Run.Seed {
			continue
		}
		for _, o := range want.Optima.Fits {
			g.Within(fmt.Sprintf("iterations C %g", o.C), math.Abs(float64(s.Fits[slices.Index(r.C, o.C)].Iterations-1-o.Iterations)), 1)
			g.fit(few, classes, o.C, o.Coef, o.NewtonApart, o.Intercept)
		}
		var two []int
		for i, l := range few.Labels {
			if l < 2 {
				two = append(two, i)
			}
		}
		for _, o := range want.TwoClasses.Fits {
			g.fit(g.Pick(few, two), 2, o.C, o.Coef, 1e-10, o.Intercept)
		}
	}
}

// fit compares the minimum for C with the expected one, which is itself known up to apart. The objective is strongly
// convex, with modulus 1/(C·N) after the intercepts are minimised over, so that a minimiser is at most ‖∇f‖·C·N away.
func (g *goldenCase) fit(f probe.Features, classes int, c float64, coef expected, apart float64, intercept []float64) {
	g.Helper()
	h, fit, err := probe.FitC(f, classes, c, 1e-10, 20000)
	if err != nil {
		g.Fatal(err)
	}
	defer h.Release()
	w, b := h.W.Float64s(), h.B.Float64s()
	if classes == 2 {
		w, b = w[len(w)/2:], b[1:]
	} else {
		mean := sum(b) / float64(len(b))
		for i := range b {
			b[i] -= mean
		}
	}
	away := fit.Gradient * math.Sqrt(float64(len(w)+len(b))) * c * float64(len(f.Labels))
	rms := coef.rms()
	name := fmt.Sprintf("C %g, %d classes", c, classes)
	g.Within("coefficients "+name, coef.Apart(w), away/rms+slack*(apart+4*unitRoundoff(g.Device)))
	// Intercepts follow coefficients, by features of this length; their own curvature, where classes are about equally
	// likely, is one over their number.
	length, k := norm(f.X.Float64s())/math.Sqrt(float64(len(f.Labels))), float64(classes)
	g.Within("intercepts "+name, farthest(b, intercept), length*(away+slack*rms*(apart+4*unitRoundoff(g.Device)))+k*math.Sqrt(k)*fit.Gradient)
}

// rms is the root mean square of the numbers.
func (e expected) rms() float64 {
	if e.Sketch != nil {
		return e.Sketch.RMS
	}
	return norm(e.All) / math.Sqrt(float64(len(e.All)))
}
