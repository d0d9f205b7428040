// Package pages is memory straight from the system, for tensors of many megabytes: it is given back when its owner says so and
// not when the garbage collector gets round to it, and on Linux it lies in huge pages where there are some, which spares
// products most of their misses in the translation of addresses.
package pages

import "unsafe"

// Least is the size, in bytes, from which on memory is worth pages of its own: that of a huge page. What Go has to hold instead lets
// its collector leave as much garbage lying about.
const Least = 2 << 20

// Memory is the blocks that one owner has: the mapping of each.
type Memory struct{ blocks map[unsafe.Pointer][]byte }

// Number is what blocks hold.
type Number interface {
	uint8 | uint16 | float32 | float64
}

// New is room for n zeros. Where the system gives none, or for less than Least, it is ordinary memory.
func New[T Number](m *Memory, n int) []T {
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	if size < Least {
		return make([]T, n)
	}
	b, mapping, err := take(size)
	if err != nil {
		return make([]T, n)
	}
	p := unsafe.Pointer(&b[0])
	if m.blocks == nil {
		m.blocks = map[unsafe.Pointer][]byte{}
	}
	m.blocks[p] = mapping
	return unsafe.Slice((*T)(p), n)
}

// Free gives x back, if New took it from the system. What was in it is gone: reading it ends the program.
func Free[T Number](m *Memory, x []T) {
	if len(x) == 0 {
		return
	}
	p := unsafe.Pointer(&x[0])
	if b, ok := m.blocks[p]; ok {
		delete(m.blocks, p)
		give(b)
	}
}

// Close gives everything back.
func (m *Memory) Close() {
	for p, b := range m.blocks {
		delete(m.blocks, p)
		give(b)
	}
}
