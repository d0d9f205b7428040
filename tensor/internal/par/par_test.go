package par

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestForCoversOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7, 33} {
		p := New(workers)
		for _, n := range []int{0, 1, 2, 5, 63, 64, 65, 1000} {
			for _, grain := range []int{0, 1, 7, 64, 5000} {
				hits := make([]int32, n)
				inUse := make([]atomic.Bool, workers)
				p.For(n, grain, func(worker, lo, hi int) {
					if inUse[worker].Swap(true) {
						t.Errorf("worker %d is used twice at once", worker)
					}
					if lo%max(grain, 1) != 0 || hi != min(lo+max(grain, 1), n) {
						t.Errorf("n=%d grain=%d: chunk [%d,%d)", n, grain, lo, hi)
					}
					for i := lo; i < hi; i++ {
						hits[i]++ // a plain write: the race detector sees overlaps
					}
					inUse[worker].Store(false)
				})
				for i, h := range hits {
					if h != 1 {
						t.Fatalf("workers=%d n=%d grain=%d: index %d done %d times", workers, n, grain, i, h)
					}
				}
			}
		}
		p.Close()
		p.Close()
	}
}

// Loops of all lengths and gaps between them: helpers are met watching, falling asleep, and asleep.
func TestForOftenWithGaps(t *testing.T) {
	p := New(4)
	defer p.Close()
	var sum atomic.Int64
	want := int64(0)
	for i := range 3000 {
		n := 2 + i%9
		p.For(n, 1, func(_, lo, hi int) { sum.Add(int64(hi - lo)) })
		want += int64(n)
		if i%50 == 0 {
			time.Sleep(time.Duration(i/50) * 5 * time.Microsecond)
		}
	}
	if sum.Load() != want {
		t.Errorf("did %d of %d", sum.Load(), want)
	}
}

// Each worker begins with its own part of a loop, and the others do all that one leaves which is held up.
func TestForBeginsAtHome(t *testing.T) {
	const workers, each, slow = 3, 40, 1
	p := New(workers)
	defer p.Close()
	for range 20 {
		var began, others sync.WaitGroup // until all workers are in the loop, and until all chunks but that of the slow one are done
		began.Add(workers)
		others.Add(workers*each - 1)
		var chunks [workers]int
		p.For(workers*each, 1, func(worker, lo, _ int) {
			if chunks[worker]++; chunks[worker] == 1 {
				began.Done()
				began.Wait()
				if lo != worker*each {
					t.Errorf("worker %d begins at %d, want %d", worker, lo, worker*each)
				}
				if worker == slow {
					others.Wait()
					return
				}
			}
			others.Done()
		})
		if chunks[slow] != 1 {
			t.Errorf("the worker that was held up has done %d chunks, want 1", chunks[slow])
		}
	}
}

func TestForPanics(t *testing.T) {
	p := New(3)
	defer p.Close()
	boom := errors.New("boom")
	for _, at := range []int{0, 50, 99} {
		func() {
			defer func() {
				if r := recover(); r != boom {
					t.Errorf("chunk %d: recovered %v, want %v", at, r, boom)
				}
			}()
			p.For(100, 1, func(_, lo, _ int) {
				if lo == at {
					panic(boom)
				}
			})
		}()
	}
	var count atomic.Int32
	p.For(10, 1, func(int, int, int) { count.Add(1) })
	if count.Load() != 10 {
		t.Errorf("after a panic the pool did %d of 10", count.Load())
	}
}

func TestForInsideFor(t *testing.T) {
	p := New(2)
	defer p.Close()
	defer func() {
		if recover() == nil {
			t.Error("For inside For did not panic")
		}
	}()
	p.For(4, 1, func(int, int, int) { p.For(4, 1, func(int, int, int) {}) })
}

func TestForAllocatesNothing(t *testing.T) {
	p := New(2)
	defer p.Close()
	var sum atomic.Int64
	f := func(_, lo, hi int) { sum.Add(int64(hi - lo)) }
	if n := testing.AllocsPerRun(100, func() { p.For(64, 1, f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIdleHelpersSleep(t *testing.T) {
	p := New(5)
	defer p.Close()
	p.For(100, 1, func(int, int, int) { runtime.Gosched() })
	// How long it takes is the machine's affair; where it never happens the test's own timeout shows which helper is where.
	for p.asleep.Load() != 4 {
		runtime.Gosched()
	}
}

func BenchmarkFor(b *testing.B) {
	for _, workers := range []int{1, 2, 8} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			p := New(workers)
			defer p.Close()
			for b.Loop() {
				p.For(64, 1, func(int, int, int) {})
			}
		})
	}
}

// What the pool costs beside the work, and whether a second worker helps, at the lengths that matter.
func BenchmarkSpin(b *testing.B) {
	for _, workers := range []int{1, 2} {
		for _, iters := range []int{1e3, 1e4, 1e5} {
			b.Run(fmt.Sprintf("%d/%d", workers, iters), func(b *testing.B) {
				p := New(workers)
				defer p.Close()
				for b.Loop() {
					p.For(16, 1, func(_, lo, hi int) {
						x := 1.0
						for range iters {
							x = x*0.999 + 0.001
						}
						if x == 2 {
							b.Fail()
						}
					})
				}
			})
		}
	}
}

type squares[T int | float64] struct{ dst, x []T }

func (s *squares[T]) Do(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		s.dst[i] = s.x[i] * s.x[i]
	}
}

func square[T int | float64](p *Pool, dst, x []T) { Do(p, len(x), 7, squares[T]{dst, x}) }

func TestDo(t *testing.T) {
	p := New(3)
	defer p.Close()
	ints, floats := make([]int, 1000), make([]float64, 1000)
	for i := range ints {
		ints[i], floats[i] = i, float64(i)
	}
	run := func() {
		square(p, ints, ints)
		square(p, floats, floats)
	}
	run()
	for i, v := range ints {
		if v != i*i || floats[i] != float64(i*i) {
			t.Fatalf("element %d is %d and %v", i, v, floats[i])
		}
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
