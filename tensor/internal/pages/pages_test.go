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
	if x := New[uint16](&m, Least+1); runtime.GOOS == "linux" && uintptr(unsafe.Pointer(&x[0]))%Least != 0 {
		t.Error("memory does not begin with a huge page")
	}
	m.Close()
	if len(m.blocks) != 0 {
		t.Errorf("%d blocks are left", len(m.blocks))
	}
	m.Close()
}
