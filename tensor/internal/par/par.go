// Package par runs loops on a fixed set of worker threads.
//
// A training step is some thousands of loops of 10 µs to 10 ms each, one after the other. Handing each
// to goroutines through channels costs as much as the shorter ones take, so an idle worker first
// watches the pool's state word for a short while, and only then blocks. Workers that are asleep
// burn nothing; those that watch are never more than the processors there are.
//
// Every worker begins with its own part of a loop, and takes from the others' when that is done. So a worker mostly has the same rows
// in one loop as in the next, and finds in the caches near its core what it has written there, which counts where cores
// have no cache in common; and one that is held up, by another program or a slower core, does less.
//
// How a loop is cut depends on its length and grain alone. A kernel that keeps one partial result a
// chunk and adds them in the order of the chunks therefore gives the same bits for any number of workers.
package par

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// How long a worker watches for the next loop, and a caller for its last helper, before blocking. What lies
// between two kernels of a step is a few microseconds; what is longer, as between two steps or while a picture
// is waited for, is mostly much longer, and watching is processor time. About what it takes to wake a worker
// is the best bet. A caller waits for a chunk at most, and for it alone: it watches longer.
const (
	idleTime = 25 * time.Microsecond
	lastTime = 100 * time.Microsecond
)

// The state word: how many helpers are inside the current loop, and two flags.
const (
	open    = 1 << 31 // helpers may join
	waiting = 1 << 30 // the caller is blocked until the last helper leaves
	inside  = waiting - 1
)

// Pool is a set of workers: the goroutine that calls For, and helpers. It serves one caller at a time.
type Pool struct {
	workers int
	helpers sync.WaitGroup
	closed  atomic.Bool

	// The current loop. Only those inside read these fields.
	n, grain int
	f        func(worker, lo, hi int)
	busy     atomic.Bool // a For is under way
	halted   atomic.Bool // loops do nothing
	failed   atomic.Pointer[failure]
	done     chan struct{}

	loops map[any]any // *loop[T] by type, see Do
	homes []home      // of each worker

	// Each of the words that workers share has a cache line to itself.
	_        [64]byte
	state    atomic.Uint32
	_        [60]byte
	asleep   atomic.Int32 // helpers that want a token from wake
	spinning atomic.Int32
	_        [56]byte

	maxSpin int32
	wake    chan struct{}
}

// home is the part of a loop that a worker begins with. It has cache lines to itself.
type home struct {
	next atomic.Int64 // next chunk to hand out
	end  int
	_    [112]byte
}

// take is the next chunk, not below end if none is left.
func (h *home) take() int { return int(h.next.Add(1) - 1) }

// failure is a panic on its way from a helper to the caller.
type failure struct{ value any }

// New starts a pool of the given number of workers, the caller of For among them; 0 means
// runtime.GOMAXPROCS.
func New(workers int) *Pool {
	procs := runtime.GOMAXPROCS(0)
	if workers <= 0 {
		workers = procs
	}
	p := &Pool{workers: workers, maxSpin: int32(min(workers, procs) - 1), loops: map[any]any{}, homes: make([]home, workers), done: make(chan struct{}, 1), wake: make(chan struct{}, workers)}
	for i := 1; i < workers; i++ {
		p.helpers.Go(func() { p.help(i) })
	}
	return p
}

// Workers is the number of workers.
func (p *Pool) Workers() int { return p.workers }

// Close ends the helpers and waits for them; For must not be called any more. Closing twice does nothing.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for range p.workers - 1 {
		p.wake <- struct{}{}
	}
	p.helpers.Wait()
}

// Halt makes the loops that begin from now on do nothing, until it is called with false. What they were to compute is then anything;
// who halts a pool throws it away. Another goroutine may call it.
func (p *Pool) Halt(on bool) { p.halted.Store(on) }

// Chunks is the number of pieces that For cuts [0, n) into.
func Chunks(n, grain int) int {
	grain = max(grain, 1)
	return (n + grain - 1) / grain
}

