package tensor

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"fewshot/tensor/internal/bf16"
)

// Program is a sequence of operations that a device has recorded, with the memory they work in. Running it does
// them again, on what their operands hold by then, without any of the work of deciding what to do: nothing is
// allocated, and an accelerator may take the whole sequence in one piece.
//
// What makes one program is a function of tensors, lengths and constants. It must ask for the same operations
// whenever it is called, and must not read results: there are none while it is being recorded. Integer
// operands, as labels, are remembered as slices and read by each Run.
type Program struct {
	dev       *Device
	arena     Buf
	recording Recording
}

// Recording is a sequence of operations as a backend keeps it. Run queues them all; errors are the device's, kept
// for Sync.
type Recording interface {
	Run()
	Close() error
}

// Recorder is what a backend implements that has a form of its own for a sequence of operations, as a CUDA graph.
// Record keeps the operations that f asks for. It may call f more often than once, and may do them once first, to
// learn what they need; so what lies outside the program's memory may be read and overwritten by a program, but
// not added to. A backend without it, or one that returns errors.ErrUnsupported, is given a list of calls.
type Recorder interface {
	Record(f func()) (Recording, error)
}

// Record makes a program of what f asks for. All memory that f takes is laid out beforehand in one arena, by when
// each tensor is taken and given back; tensors that f leaves in its caller's hands are valid from the end of a Run
// to the next. f is called at least twice: to see what it needs, and to record it.
func (d *Device) Record(f func()) (*Program, error) {
	d.Trim() // what lies idle would not serve the program
	plan := d.plan(f)
	p := &Program{dev: d, arena: d.alloc(plan.bytes/plan.sizeOf(Full), Full)}
	plan.arena = &p.arena
	var err error
	if p.recording, err = d.record(plan, f); err != nil {
		d.free(p.arena)
		return nil, fmt.Errorf("recording: %w", err)
	}
	return p, nil
}

// Measure is how many bytes a program of f would take. Nothing is allocated or done.
func (d *Device) Measure(f func()) int64 { return int64(d.plan(f).bytes) }

// plan sees what f needs.
func (d *Device) plan(f func()) *layout {
	l := &layout{sizeOf: d.backend.ElementSize}
	d.during(&callList{Backend: d.backend}, l, f)
	l.place()
	return l
}

// record keeps the operations in the backend's own form, where it has one.
func (d *Device) record(l *layout, f func()) (Recording, error) {
	again := func(b Backend) {
		l.next = 0
		d.during(b, l, f)
		if l.next != len(l.requests) {
			panic("tensor: Record: the function took less memory the second time")
		}
	}
	if r, ok := d.backend.(Recorder); ok {
		rec, err := r.Record(func() { again(d.backend) })
		if !errors.Is(err, errors.ErrUnsupported) {
			return rec, err
		}
	}
	list := &callList{Backend: d.backend}
	again(list)
	return list, nil
}

// Calls reports whether programs of the device can [Device.Call] functions. Those that an accelerator takes in one piece cannot.
func (d *Device) Calls() bool {
	_, ok := d.backend.(Recorder)
	return !ok
}

// Call puts f into the program that is being recorded. Each Run calls it in its place, when all before it is done: it
// may read results, and ask for operations, which are done at once and take what memory they need from the device. The
// Run is over where f returns false. It is for devices that have [Device.Calls].
func (d *Device) Call(f func() bool) {
	rec, ok := d.backend.(interface{ call(func() bool) })
	if !ok {
		panic("tensor: Call outside Record, or on a device whose programs call no functions")
	}
	rec.call(f)
}

// Run does the recorded operations, in their order. As with any operation, Sync has their errors.
func (p *Program) Run() { p.recording.Run() }

// Bytes is the size of the program's memory.
func (p *Program) Bytes() int64 { return int64(p.arena.N) * int64(p.arena.Size) }

// Release gives the program's memory back. Tensors made while recording are dead.
func (p *Program) Release() error {
	err := p.recording.Close()
	p.dev.free(p.arena)
	return err
}

// during calls f while the device does its work by b and takes its memory from l.
func (d *Device) during(b Backend, l *layout, f func()) {
	if d.layout != nil {
		panic("tensor: Record inside Record")
	}
	was := d.backend
	d.backend, d.layout = b, l
	defer func() { d.backend, d.layout = was, nil }()
	f()
}

// A layout is where in an arena the tensors of a program lie. Without an arena yet it learns what is needed.
type layout struct {
	sizeOf   func(Kind) int // bytes an element
	arena    *Buf
	requests []request
	clock    int // counts what is taken and given back
	next     int // request to be served next
	bytes    int // of the arena
}

// request is the life of one tensor.
type request struct {
	poolKey
	bytes      int
	from, till int // clock when it is taken and given back
	offset     int // bytes into the arena
}

// arenaAlign is where in an arena tensors start: at lines of a GPU's L2 cache.
const arenaAlign = 256

// take is the next tensor's memory.
func (l *layout) take(k poolKey) *block {
	i := l.next
	l.next++
	if l.arena == nil {
		size := l.sizeOf(k.kind)
		l.clock++
		l.requests = append(l.requests, request{poolKey: k, bytes: (k.n*size + arenaAlign - 1) &^ (arenaAlign - 1), from: l.clock, till: math.MaxInt})
		return &block{buf: Buf{N: k.n, Kind: k.kind, Size: uint8(size)}, layout: l, request: i}
	}
	if i >= len(l.requests) || l.requests[i].poolKey != k {
		panic("tensor: Record: the function took other memory the second time")
	}
	return &block{buf: l.arena.carve(l.requests[i].offset, k.n, k.kind, l.sizeOf(k.kind)), layout: l, request: i}
}

// give notes that nobody holds a tensor any more.
func (l *layout) give(b *block) {
	if l.arena == nil {
		l.clock++
		l.requests[b.request].till = l.clock
	}
}

// place decides where everything lies, and so how many bytes that takes: the largest first, each as low as those
// allow whose lives overlap with its own.
func (l *layout) place() {
	order := make([]int, len(l.requests))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return l.requests[j].bytes - l.requests[i].bytes })
	var placed []*request // by offset
	for _, i := range order {
		r := &l.requests[i]
		for _, o := range placed {
			if o.from >= r.till || r.from >= o.till {
				continue
			}
			if o.offset >= r.offset+r.bytes {
				break
			}
			r.offset = max(r.offset, o.offset+o.bytes)
		}
		at, _ := slices.BinarySearchFunc(placed, r, func(a, b *request) int { return a.offset - b.offset })
		placed = slices.Insert(placed, at, r)
		l.bytes = max(l.bytes, r.offset+r.bytes)
	}
}

// carve is a piece of an arena, from a byte on.
func (b Buf) carve(offset, n int, k Kind, size int) Buf {
	piece := Buf{N: n, Kind: k, Size: uint8(size)}
	switch at := offset / size; {
	case b.F32 != nil && size == 2:
		piece.BF16 = bf16.Over(b.F32)[at : at+n : at+n]
	case b.F32 != nil:
		piece.F32 = b.F32[at : at+n : at+n]
	case b.F64 != nil:
		piece.F64 = b.F64[at : at+n : at+n]
	default:
		piece.Ptr = b.Ptr + uintptr(offset)
	}
	return piece
}
