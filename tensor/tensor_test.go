package tensor

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func open(t *testing.T, name string, o Options) *Device {
	t.Helper()
	o.Workers = 1
	d, err := Open(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestLenAndSuffix(t *testing.T) {
	for _, c := range []struct {
		shape []int
		want  int
	}{{nil, 1}, {[]int{5}, 5}, {[]int{2, 3, 4}, 24}, {[]int{2, 0, 4}, 0}} {
		if got := Len(c.shape); got != c.want {
			t.Errorf("Len(%v) = %d, want %d", c.shape, got, c.want)
		}
	}
	for _, c := range []struct {
		s, shape []int
		want     bool
	}{
		{nil, []int{2}, true}, {[]int{3}, []int{2, 3}, true}, {[]int{2, 3}, []int{2, 3}, true},
		{[]int{2}, []int{2, 3}, false}, {[]int{1, 3}, []int{2, 3}, false}, {[]int{2, 3}, []int{3}, false},
	} {
		if got := IsSuffix(c.s, c.shape); got != c.want {
			t.Errorf("IsSuffix(%v, %v) = %v", c.s, c.shape, got)
		}
	}
}

// Every checked entry point says what it wanted and what it got.
func TestShapeErrors(t *testing.T) {
	d := open(t, "ref", Options{})
	z := func(shape ...int) *Tensor { return d.Zeros(Full, shape...) }
	other := open(t, "cpu", Options{}).Zeros(Full, 2, 3)
	for _, c := range []struct {
		f    func()
		want string
	}{
		{func() { Add(z(2, 3), z(2, 3), z(2)) }, "tensor: Add: dst like x, y a suffix of x; dst[2 3] x[2 3] y[2]"},
		{func() { Mul(z(2, 3), z(2, 4), z(4)) }, "tensor: Mul: dst like x, y a suffix of x; dst[2 3] x[2 4] y[4]"},
		{func() { Add(z(2, 3), z(2, 3), other) }, "tensor: Add: all tensors on one device; dst[2 3] x[2 3] y[2 3]"},
		{func() { Scale(z(2), z(3), 1) }, "tensor: Scale: dst like x; dst[2] x[3]"},
		{func() { Mask(z(2), z(2), z(3), 0) }, "tensor: Mask: dst, w and scores alike; dst[2] w[2] scores[3]"},
		{func() { Activate(z(2), z(3), GELU) }, "tensor: Activate: dst like x; dst[2] x[3]"},
		{func() { ActivateGrad(z(4), z(4), z(3), GELU) }, "tensor: ActivateGrad: dst like ct, x a suffix of ct; dst[4] ct[4] x[3]"},
		{func() { Gemm(z(2, 3), z(2, 4), z(5, 3), GemmOptions{}) }, "tensor: Gemm: dst[…,m,n] = op(a)[…,m,k]·op(b)[…,k,n]; dst[2 3] a[2 4] b[5 3]"},
		{func() { Gemm(z(2, 3), z(2, 4), z(4, 3), GemmOptions{Bias: z(2)}) }, "tensor: Gemm: one bias a column; dst[2 3] bias[2]"},
		{func() { SumTo(z(), z()) }, "tensor: SumTo: the first axis is that of the lanes; t[]"},
		{func() { SumTo(z(2, 3), z(2, 4)) }, "tensor: SumTo: dst [K,S], x [K,…,S]; dst[2 3] x[2 4]"},
		{func() { CrossEntropy(z(), z(2, 3), z(2, 3), []int32{0, 3}) }, "tensor: CrossEntropy: ids name rows of the table; id[3] rows[3]"},
		{func() { Gather(z(1, 3), z(2, 3), []int32{-1}) }, "tensor: Gather: ids name rows of the table; id[-1] rows[2]"},
		{func() { ScatterAdd(z(3), z(1, 3), []int32{0}) }, "tensor: ScatterAdd: dst [K,rows,width], x [K,ids,width]; dst[3] x[1 3]"},
		{func() { Patches(z(1, 1, 9), z(1, 1, 3, 3), 2) }, "tensor: Patches: images [N,C,H,W] with p dividing H and W, dst [N,(H/p)(W/p),C·p·p]; dst[1 1 9] images[1 1 3 3]"},
		{func() { Adam(z(2), z(2), z(2), z(2), AdamArgs{}) }, "tensor: Adam: all alike, Step ≥ 1; w[2] m[2] v[2] g[2]"},
		{func() { GradDrop(z(2), z(2), nil, nil, GradDropOptions{Penalty: 1}) }, "tensor: GradDrop: a penalty needs the scores and their sum of squares;"},
		{func() { z(2, 3).View(7) }, "tensor: View: a view keeps the number of elements; t[2 3] to[7]"},
		{func() { z(2, 3).Index(2) }, "tensor: Index: the index is inside the first axis; t[2 3]"},
		{func() { z(2, 3).Rows(1, 3) }, "tensor: Rows: 0 ≤ lo ≤ hi ≤ first axis; t[2 3]"},
		{func() { z(2, 3).Set(make([]float32, 5)) }, "tensor: Set: as many values as elements; t[2 3] values[5]"},
		{func() { z(2).Item() }, "tensor: Item: exactly one element; t[2]"},
	} {
		func() {
			defer func() {
				r := recover()
				var e *ShapeError
				if err, _ := r.(error); !errors.As(err, &e) || e.Error() != c.want {
					t.Errorf("panic %v\nwant  %s", r, c.want)
				}
			}()
			c.f()
		}()
	}
}

func TestViews(t *testing.T) {
	d := open(t, "cpu", Options{})
	x := d.From([]float32{0, 1, 2, 3, 4, 5}, 3, 2)
	if got := x.Index(1).Floats(); !slices.Equal(got, []float32{2, 3}) {
		t.Errorf("Index(1) = %v", got)
	}
	if got := x.Rows(1, 3); !slices.Equal(got.Floats(), []float32{2, 3, 4, 5}) || !slices.Equal(got.Shape(), []int{2, 2}) || !got.SameMemory(x) {
		t.Errorf("Rows(1, 3) = %v %v, same memory %v", got.Shape(), got.Floats(), got.SameMemory(x))
	}
	v := x.View(6)
	Fill(x.Index(0), 9)
	if got := v.Floats(); !slices.Equal(got, []float32{9, 9, 2, 3, 4, 5}) || v.SameMemory(d.New(Full, 6)) {
		t.Errorf("View(6) = %v", got)
	}
	if x.Dim(1) != 2 || x.Dim(2) != 3 || x.Rank() != 2 || x.Rows(2, 2).Len() != 0 {
		t.Errorf("Dim(1) %d, Dim(2) %d, Rank %d", x.Dim(1), x.Dim(2), x.Rank())
	}
}

// A step that repeats finds its memory in the pool.
func TestPool(t *testing.T) {
	d := open(t, "cpu", Options{})
	step := func() {
		a := d.New(Compute, 1000)
		b := d.New(Compute, 10, 100)
		c := d.New(Full, 1000)
		if a.Shared() {
			t.Error("a new tensor is shared")
		}
		a.Retain()
		if !a.Shared() {
			t.Error("a tensor held twice is not shared")
		}
		a.Release()
		a.View(1000).Release() // a view shares the hold
		b.Release()
		c.Release()
	}
	step()
	peak := d.PeakBytes()
	for range 5 {
		step()
	}
	if peak != 3*4000 || d.PeakBytes() != peak {
		t.Errorf("peak %d after one step, %d after six, want 12000", peak, d.PeakBytes())
	}
	d.Trim()
	d.New(Full, 2000).Release()
	if d.PeakBytes() != peak {
		t.Errorf("peak %d after Trim and a smaller tensor, want %d", d.PeakBytes(), peak)
	}
	defer func() {
		if recover() == nil {
			t.Error("releasing twice did not panic")
		}
	}()
	a := d.New(Full, 1)
	a.Release()
	a.Release()
}

// With Poison nobody reads what was left in the pool.
func TestPoison(t *testing.T) {
	for _, name := range []string{"cpu", "ref"} {
		d := open(t, name, Options{Poison: true})
		for range 2 {
			x := d.New(Full, 100)
			for i, v := range x.Floats() {
				if v == v {
					t.Fatalf("%s: element %d is %v, want NaN", name, i, v)
				}
			}
			Fill(x, 1)
			x.Release()
		}
	}
}

func TestSetAndFloats(t *testing.T) {
	third := 1.0 / 3
	ref, cpu := open(t, "ref", Options{}).New(Full, 1), open(t, "cpu", Options{}).New(Full, 1)
	ref.SetFloat64([]float64{third})
	cpu.SetFloat64([]float64{third})
	if ref.Item() != third || cpu.Item() != float64(float32(third)) || ref.Floats()[0] != float32(third) {
		t.Errorf("ref holds %v, cpu %v", ref.Item(), cpu.Item())
	}
}

// The known answers of Random123's kat_vectors for philox4x32-10.
func TestKeyKnownAnswers(t *testing.T) {
	if got, want := NewKey(0).Block(0), [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}; got != want {
		t.Errorf("block 0 of key 0 is %08x, want %08x", got, want)
	}
	k := NewKey(0x0123456789abcdef)
	if lo, hi := k.Words(); lo != 0x89abcdef || hi != 0x01234567 {
		t.Errorf("words %08x %08x", lo, hi)
	}
}

func TestKeys(t *testing.T) {
	k := NewKey(1)
	seen := map[Key]string{k: "itself"}
	for name, derived := range map[string]Key{
		"Fold(0)": k.Fold(0), "Fold(1)": k.Fold(1), "Fold(2³²)": k.Fold(1 << 32), "Name(a)": k.Name("a"), "Name(b)": k.Name("b"),
		"Fold(0).Fold(0)": k.Fold(0).Fold(0), "seed 2": NewKey(2), "seed 2³²": NewKey(1 << 32),
	} {
		if other, dup := seen[derived]; dup {
			t.Errorf("%s equals %s", name, other)
		}
		seen[derived] = name
	}
	if k.Name("a") != NewKey(1).Name("a") {
		t.Error("a key is not a function of seed and name")
	}
	for _, c := range []struct {
		w    uint32
		want float64
	}{{0, 0}, {0xff, 0}, {0x100, 1.0 / (1 << 24)}, {math.MaxUint32, 1 - 1.0/(1<<24)}} {
		if got := Unit(c.w); got != c.want || float64(float32(got)) != got {
			t.Errorf("Unit(%x) = %v, want %v", c.w, got, c.want)
		}
	}
}

// Whole tensors of numbers are those of the key, one by one, and their moments are the distribution's:
// over n numbers the means lie within 5/√n standard deviations but for one key in a million.
func TestUniformAndNormal(t *testing.T) {
	const n = 100003
	d := open(t, "ref", Options{})
	k := NewKey(11).Name("moments")
	x := d.New(Full, n)
	for _, c := range []struct {
		name           string
		fill           func(*Tensor, Key)
		at             func(uint64) float64
		mean, variance float64
		fourth         float64 // central moment, for the deviation of the variance
	}{
		{"Uniform", Uniform, k.Uniform, 0.5, 1.0 / 12, 1.0 / 80},
		{"Normal", Normal, k.Normal, 0, 1, 3},
	} {
		c.fill(x, k)
		v := x.Float64s()
		sum, squares := 0.0, 0.0
		for i, got := range v {
			if i%997 < 5 || i > n-5 {
				if want := c.at(uint64(i)); got != want {
					t.Fatalf("%s: number %d is %v, of the key %v", c.name, i, got, want)
				}
			}
			sum += got
			squares += (got - c.mean) * (got - c.mean)
		}
		if off := math.Abs(sum/n - c.mean); off > 5*math.Sqrt(c.variance/n) {
			t.Errorf("%s: the mean is off by %v", c.name, off)
		}
		if off := math.Abs(squares/n - c.variance); off > 5*math.Sqrt((c.fourth-c.variance*c.variance)/n) {
			t.Errorf("%s: the variance is off by %v", c.name, off)
		}
	}
}

// TestPack: a packed matrix multiplies to the same bits, seen as a view too, and Set makes it an ordinary one.
func TestPack(t *testing.T) {
	for i := range 4 {
		precision, transB := []string{"float32", "bf16"}[i/2], i%2 == 1
		d := open(t, "cpu", Options{Precision: precision})
		x, w := d.New(Compute, 5, 96), d.New(Compute, 96, 4, 24)
		Normal(x, NewKey(1))
		Normal(w, NewKey(2))
		y := d.New(Compute, 5, 96)
		product := func() []float32 {
			Fill(y, 0)
			Gemm(y, x, w.View(96, 96), GemmOptions{TransB: transB})
			return y.Floats()
		}
		want := product()
		before := d.PeakBytes()
		Pack(w, transB)
		if got := product(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", precision, got, want)
		}
		if w.Rows(0, 95).buf.Packed.of(transB) != nil {
			t.Error("a part of a packed matrix counts as packed")
		}
		packed := w.buf.Packed.of(transB) != nil
		if packed && d.PeakBytes() <= before {
			t.Error("the copy is not counted")
		}
		held := d.held
		w.Set(make([]float32, w.Len()))
		if packed && d.held >= held {
			t.Error("the copy is still counted after Set")
		}
		if got := product(); !slices.Equal(got, make([]float32, len(want))) {
			t.Errorf("%s: %v after Set", precision, got)
		}
	}
}
