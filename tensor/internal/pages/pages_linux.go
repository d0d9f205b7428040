package pages

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// take is size bytes that begin where a huge page does, and the mapping that they are in: what lies before them is never touched, and so
// is no memory. Left to itself the system puts what is no multiple of huge pages anywhere, and ends of tensors in small ones.
func take(size int) (b, mapping []byte, err error) {
	mapping, err = unix.Mmap(-1, 0, size+Least, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	before := -uintptr(unsafe.Pointer(&mapping[0])) % Least
	b = mapping[before:][:size:size]
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a wish: without it the memory is as good, but slower
	return b, mapping, nil
}

func give(mapping []byte) {
	if err := unix.Munmap(mapping); err != nil {
		panic("pages: " + err.Error())
	}
}
