//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"fewshot/cuda/internal/driver"
	"fewshot/tensor"
)

// backend is a GPU as tensor.Backend. All work goes to one stream, in the order of the calls.
type backend struct {
	dev     *driver.Device
	narrow  bool // Compute tensors are bfloat16
	debug   bool // wait after each launch, so that an error is found with its kernel
	kernels map[string]kernel
	err     error             // the first; nothing is queued after it
	held    int64             // bytes of tensors
	args    *[argWords]uint64 // of the launch under way; apart, as what C sees may hold no Go pointers
	staging staging
	scratch scratch
	program *program // being recorded
	words   []int32  // of the last Resample
}

type kernel struct {
	f        driver.Function
	argBytes uintptr
}

// argWords is room for the arguments of any kernel, where they need no memory of their own.
const argWords = 64

// threads is the size of blocks, of kernels that do not say otherwise.
const threads = 256

// pack and few are how many elements a thread takes at a time, in kernels of most families and of update.
const pack, few = 8, 4

// mem is an operand as kernels take it: struct Mem of common.cuh.
type mem struct {
	p    uint64
	n    int64
	bf16 int32
	_    int32
}

func at(b tensor.Buf) mem {
	m := mem{p: uint64(b.Ptr), n: int64(b.N)}
	if b.Size == 2 {
		m.bf16 = 1
	}
	return m
}

// floats is an operand of n float32 numbers.
func floats(p uintptr, n int) mem { return mem{p: uint64(p), n: int64(n)} }

// fail keeps the first error with the kernel's name, or that of the operation.
func (b *backend) fail(name string, err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s: %w", name, err)
	}
}

// grid is how a kernel is launched. Shared memory is beside what the kernel declares.
type grid struct{ blocks, threads, shared int }

// launch queues a kernel in blocks of the usual size; no blocks, no work.
func launch[T any](b *backend, name string, blocks int, args T) {
	launchOn(b, name, grid{blocks: blocks, threads: threads}, args)
}

// launchOn queues a kernel with its argument structure.
func launchOn[T any](b *backend, name string, g grid, args T) {
	if b.err != nil || g.blocks <= 0 {
		return
	}
	k, ok := b.kernels[name]
	switch size := unsafe.Sizeof(args); {
	case !ok:
		b.fail(name, errors.New("there is no such kernel"))
	case size != k.argBytes || size > unsafe.Sizeof(*b.args):
		b.fail(name, fmt.Errorf("its argument has %d bytes, not %d", k.argBytes, size))
	case g.blocks > math.MaxInt32:
		b.fail(name, fmt.Errorf("%d blocks are more than a launch may have", g.blocks))
	default:
		*(*T)(unsafe.Pointer(b.args)) = args
		b.fail(name, b.dev.Launch(k.f, g.blocks, g.threads, g.shared, unsafe.Pointer(b.args), size))
		if b.debug {
			b.fail(name, b.dev.Sync())
		}
	}
}

// parts is how many pieces of the given size n makes.
func parts(n, size int) int { return (n + size - 1) / size }

// packs is the number of blocks for n elements.
func packs(n int) int { return parts(n, threads*pack) }

// warps is the number of blocks where each of n rows has a warp.
func warps(n int) int { return parts(n, threads/32) }

// rowsOf is the number of rows in n elements.
func rowsOf(n, width int) int {
	if width == 0 {
		return 0
	}
	return n / width
}

func (b *backend) Sync() error {
	b.noProgram("Sync")
	return b.sync()
}

func (b *backend) sync() error {
	if b.err == nil {
		b.fail("the work queued so far, in which FEWSHOT_CUDA_DEBUG=1 finds the kernel", b.dev.Sync())
	}
	if b.err == nil {
		b.staging.idle()
	}
	return b.err
}

// Close returns errors of closing; the device's first error is Sync's.
func (b *backend) Close() error {
	return errors.Join(b.closeStaging(), b.scratch.close(b.dev), b.dev.Close())
}

func (b *backend) ElementSize(k tensor.Kind) int {
	if k == tensor.Compute && b.narrow {
		return 2
	}
	return 4
}

func (b *backend) Alloc(n int, k tensor.Kind) tensor.Buf {
	b.noProgram("Alloc")
	buf := tensor.Buf{Size: uint8(b.ElementSize(k)), N: n, Kind: k}
	bytes := max(n*int(buf.Size), 1)
	if b.err != nil {
		return buf
	}
	p, err := b.dev.Alloc(bytes)
	if err != nil {
		b.fail("memory", b.explain(err, bytes))
		return buf
	}
	buf.Ptr = p
	b.held += int64(bytes)
	return buf
}

// explain says of an allocation that does not fit what was asked, what is free, and who has the rest.
func (b *backend) explain(err error, bytes int) error {
	var e *driver.Error
	if !errors.As(err, &e) || e.Status != driver.OutOfMemory {
		return err
	}
	free, total, freeErr := b.dev.Available()
	if freeErr != nil {
		return errors.Join(err, freeErr)
	}
	return &tensor.OutOfMemory{Asked: int64(bytes), Free: free, Total: total, Held: b.held, Err: err}
}

// Free is only called for memory that nothing queued from now on uses; the driver waits for what is.
func (b *backend) Free(buf tensor.Buf) {
	b.noProgram("Free")
	if buf.Ptr == 0 {
		return
	}
	b.fail("memory", b.dev.Free(buf.Ptr))
	b.held -= int64(max(buf.N*int(buf.Size), 1))
}
