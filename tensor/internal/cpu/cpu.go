// Package cpu has the portable kernels of the host devices: plain loops over slices, for float32 and
// float64. They define what is right, and are what runs where there is no assembly for a machine.
//
// Three habits hold throughout.
//
// Results do not depend on the number of workers. A loop is cut by constants and by lengths; a sum
// that spans chunks has one partial sum a chunk, and these are added in the order of the chunks.
//
// Sums are kept in float64, whatever the elements are; only Gemm and Attention add in the elements'
// own format, in the order of the summation index.
//
// A product that is added to something is written T(x*y) + z. The language lets a compiler fuse x*y + z
// into one instruction where the processor has it; the conversion forbids that, so that all processors
// give the same bits.
package cpu

import "fewshot/tensor/internal/par"

// Float is what kernels compute in.
type Float interface{ float32 | float64 }

// Kernels are the kernels with the workers and the scratch memory that they use. They are for one
// goroutine at a time.
type Kernels[T Float] struct {
	pool *par.Pool
	tmp  []T
	sums []float64

	resizers []resizer // by worker
}

// New makes kernels that run on p.
func New[T Float](p *par.Pool) *Kernels[T] { return &Kernels[T]{pool: p} }

// Chunk lengths, in elements. A chunk of memory traffic should outlast what handing it out costs, about
// 1 µs, and still leave some for every worker.
const (
	Light = 1 << 14 // a few operations an element
	Heavy = 1 << 11 // an exponential or a random number an element
)

// rowGrain is how many rows of a width make a chunk of about n elements.
func rowGrain(width, n int) int { return max(1, n/max(width, 1)) }

// blocks is the number of partial sums for n elements or rows of which at least least go into each. The
// limit bounds the scratch memory and the serial work of adding them up.
func blocks(n, least int) int { return max(1, min(par.Chunks(n, least), 64)) }

// scratch returns n elements of undefined value, valid until the next call.
func (k *Kernels[T]) scratch(n int) []T {
	if cap(k.tmp) < n {
		k.tmp = make([]T, n)
	}
	return k.tmp[:n]
}

// partials returns n float64 of undefined value, valid until the next call.
func (k *Kernels[T]) partials(n int) []float64 {
	if cap(k.sums) < n {
		k.sums = make([]float64, n)
	}
	return k.sums[:n]
}

// ForRows runs f on every row of n elements, in chunks of about chunk elements.
func ForRows(p *par.Pool, n, width, chunk int, f func(r int)) {
	if width == 0 {
		return
	}
	p.For(n/width, rowGrain(width, chunk), func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			f(r)
		}
	})
}

// Rows is a loop over rows with its operands, as a pointer to them.
type Rows[T any] interface {
	*T
	Row(r int)
}

type rowwise[T any, R Rows[T]] struct{ operands T }

func (l *rowwise[T, R]) Do(_, lo, hi int) {
	for r := lo; r < hi; r++ {
		R(&l.operands).Row(r)
	}
}

// DoRows is ForRows that allocates nothing, as par.Do is For.
func DoRows[T any, R Rows[T]](p *par.Pool, n, width, chunk int, operands T) {
	if width > 0 {
		par.Do(p, n/width, rowGrain(width, chunk), rowwise[T, R]{operands})
	}
}

// ForSuffix runs f on pieces [lo, hi) of [0, n), in chunks of chunk elements, that a suffix operand meets
// without a break from its element at on.
func ForSuffix(p *par.Pool, n, suffix, chunk int, f func(lo, hi, at int)) {
	p.For(n, chunk, func(_, lo, hi int) {
		for lo < hi {
			at := lo % suffix
			end := min(hi, lo+suffix-at)
			f(lo, end, at)
			lo = end
		}
	})
}

// Row is row r of x; a suffix operand starts again when its rows are used up.
func Row[T any](x []T, r, width int) []T {
	r %= max(len(x)/width, 1)
	return x[r*width : (r+1)*width : (r+1)*width]
}
