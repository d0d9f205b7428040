package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fewshot/tensor/internal/par"
)

// A reference is attention for one head of one example in float64. Each quantity comes with a bound of how
// far off float32 arithmetic may make it, to first order in the unit roundoff; the slack of a
// thousandth in bound covers the rest.
type reference struct{ value, bound [][]float64 }

func newReference(rows, cols int) reference {
	var r reference
	for range rows {
		r.value, r.bound = append(r.value, make([]float64, cols)), append(r.bound, make([]float64, cols))
	}
	return r
}

const slack = 1.001

// product is op(a)·b with what the errors of both and the additions make of it.
func product(rows, cols, k int, a, b func(i, j int) (value, bound float64)) reference {
	c := newReference(rows, cols)
	for i := range rows {
		for j := range cols {
			size, inherited := 0.0, 0.0
			for l := range k {
				x, dx := a(i, l)
				y, dy := b(l, j)
				c.value[i][j] += x * y
				size += math.Abs(x * y)
				inherited += math.Abs(x)*dy + dx*math.Abs(y)
			}
			c.bound[i][j] = slack * (gamma(k)*size + inherited)
		}
	}
	return c
}

func exact(x []float32, at func(row int) int) func(i, j int) (float64, float64) {
	return func(i, j int) (float64, float64) { return float64(x[at(i)+j]), 0 }
}

func (r reference) at(i, j int) (float64, float64)      { return r.value[i][j], r.bound[i][j] }
func (r reference) flipped(i, j int) (float64, float64) { return r.value[j][i], r.bound[j][i] }

func flip(f func(i, j int) (float64, float64)) func(i, j int) (float64, float64) {
	return func(i, j int) (float64, float64) { return f(j, i) }
}

// headReference is the forward pass of a head: P, result and log of the denominators.
type headReference struct {
	p, out, lse reference
	q, k, v     func(i, j int) (float64, float64)
	scale       float64
}

func newHead(s *AttentionShape, q, kv []float32, b, h int) headReference {
	r := headReference{
		q:     exact(q, func(i int) int { return s.rowQ(b, h, i) }),
		k:     exact(kv, func(i int) int { return s.rowK(b, h, i) }),
		v:     exact(kv, func(i int) int { return s.rowV(b, h, i) }),
		scale: 1 / math.Sqrt(float64(s.Size)),
		p:     newReference(s.LenQ, s.LenKV), lse: newReference(s.LenQ, 1),
	}
	scores := product(s.LenQ, s.LenKV, s.Size, r.q, flip(r.k))
	for i := range s.LenQ {
		n := s.seen(i + 1)
		top, worst, size := math.Inf(-1), 0.0, 0.0
		for j := range n {
			x := r.scale * scores.value[i][j]
			top, size = max(top, x), max(size, math.Abs(x))
			worst = max(worst, r.scale*scores.bound[i][j])
		}
		sum := 0.0
		for j := range n {
			r.p.value[i][j] = math.Exp(r.scale*scores.value[i][j] - top)
			sum += r.p.value[i][j]
		}
		r.lse.value[i][0] = top + math.Log(sum)
		// The exponent: its scores, the rounding of scale and of the difference, and of lse or shift; then
		// an exponential, n additions, a division and a multiplication.
		exponent := worst + 4*unit*(size+math.Abs(r.lse.value[i][0]))
		r.lse.bound[i][0] = slack * (exponent + gamma(n+4) + unit*math.Abs(r.lse.value[i][0]))
		for j := range n {
			r.p.value[i][j] /= sum
			r.p.bound[i][j] = slack * r.p.value[i][j] * (exponent + r.lse.bound[i][0] + gamma(n+8))
		}
	}
	r.out = product(s.LenQ, s.Size, s.LenKV, r.p.at, r.v)
	return r
}

