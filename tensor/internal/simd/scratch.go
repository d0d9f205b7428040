package simd

import "sync"

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

// grow returns s with at least n elements; what they hold is lost.
func grow[T float32 | uint16](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n+n/8)
	}
	return s[:cap(s)]
}
