package pages

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// page is the size of the system's pages.
var page = unix.Getpagesize()

// mapping is size bytes, a multiple of huge pages that begins where one does; inHuge asks for such pages.
func mapping(size int, inHuge bool) (unsafe.Pointer, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size+huge), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	before := int(-uintptr(p) % huge)
	if before > 0 {
		give(p, before)
	}
	p = unsafe.Add(p, before)
	give(unsafe.Add(p, size), huge-before)
	if inHuge {
		_ = unix.Madvise(unsafe.Slice((*byte)(p), size), unix.MADV_HUGEPAGE) // a wish: without it the memory is as good, but slower
	}
	return p, nil
}

func give(p unsafe.Pointer, size int) {
	if err := unix.MunmapPtr(p, uintptr(size)); err != nil {
		panic("pages: " + err.Error())
	}
}
