package pages

import "golang.org/x/sys/unix"

func take(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err == nil {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a wish: without it the memory is as good, but slower
	}
	return b, err
}

func give(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic("pages: " + err.Error())
	}
}
