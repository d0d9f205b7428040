package simd

import (
	"sync"

	"fewshot/tensor/internal/pages"
)

// free is a list of objects that nobody uses, with memory as large as it ever was. They are as many as
// were ever in use at once: unlike with sync.Pool, a loop that has run once does not allocate again.
type free[T any] struct {
	mu   sync.Mutex
	list []*T
}

func (f *free[T]) take() *T {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.list)
	if n == 0 {
		return new(T)
	}
	x := f.list[n-1]
	f.list = f.list[:n-1]
	return x
}

func (f *free[T]) give(x *T) {
	f.mu.Lock()
	f.list = append(f.list, x)
	f.mu.Unlock()
}

// scratch is memory in large pages for what is packed, in steps of many kilobytes, and read over and over.
var scratch struct {
	mu sync.Mutex
	pages.Memory
}

// release gives memory from grow back.
func release[T float32 | uint16](s []T) {
	scratch.mu.Lock()
	defer scratch.mu.Unlock()
	pages.Free(&scratch.Memory, s[:cap(s)])
}

// grow returns s with at least n elements; what they hold is lost, and s must not be used any more.
func grow[T float32 | uint16](s []T, n int) []T {
	if cap(s) >= n {
		return s[:cap(s)]
	}
	release(s)
	scratch.mu.Lock()
	defer scratch.mu.Unlock()
	return pages.New[T](&scratch.Memory, n+n/8)
}