// grad is the backward pass for the cotangent ct.
func (r headReference) grad(s *AttentionShape, ct func(i, j int) (float64, float64)) (dq, dk, dv reference) {
	dp := product(s.LenQ, s.LenKV, s.Size, ct, flip(r.v))
	ds := newReference(s.LenQ, s.LenKV)
	for i := range s.LenQ {
		var d, bound float64
		for j := range s.Size {
			c, _ := ct(i, j)
			d += c * r.out.value[i][j]
			bound += math.Abs(c) * (r.out.bound[i][j] + gamma(s.Size)*math.Abs(r.out.value[i][j]))
		}
		for j := range s.LenKV {
			p, offP := r.p.at(i, j)
			x, offX := dp.at(i, j)
			ds.value[i][j] = p * (x - d) * r.scale
			ds.bound[i][j] = slack * r.scale * (p*(offX+bound) + (offP+5*unit*p)*(math.Abs(x)+math.Abs(d)))
		}
	}
	dq = product(s.LenQ, s.Size, s.LenKV, ds.at, r.k)
	dk = product(s.LenKV, s.Size, s.LenQ, ds.flipped, r.q)
	dv = product(s.LenKV, s.Size, s.LenQ, r.p.flipped, ct)
	// Blocks of queries add up: one more rounding of each partial sum.
	for _, d := range []reference{dk, dv} {
		for i := range d.bound {
			for j := range d.bound[i] {
				d.bound[i][j] *= 1 + float64(ceil(s.LenQ, blockQ))/float64(s.LenQ)
			}
		}
	}
	return dq, dk, dv
}

type attentionBuffers struct{ q, kv, dst, lse *buffer }

func attentionCase(s AttentionShape, same bool, r *rand.Rand) attentionBuffers {
	var b attentionBuffers
	b.q = input(s.Batch*s.LenQ*s.ColsQ, r, normal(r))
	b.kv = b.q
	if !same {
		b.kv = input(s.Batch*s.LenKV*s.ColsKV, r, normal(r))
	}
	b.dst, b.lse = newBuffer(s.Batch*s.LenQ*s.width(), r), newBuffer(s.Batch*s.Heads*s.LenQ, r)
	return b
}

// attentionShapes are packed self-attention, with and without a mask, in CLIP's and in odd sizes; a class token
// that attends to all; and cross-attention between separate operands.
var attentionShapes = []struct {
	AttentionShape
	same bool
}{
	{self(2, 33, 2, 8, false), true},
	{self(1, 133, 1, 64, false), true},
	{self(2, 77, 3, 64, true), true},
	{self(1, 240, 1, 16, true), true},
	{self(1, 9, 3, 5, true), true},
	{self(1, 256, 1, 4, false), true},
	{self(3, 1, 2, 7, false), true},
	{AttentionShape{Batch: 2, LenQ: 1, LenKV: 197, Heads: 2, Size: 64, ColsQ: 130, ColsKV: 400, Q: 2, K: 3, V: 200}, false},
	{AttentionShape{Batch: 2, LenQ: 50, LenKV: 13, Heads: 2, Size: 33, ColsQ: 70, ColsKV: 140, Q: 1, K: 72, V: 2}, false},
	{AttentionShape{Batch: 1, LenQ: 20, LenKV: 31, Heads: 1, Size: 16, ColsQ: 16, ColsKV: 32, K: 0, V: 16, Causal: true}, false},
	{AttentionShape{Batch: 1, LenQ: 150, LenKV: 20, Heads: 1, Size: 16, ColsQ: 16, ColsKV: 32, K: 0, V: 16, Causal: true}, false},
}

func self(batch, n, heads, size int, causal bool) AttentionShape {
	d := heads * size
	return AttentionShape{Batch: batch, LenQ: n, LenKV: n, Heads: heads, Size: size, ColsQ: 3 * d, ColsKV: 3 * d, K: d, V: 2 * d, Causal: causal}
}

func TestAttention(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		for _, c := range attentionShapes {
			s := c.AttentionShape
			x := attentionCase(s, c.same, newRand(20))
			if !Attention(p, x.dst.x, x.lse.x, x.q.x, x.kv.x, s) {
				t.Fatal("refused")
			}
			for _, b := range []*buffer{x.q, x.kv, x.dst, x.lse} {
				b.check(t, fmt.Sprintf("%+v", s))
			}
			for b := range s.Batch {
				for h := range s.Heads {
					want := newHead(&s, x.q.x, x.kv.x, b, h)
					shape, lse := fmt.Sprintf("%+v", s), fmt.Sprintf("lse of %+v", s)
					for i := range s.LenQ {
						near(t, lse, i, x.lse.x[s.stat(b, h, i)], want.lse.value[i][0], want.lse.bound[i][0])
						for j := range s.Size {
							near(t, shape, i, x.dst.x[s.out(b, h, i)+j], want.out.value[i][j], want.out.bound[i][j])
						}
					}
				}
			}
		}
	})
}

