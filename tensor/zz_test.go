package tensor_test
import ("testing";"time";"fmt";"fewshot/tensor")
func TestMinTimes(t *testing.T) {
	d, _ := tensor.Open("cpu", tensor.Options{Workers: 1}); defer d.Close()
	const n = 16384*4
	f := func() *tensor.Tensor { x := d.New(tensor.Full, n); tensor.Normal(x, tensor.NewKey(uint64(len(fmt.Sprint(x))))); return x }
	w,m,v,a,b := f(),f(),f(),f(),f()
	tensor.Uniform(v, tensor.NewKey(3)); tensor.Normal(b, tensor.NewKey(99)); tensor.Normal(a, tensor.NewKey(98))
	best := func(name string, f func()) { m := time.Hour; for range 150 { s := time.Now(); f(); m = min(m, time.Since(s)) }; fmt.Printf("%-20s %.2f ns/element\n", name, float64(m.Nanoseconds())/n) }
	ad := tensor.AdamArgs{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}
	best("GradDropAdam", func() { tensor.GradDropAdam(w,m,v,a,b,tensor.GradDropOptions{Leak:1}, ad) })
	best("GradDrop", func() { tensor.GradDrop(w,a,b,nil,tensor.GradDropOptions{Leak:1}) })
	best("Adam", func() { tensor.Adam(w,m,v,a, ad) })
	best("Uniform", func() { tensor.Uniform(w, tensor.NewKey(3)) })
	best("Normal", func() { tensor.Normal(w, tensor.NewKey(3)) })
	best("GELU", func() { tensor.Activate(w, a, tensor.GELU) })
	best("GELUGrad", func() { tensor.ActivateGrad(w, a, b, tensor.GELU) })
	best("QuickGELU", func() { tensor.Activate(w, a, tensor.QuickGELU) })
	best("Mask", func() { tensor.Mask(w, a, b, 0.1) })
	best("Mask sparse", func() { tensor.Mask(w, a, b, -2) })
	best("SumTo row", func() { tensor.SumTo(w.View(1,n).Rows(0,1).View(n).Rows(0,768).View(1,768), a.Rows(0,768*80).View(1,80,768)) })
	best("LayerNorm", func() { tensor.LayerNorm(w.Rows(0,768*85), v.Rows(0,170), a.Rows(0,768*85).View(85,768), b.Rows(0,768), m.Rows(0,768), 1e-5) })
	best("ParamGrad", func() { tensor.LayerNormParamGrad(w.Rows(0,768).View(1,768), m.Rows(0,768).View(1,768), a.Rows(0,768*85).View(1,85,768), b.Rows(0,768*85).View(85,768), v.Rows(0,170)) })
	best("SumSquares", func() { tensor.SumSquares(m.Rows(0,1), a) })
	best("CountAbove", func() { tensor.CountAbove(a, 0.5) })
}
