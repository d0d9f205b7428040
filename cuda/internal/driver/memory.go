//go:build cuda

package driver

import (
	"unsafe"

	"github.com/mumax/3/cuda/cu"
)

// Alloc gives memory of the device, aligned to 256 bytes.
func (d *Device) Alloc(bytes int) (p uintptr, err error) {
	err = d.in("cuMemAlloc", func() { p = uintptr(cu.MemAlloc(int64(bytes))) })
	return p, err
}

// Free takes memory back. The driver waits for work that may still use it.
func (d *Device) Free(p uintptr) error {
	return d.in("cuMemFree", func() { cu.MemFree(cu.DevicePtr(p)) })
}

// Available is how much memory the device has left, and in all.
func (d *Device) Available() (free, total int64, err error) {
	err = d.in("cuMemGetInfo", func() { free, total = cu.MemGetInfo() })
	return free, total, err
}

// Pinned gives page-locked memory of the host's, the only kind from and to which copies may be queued.
func (d *Device) Pinned(bytes int) (b []byte, err error) {
	err = d.in("cuMemAllocHost", func() { b = unsafe.Slice((*byte)(cu.MemAllocHost(int64(bytes))), bytes) })
	return b, err
}

// Unpin gives page-locked memory back.
func (d *Device) Unpin(b []byte) error {
	return d.in("cuMemFreeHost", func() { cu.MemFreeHost(unsafe.Pointer(&b[0])) })
}

// In queues a copy of page-locked memory to the device.
func (d *Device) In(dst uintptr, src []byte) error {
	return d.in("cuMemcpyHtoDAsync", func() {
		cu.MemcpyHtoDAsync(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src)), cu.Stream(d.stream))
	})
}

// Out queues a copy to page-locked memory.
func (d *Device) Out(dst []byte, src uintptr) error {
	return d.in("cuMemcpyDtoHAsync", func() {
		cu.MemcpyDtoHAsync(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst)), cu.Stream(d.stream))
	})
}