func TestAttentionGrad(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		for i, c := range attentionShapes {
			s, lanes := c.AttentionShape, 1+i%3
			r := newRand(21)
			x := attentionCase(s, c.same, r)
			Attention(p, x.dst.x, x.lse.x, x.q.x, x.kv.x, s)
			ct := input(lanes*len(x.dst.x), r, normal(r))
			untouched := func() float32 { return guard }
			dq := input(lanes*len(x.q.x), r, untouched)
			dkv := dq
			if !c.same {
				dkv = input(lanes*len(x.kv.x), r, untouched)
			}
			if !AttentionGrad(p, dq.x, dkv.x, ct.x, x.q.x, x.kv.x, x.dst.x, x.lse.x, s, lanes) {
				t.Fatal("refused")
			}
			for _, b := range []*buffer{x.q, x.kv, x.dst, x.lse, ct} {
				b.check(t, fmt.Sprintf("%+v", s))
			}
			for b := range s.Batch {
				for h := range s.Heads {
					head := newHead(&s, x.q.x, x.kv.x, b, h)
					for lane := range lanes {
						ofLane := func(d *buffer) []float32 { return d.x[lane*len(d.x)/lanes : (lane+1)*len(d.x)/lanes] }
						wantQ, wantK, wantV := head.grad(&s, exact(ofLane(ct), func(i int) int { return s.out(b, h, i) }))
						for _, d := range []struct {
							name string
							got  []float32
							at   func(b, h, r int) int
							want reference
						}{{"dq", ofLane(dq), s.rowQ, wantQ}, {"dk", ofLane(dkv), s.rowK, wantK}, {"dv", ofLane(dkv), s.rowV, wantV}} {
							what := fmt.Sprintf("%s, lane %d of %+v", d.name, lane, s)
							for i := range d.want.value {
								row := d.got[d.at(b, h, i):][:s.Size]
								for j := range row {
									near(t, what, i*s.Size+j, row[j], d.want.value[i][j], d.want.bound[i][j])
									row[j] = guard
								}
							}
						}
					}
				}
			}
			// What is left is what nobody asked for.
			dq.check(t, "columns of dq that are not queries")
			dkv.check(t, "columns of dkv that are neither keys nor values")
		}
	})
}

func TestAttentionSameBitsForAnyWorkers(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		s := self(3, 50, 3, 24, true)
		var want []float32
		for workers := 1; workers <= 4; workers++ {
			p := par.New(workers)
			r := newRand(22)
			x := attentionCase(s, true, r)
			Attention(p, x.dst.x, x.lse.x, x.q.x, x.kv.x, s)
			d := make([]float32, 2*len(x.q.x))
			ct := input(2*len(x.dst.x), r, normal(r))
			AttentionGrad(p, d, d, ct.x, x.q.x, x.kv.x, x.dst.x, x.lse.x, s, 2)
			p.Close()
			got := slices.Concat(x.dst.x, x.lse.x, d)
			if want == nil {
				want = got
			}
			sameBits(t, fmt.Sprint(workers, " workers"), got, want)
		}
	})
}

func TestAttentionDoesNotAllocate(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		s := self(2, 50, 2, 64, false)
		x := attentionCase(s, true, newRand(23))
		d := make([]float32, len(x.q.x))
		if n := testing.AllocsPerRun(20, func() {
			Attention(p, x.dst.x, x.lse.x, x.q.x, x.kv.x, s)
			AttentionGrad(p, d, d, x.dst.x, x.q.x, x.kv.x, x.dst.x, x.lse.x, s, 1)
		}); n > 0.5 {
			t.Errorf("%g allocations", n)
		}
	})
}