// For calls f(worker, lo, hi) for the chunks [i·grain, min((i+1)·grain, n)) of [0, n), each once, in no
// particular order and at the same time, and returns when all are done. Each worker begins with its
// share of them, which are neighbours. worker is below Workers, and no two calls with the same worker
// overlap, so that it can index scratch memory. A panic in f is raised again by For. f must not call
// For of the same pool.
func (p *Pool) For(n, grain int, f func(worker, lo, hi int)) {
	if n <= 0 || p.halted.Load() {
		return
	}
	grain = max(grain, 1)
	if n <= grain {
		f(0, 0, n)
		return
	}
	if p.workers == 1 {
		for lo := 0; lo < n; lo += grain {
			f(0, lo, min(lo+grain, n))
		}
		return
	}
	if p.closed.Load() {
		panic("par: For on a closed pool")
	}
	if p.busy.Swap(true) {
		panic("par: For inside For, or from two goroutines at once")
	}
	p.n, p.grain, p.f = n, grain, f
	chunks := Chunks(n, grain)
	for i := range p.homes {
		h := &p.homes[i]
		h.next.Store(int64(chunks * i / p.workers))
		h.end = chunks * (i + 1) / p.workers
	}
	p.state.Store(open)
	p.rouse(min(chunks, p.workers) - 1)

	p.work(0)
	p.finish()

	p.f = nil
	failed := p.failed.Swap(nil)
	p.busy.Store(false)
	if failed != nil {
		panic(failed.value)
	}
}

// Body is a loop with its operands, as a pointer to them: Do works on [lo, hi).
type Body[T any] interface {
	*T
	Do(worker, lo, hi int)
}

// Do is For with the loop's operands in memory of the pool's, which the next loop of this type uses again. So it
// allocates nothing, as a closure handed to For does.
func Do[T any, B Body[T]](p *Pool, n, grain int, operands T) {
	key := any((*T)(nil))
	l, _ := p.loops[key].(*loop[T])
	if l == nil {
		l = &loop[T]{}
		l.do = B(&l.operands).Do
		p.loops[key] = l
	}
	l.operands = operands
	p.For(n, grain, l.do)
	var none T
	l.operands = none
}

// loop is the memory of Do for one type of operands.
type loop[T any] struct {
	operands T
	do       func(worker, lo, hi int)
}

// rouse wakes up to n sleeping helpers.
func (p *Pool) rouse(n int) {
	for ; n > 0; n-- {
		if !p.claim() {
			return
		}
		p.wake <- struct{}{}
	}
}

// claim takes one helper off the count of sleepers. Whoever succeeds decides how that helper goes on.
func (p *Pool) claim() bool {
	for {
		s := p.asleep.Load()
		if s == 0 {
			return false
		}
		if p.asleep.CompareAndSwap(s, s-1) {
			return true
		}
	}
}

// work takes chunks until there are none, those of its own home first.
func (p *Pool) work(worker int) {
	defer func() {
		if r := recover(); r != nil {
			p.failed.CompareAndSwap(nil, &failure{r})
			for i := range p.homes { // the rest would be in vain
				p.homes[i].next.Store(int64(p.homes[i].end))
			}
		}
	}()
	for i := range p.homes {
		h := &p.homes[(worker+i)%len(p.homes)]
		for chunk := h.take(); chunk < h.end; chunk = h.take() {
			lo := chunk * p.grain
			p.f(worker, lo, min(lo+p.grain, p.n))
		}
	}
}

// finish closes the loop to helpers that come late, and waits for those inside.
func (p *Pool) finish() {
	if p.state.And(^uint32(open))&inside == 0 {
		return
	}
	for t := time.Now(); time.Since(t) < lastTime; {
		for range 16 {
			if p.state.Load() == 0 {
				return
			}
			pause(8)
		}
	}
	// With the loop closed the count only falls, so just one helper sees it reach 0 under the flag.
	if p.state.Or(waiting)&inside != 0 {
		<-p.done
	}
	p.state.Store(0)
}

// help is the life of a helper.
func (p *Pool) help(worker int) {
	for !p.closed.Load() {
		if !p.join() {
			p.idle()
			continue
		}
		p.work(worker)
		p.state.And(^uint32(open)) // no chunks are left: joining again would be a busy wait
		if p.state.Add(^uint32(0)) == waiting {
			p.done <- struct{}{}
		}
	}
}

// join enters the current loop if it is open.
func (p *Pool) join() bool {
	for {
		s := p.state.Load()
		if s&open == 0 {
			return false
		}
		if p.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// idle returns when a loop may have opened: it watches for a while, then sleeps.
func (p *Pool) idle() {
	if p.spinning.Add(1) <= p.maxSpin {
		for t := time.Now(); time.Since(t) < idleTime; {
			for range 16 {
				if p.state.Load()&open != 0 {
					p.spinning.Add(-1)
					return
				}
				pause(8)
			}
		}
	}
	p.spinning.Add(-1)

	// Asleep is raised before the last look at the state, and For opens before it looks at asleep: one
	// of the two sees the other.
	p.asleep.Add(1)
	if p.state.Load()&open != 0 && p.claim() {
		return
	}
	<-p.wake
}
