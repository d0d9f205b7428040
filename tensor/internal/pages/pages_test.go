package pages

import (
	"runtime"
	"testing"
	"unsafe"
)

func TestMemory(t *testing.T) {
	var m Memory
	defer m.Close()
	for _, n := range []int{0, 1, Least / 4, Least/4 + 1} {
		x, y := New[float32](&m, n), New[float32](&m, n)
		if len(x) != n || cap(x) != n {
			t.Fatalf("%d of %d numbers", len(x), n)
		}
		for i, v := range x {
			if v != 0 {
				t.Fatalf("number %d of fresh memory is %v", i, v)
			}
			x[i] = 1
		}
		for i, v := range y {
			if v != 0 {
				t.Fatalf("two blocks share number %d", i)
			}
		}
		Free(&m, x)
		if n > 0 {
			y[n-1] = 2 // still there
		}
	}
	m.Close()
	if len(m.blocks)+len(m.rooms) != 0 {
		t.Errorf("%d blocks and %d rooms are left", len(m.blocks), len(m.rooms))
	}
	m.Close()
}

// TestBlocksShareMappings has the blocks of a model one behind the other, each of whole pages, in mappings that begin with a huge page.
func TestBlocksShareMappings(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is Go's")
	}
	var m Memory
	defer m.Close()
	at := func(x []byte) uintptr { return uintptr(unsafe.Pointer(&x[0])) }
	first := New[byte](&m, Least+1)
	second := New[byte](&m, 3*Least)
	if at(first)%huge != 0 || at(second) != at(first)+uintptr(up(Least+1, page)) {
		t.Errorf("blocks of one mapping begin at %#x and %#x", at(first), at(second))
	}
	second[0], second[3*Least-1] = 1, 2
	Free(&m, first)
	if third := New[byte](&m, firstMapping-up(Least+1, page)-3*Least); at(third) != at(second)+3*Least {
		t.Errorf("the rest of a mapping, at %#x, is not at its end, %#x", at(third), at(second)+3*Least)
	}
	if len(m.rooms) != 0 || second[0] != 1 || second[3*Least-1] != 2 {
		t.Errorf("%d rooms, %d, %d", len(m.rooms), second[0], second[3*Least-1])
	}
	New[byte](&m, huge) // too large for another as the first
	if m.mapped != 2*firstMapping {
		t.Errorf("the second mapping has %d bytes", m.mapped)
	}
	large := New[byte](&m, mostMapping/2+1) // of a mapping of its own, whose last huge page has room
	if at(large)%huge != 0 || m.mapped != 2*firstMapping || len(m.rooms) != 2 || m.rooms[1].size >= huge {
		t.Errorf("a large block begins at %#x; mappings of %d bytes, rooms %v", at(large), m.mapped, m.rooms)
	}
}