func TestAttentionRefusesAndPanics(t *testing.T) {
	p := par.New(1)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		s := self(1, 3, 2, 4, false)
		x := attentionCase(s, true, newRand(24))
		for _, spoil := range []func(){
			func() { Attention(p, x.dst.x[1:], x.lse.x, x.q.x, x.kv.x, s) },
			func() { Attention(p, x.dst.x, x.lse.x[1:], x.q.x, x.kv.x, s) },
			func() { s := s; s.V++; Attention(p, x.dst.x, x.lse.x, x.q.x, x.kv.x, s) },
			func() {
				AttentionGrad(p, x.q.x, x.q.x, x.dst.x, x.q.x, x.kv.x, x.dst.x, x.lse.x, s, 2)
			},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				spoil()
			}()
		}
		empty := s
		empty.Batch = 0
		if Attention(p, nil, nil, nil, nil, empty) || AttentionGrad(p, nil, nil, nil, nil, nil, nil, nil, empty, 1) {
			t.Error("took an empty batch")
		}
		defer Use("")()
		if Attention(p, x.dst.x, x.lse.x, x.q.x, x.kv.x, s) || x.dst.x[0] != guard {
			t.Error("worked without kernels")
		}
	})
}

func TestPowers(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		r := newRand(25)
		x := []float32{0, -0.5, 0.5, 1, 127, -126, -126.5, -127, -149, -200, float32(math.Inf(-1)), float32(math.NaN())}
		for range 5000 {
			x = append(x, float32(r.Float64()*280-152))
		}
		got := make([]float32, len(x))
		kernels().powers(len(x), &got[0], &x[0], 1, 0)
		for i := range x {
			want := math.Exp2(float64(x[i]))
			bound := 2 * unit * want
			if want < 0x1p-126 {
				bound = 0x1p-127
			}
			near(t, "2^x", i, got[i], want, bound)
		}
	})
}

func TestLogSums(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		r := newRand(26)
		const scale = 0.125
		largest, sums := []float32{0, 3, -3, 1, 2}, []float32{1, 1, 2, math.Nextafter32(1, 2), float32(math.NaN())}
		for range 1000 {
			largest, sums = append(largest, float32(r.NormFloat64())), append(sums, float32(math.Exp(20*r.Float64())))
		}
		got := make([]float32, len(sums))
		kernels().logSums(len(sums), &got[0], &largest[0], &sums[0], scale)
		for i := range sums {
			log := math.Log(float64(sums[i]))
			want := scale*float64(largest[i]) + log
			// Six roundings of a power of two's logarithm and of the rest's, which together are at most thrice the whole; then
			// that of the result.
			near(t, "log of a sum", i, got[i], want, gamma(18)*math.Abs(log)+slack*unit*math.Abs(want))
		}
	})
}

func TestDivideRows(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		r := newRand(27)
		const rows, ld = 3, 50
		for n := 1; n <= 40; n++ {
			x, by := newBuffer(rows*ld, r), input(rows, r, func() float32 { return 1 + float32(r.Float64()) })
			before := make([]float32, len(x.x))
			for i := range before {
				before[i] = float32(r.NormFloat64())
			}
			copy(x.x, before)
			kernels().divideRows(rows, n, &x.x[0], ld, &by.x[0])
			x.check(t, "rows")
			for i := range before {
				want, bound := float64(before[i]), 0.0
				if i%ld < n {
					want /= float64(by.x[i/ld])
					bound = gamma(2) * math.Abs(want)
				}
				near(t, fmt.Sprintf("%d columns", n), i, x.x[i], want, bound)
			}
		}
	})
}

// Every row of every matrix is fetched once, in order.
func TestAhead(t *testing.T) {
	const ld = 3
	x, y := make([]float32, 40*ld), make([]float32, fetched*ld)
	var none *ahead
	if from, _ := none.take(); from != nil {
		t.Error("something to fetch of nothing")
	}
	var next ahead
	for range 2 {
		next.clear()
		next.add(40, x, ld)
		next.add(fetched, y, ld)
		for _, want := range []*float32{&x[0], &x[fetched*ld], &x[2*fetched*ld], &y[0], nil} {
			from, distance := next.take()
			if from != want || from != nil && distance != ld {
				t.Fatalf("%p at distances of %d, want %p and %d", from, distance, want, ld)
			}
		}
	}
}
