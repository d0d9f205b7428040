package tensor

import (
	"fmt"
	"slices"
	"strings"

	"fewshot/tensor/internal/simd"
)

// Options are what a device is opened with. The zero value means the device's defaults.
type Options struct {
	Workers   int    // worker threads of a host device; 0 means one a core. Results do not depend on it.
	Precision string // number format of Compute tensors: "float32" (default) or what the device offers, as "bf16", or "int8" for products (see [Quantize])
	Strassen  bool   // large products in float32 by Strassen's algorithm, where the device has it: faster where [StrassenPays], with larger errors of rounding
	Poison    bool   // fill memory with NaN before it is handed out, so that tests see what was never written
}

// Device is an opened backend and its pool of memory. It is for one goroutine at a time; several
// devices may be used at once.
type Device struct {
	name      string
	precision string
	backend   Backend
	pool      pool
	poison    bool
	layout    *layout // where memory comes from while a program is recorded
	held      int64   // bytes
	peak      int64
	out       []float32 // on its way out, see ReadFloat64s
}

var registry = map[string]func(arg string, o Options) (Backend, error){}

// Register makes a kind of device known, from its package's init; Open("name") and Open("name:arg")
// then reach it. It is the only registry of the program.
func Register(name string, open func(arg string, o Options) (Backend, error)) {
	if _, dup := registry[name]; dup {
		panic("tensor: device " + name + " registered twice")
	}
	registry[name] = open
}

// Devices lists the kinds of device this binary knows, sorted.
func Devices() []string {
	var names []string
	for n := range registry {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Open opens a device: "cpu", "ref" (float64, the oracle of gradient checks), and "cuda:0" in
// binaries built with that tag.
func Open(name string, o Options) (*Device, error) {
	kind, arg, _ := strings.Cut(name, ":")
	open := registry[kind]
	if open == nil {
		if kind == "cuda" {
			return nil, fmt.Errorf("device %q: this binary was built without CUDA; build with -tags cuda", name)
		}
		return nil, fmt.Errorf("device %q is not known; this binary has %s", name, strings.Join(Devices(), ", "))
	}
	b, err := open(arg, o)
	if err != nil {
		return nil, fmt.Errorf("device %q: %w", name, err)
	}
	return &Device{name: name, precision: o.Precision, backend: b, poison: o.Poison, pool: pool{free: map[poolKey][]*block{}}}, nil
}

// Name is what the device was opened as.
func (d *Device) Name() string { return d.name }

// Describe names the hardware and the kernels in use, for result files and bug reports.
func (d *Device) Describe() string { return d.backend.Describe() }

// Backend gives access to what is not behind a checked entry point.
func (d *Device) Backend() Backend { return d.backend }

// Sync waits for all work and returns the device's first error.
func (d *Device) Sync() error { return d.backend.Sync() }

// Close gives all resources back.
func (d *Device) Close() error { return d.backend.Close() }

// New makes a tensor held once, its values undefined. The memory comes from the pool where a block of
// just this size is free: a step that repeats allocates nothing.
func (d *Device) New(k Kind, shape ...int) *Tensor {
	key := poolKey{k, Len(shape)}
	var b *block
	if d.layout != nil {
		b = d.layout.take(key)
	} else if b = d.pool.get(key); b == nil {
		b = &block{buf: d.alloc(key.n, k)}
	}
	b.refs = 1
	if d.poison {
		d.backend.Fill(b.buf, nan)
	}
	return &Tensor{dev: d, shape: slices.Clone(shape), buf: b.buf, block: b}
}

// Zeros is New with all elements 0.
func (d *Device) Zeros(k Kind, shape ...int) *Tensor {
	t := d.New(k, shape...)
	Fill(t, 0)
	return t
}

// From makes a Full tensor of the given values.
func (d *Device) From(v []float32, shape ...int) *Tensor {
	t := d.New(Full, shape...)
	t.Set(v)
	return t
}

// alloc takes memory from the backend.
func (d *Device) alloc(n int, k Kind) Buf {
	b := d.backend.Alloc(n, k)
	d.hold(int64(n) * int64(b.Size))
	return b
}

// hold counts bytes that are taken from the backend, or with a minus those given back.
func (d *Device) hold(bytes int64) {
	d.held += bytes
	d.peak = max(d.peak, d.held)
}

// free gives it back.
func (d *Device) free(b Buf) {
	d.hold(-int64(b.N) * int64(b.Size))
	d.backend.Free(b)
}

// BiasKind is the kind of which Gemm takes a bias as it is. Of another it may have to be converted in every product.
func (d *Device) BiasKind() Kind {
	if b, ok := d.backend.(interface{ BiasKind() Kind }); ok {
		return b.BiasKind()
	}
	return Full
}

// StrassenPays reports whether products on "cpu" gain by Options.Strassen with this machine's kernels: a table by
// kernels says so, and no timing, as results depend on it.
func StrassenPays() bool { return simd.StrassenPays() }

// Kernels says what kind of kernels the device computes with, as "amd64 avx512". Results depend on it, as each kind rounds in an order
// of its own; on the same kind they are the same to the bit.
func (d *Device) Kernels() string { return d.backend.Kernels() }

// Precision is the number format of Compute tensors that the device was opened with, as "float32".
func (d *Device) Precision() string {
	if d.precision == "" {
		return "float32"
	}
	return d.precision
}

// Strassen reports whether the device computes large products by Strassen's algorithm.
func (d *Device) Strassen() bool {
	s, ok := d.backend.(interface{ Strassen() bool })
	return ok && s.Strassen()
}

// OwnMemory is the size in bytes of the memory that the device has to itself; 0 where it works in the process's.
func (d *Device) OwnMemory() int64 {
	if m, ok := d.backend.(interface{ OwnMemory() int64 }); ok {
		return m.OwnMemory()
	}
	return 0
}

// PeakBytes is the most memory the device has held for tensors and pictures, pooled blocks and programs included.
func (d *Device) PeakBytes() int64 { return d.peak }

// LiveBytes is the memory of tensors that somebody holds, and of pictures and programs: all that the device holds but for the pool's.
func (d *Device) LiveBytes() int64 {
	live := d.held
	for _, l := range d.pool.free {
		for _, b := range l {
			live -= int64(b.buf.N) * int64(b.buf.Size)
		}
	}
	return live
}

// Trim gives pooled blocks that nobody holds back to the system.
func (d *Device) Trim() {
	for k, l := range d.pool.free {
		for _, b := range l {
			d.free(b.buf)
		}
		delete(d.pool.free, k)
	}
}

// pool keeps free blocks by exact size: the shapes of a training step repeat, so nothing is ever split.
type pool struct{ free map[poolKey][]*block }

type poolKey struct {
	kind Kind
	n    int
}

func (p *pool) get(k poolKey) *block {
	l := p.free[k]
	if len(l) == 0 {
		return nil
	}
	b := l[len(l)-1]
	p.free[k] = l[:len(l)-1]
	return b
}

func (p *pool) put(b *block) {
	k := poolKey{b.buf.Kind, b.buf.N}
	p.free[k] = append(p.free[k], b)
}
