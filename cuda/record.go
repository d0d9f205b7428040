//go:build cuda

package cuda

import (
	"errors"
	"runtime"

	"fewshot/cuda/internal/driver"
	"fewshot/tensor"
)

// program is a sequence of operations as a CUDA graph. The operations are done once before they are captured: that
// makes cuBLASLt choose and load its algorithms, sizes the scratch memory, and finds errors where they arise.
type program struct {
	b       *backend
	graph   *driver.Graph
	scratch scratch // for partial results: what the graph uses must outlive it, and must not be grown by others

	// Labels and ids. Each Run sends what the slices hold by then, in one piece, before it launches the graph.
	numbers  [][]int32
	values   []int32 // of all of them, each from a multiple of numberAlign on
	device   uintptr
	capacity int // of values, learned when the operations were done
	captured bool
}

// numberAlign is where labels and ids of different operands start, in elements: at lines of the L2 cache.
const numberAlign = 64

// Record captures the operations that f asks for. With FEWSHOT_CUDA_DEBUG they stay a list of calls, each waited for,
// so that an error is found with its kernel.
func (b *backend) Record(f func()) (tensor.Recording, error) {
	switch {
	case b.program != nil:
		panic("cuda: Record inside Record")
	case b.err != nil:
		return nil, b.err
	case b.debug:
		return nil, errors.ErrUnsupported
	}
	p := &program{b: b}
	if err := p.record(f); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *program) record(f func()) error {
	b := p.b
	b.program, b.scratch, p.scratch = p, p.scratch, b.scratch
	defer func() { b.program, b.scratch, p.scratch = nil, p.scratch, b.scratch }()
	f()
	if err := b.sync(); err != nil {
		return err
	}
	b.scratch.reset(b) // gives back what was outgrown, which cannot be done later
	p.values = make([]int32, 0, p.capacity)
	if p.capacity > 0 {
		var err error
		if p.device, err = b.dev.Alloc(4 * p.capacity); err != nil {
			return b.explain(err, 4*p.capacity)
		}
	}
	runtime.LockOSThread() // a capture belongs to a thread
	defer runtime.UnlockOSThread()
	p.captured = true
	var err error
	p.graph, err = b.dev.Capture(func() error {
		f()
		return b.err
	})
	if err != nil {
		// The capture is over and nothing of it was done. Whether the device is well is for the driver to say.
		b.err = nil
		b.fail("recording", b.dev.Sync())
	}
	return err
}

// noProgram panics while a program is recorded, of which op can be no part.
func (b *backend) noProgram(op string) {
	if b.program != nil {
		panic("cuda: " + op + " while a program is recorded: it would wait for the device")
	}
}

// number is where an integer operand of the operations being recorded is on the device; ok is false while they are
// done for the first time, when it goes the usual way.
func (p *program) number(v []int32) (at uint64, ok bool) {
	if !p.captured {
		p.capacity += numberAlign * parts(len(v), numberAlign)
		return 0, false
	}
	lo := len(p.values)
	hi := lo + numberAlign*parts(len(v), numberAlign)
	if hi > cap(p.values) {
		panic("cuda: Record: the function has other labels the second time")
	}
	p.numbers, p.values = append(p.numbers, v), p.values[:hi]
	return uint64(p.device) + 4*uint64(lo), true
}

// Run sends labels and ids through the staging ring, whose slots are not used again before they are copied, and
// launches the graph.
func (p *program) Run() {
	at := 0
	for _, v := range p.numbers {
		copy(p.values[at:], v)
		at += numberAlign * parts(len(v), numberAlign)
	}
	p.b.sendNumbers(p.device, p.values)
	if p.b.err == nil {
		p.b.fail("program", p.graph.Launch())
	}
}

// Close is called when nothing more will be run; the driver waits for what is under way.
func (p *program) Close() error {
	var errs []error
	if p.graph != nil {
		errs = append(errs, p.graph.Close())
	}
	if p.device != 0 {
		errs = append(errs, p.b.dev.Free(p.device))
	}
	return errors.Join(append(errs, p.scratch.close(p.b.dev))...)
}
