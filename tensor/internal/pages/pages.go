// Package pages is memory straight from the system, for tensors: it is given back when its owner says so and not when
// the garbage collector gets round to it, and on Linux it lies in huge pages where there are some, which spares
// products most of their misses in the translation of addresses. Blocks are cut from larger mappings, one behind the
// other, as the ends of blocks with mappings of their own would lie in small pages: opening ViT-B/32 meets 8,000 page
// faults so, where it met 24,000.
package pages

import (
	"encoding/binary"
	"unsafe"
)

// Least is the size, in bytes, from which on blocks are the system's memory. What Go has to hold instead lets its
// collector leave as much garbage lying about.
const Least = 256 << 10

// huge is the size of a huge page.
const huge = 2 << 20

// Mappings that blocks are cut from: the first of an owner, and how far they double. What is not used of them is
// addresses, not memory. The first is of small pages, and blocks of a huge page or more are not in it: who needs little
// is not to hold a huge page for it.
const (
	firstMapping = 2 * huge
	mostMapping  = 256 << 20
)

// Memory is what one owner has of the system.
type Memory struct {
	blocks map[unsafe.Pointer]int // bytes of each block, in whole pages
	rooms  []room                 // where blocks are cut from
	mapped int                    // bytes of the last mapping that holds several
}

// A room is what is left of a mapping.
type room struct {
	at   unsafe.Pointer
	size int
}

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
	p, err := m.take(up(size, page))
	if err != nil {
		return make([]T, n)
	}
	return unsafe.Slice((*T)(p), n)
}

// up is the least multiple of unit, a power of two, that is no less than size.
func up(size, unit int) int { return (size + unit - 1) &^ (unit - 1) }

// take cuts a block of whole pages from the first room that has it, or from a new one.
func (m *Memory) take(size int) (unsafe.Pointer, error) {
	at := 0
	for at < len(m.rooms) && m.rooms[at].size < size {
		at++
	}
	if at == len(m.rooms) {
		next := min(max(2*m.mapped, firstMapping), mostMapping)
		for next <= 2*size {
			next *= 2
		}
		if next <= mostMapping {
			m.mapped = next
		} else { // the end of its last huge page alone is left of it
			next = up(size, huge)
		}
		p, err := mapping(next, next > firstMapping)
		if err != nil {
			return nil, err
		}
		m.rooms = append(m.rooms, room{p, next})
	}
	r := &m.rooms[at]
	p := r.at
	r.at, r.size = unsafe.Add(r.at, size), r.size-size
	if r.size < Least {
		if r.size > 0 {
			give(r.at, r.size)
		}
		m.rooms = append(m.rooms[:at], m.rooms[at+1:]...)
	}
	if m.blocks == nil {
		m.blocks = map[unsafe.Pointer]int{}
	}
	m.blocks[p] = size
	return p, nil
}

// Free gives x back, if New took it from the system. What was in it is gone: reading it ends the program.
func Free[T Number](m *Memory, x []T) {
	if len(x) == 0 {
		return
	}
	p := unsafe.Pointer(&x[0])
	if size, ok := m.blocks[p]; ok {
		delete(m.blocks, p)
		give(p, size)
	}
}

// Close gives everything back.
func (m *Memory) Close() {
	for p, size := range m.blocks {
		give(p, size)
	}
	for _, r := range m.rooms {
		give(r.at, r.size)
	}
	*m = Memory{}
}

// little is whether the machine keeps the lowest byte of a number first.
var little = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Bytes is the memory of x, the lowest byte of each number first; nil where machines have them in the other order, and of no numbers.
func Bytes(x []float32) []byte {
	if len(x) == 0 || !little {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}
