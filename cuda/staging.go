//go:build cuda

package cuda

import (
	"errors"
	"math"
	"unsafe"

	"fewshot/cuda/internal/driver"
	"fewshot/tensor"
)

// staging is page-locked memory through which everything enters and leaves the device. It is a ring of
// slots, each with as much memory of the device's: a slot is used again when its last copy is done, which is
// long past when the ring comes round.
type staging struct {
	slots []slot
	next  int
}

type slot struct {
	host   []byte
	device uintptr
	copied driver.Event // the last copy out of host
	busy   bool
}

const slotBytes, slotCount = 4 << 20, 8

func (b *backend) openStaging() error {
	for range slotCount {
		var s slot
		var err error
		if s.host, err = b.dev.Pinned(slotBytes); err != nil {
			return err
		}
		b.staging.slots = append(b.staging.slots, s)
		p := &b.staging.slots[len(b.staging.slots)-1]
		if p.device, err = b.dev.Alloc(slotBytes); err != nil {
			return b.explain(err, slotBytes)
		}
		if p.copied, err = b.dev.NewEvent(false); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) closeStaging() error {
	errs := []error{b.dev.Sync()}
	for _, s := range b.staging.slots {
		errs = append(errs, b.dev.DestroyEvent(s.copied), b.dev.Free(s.device), b.dev.Unpin(s.host))
	}
	b.staging = staging{}
	return errors.Join(errs...)
}

// idle is called when all work is done: no slot has to be waited for.
func (s *staging) idle() {
	for i := range s.slots {
		s.slots[i].busy = false
	}
}

// slot is the next one whose memory may be written.
func (b *backend) slot() (*slot, error) {
	s := &b.staging.slots[b.staging.next]
	b.staging.next = (b.staging.next + 1) % len(b.staging.slots)
	if s.busy {
		if err := b.dev.Wait(s.copied); err != nil {
			return nil, err
		}
		s.busy = false
	}
	return s, nil
}

// send queues a copy of the slot's first n bytes to the device.
func (b *backend) send(s *slot, dst uintptr, n int) error {
	if err := b.dev.In(dst, s.host[:n]); err != nil {
		return err
	}
	s.busy = true
	return b.dev.Record(s.copied)
}

// words views memory as elements of four bytes.
func words[T float32 | int32 | uint32](m []byte) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(&m[0])), len(m)/4)
}

// Upload copies by slots. Numbers that are kept narrow are rounded on the device.
func (b *backend) Upload(dst tensor.Buf, src []float32) {
	b.noProgram("Upload")
	const most = slotBytes / 4
	for lo := 0; lo < len(src) && b.err == nil; lo += most {
		part := src[lo:min(lo+most, len(src))]
		to := dst.Slice(lo, lo+len(part))
		s, err := b.slot()
		if err != nil {
			b.fail("upload", err)
			return
		}
		copy(words[float32](s.host), part)
		if to.Size == 4 {
			b.fail("upload", b.send(s, to.Ptr, 4*len(part)))
			continue
		}
		b.fail("upload", b.send(s, s.device, 4*len(part)))
		b.copy2D(at(to), floats(s.device, len(part)), 1, len(part), len(part), len(part))
	}
}

// Download waits for the device. After an error there are only NaN to read.
func (b *backend) Download(dst []float32, src tensor.Buf) {
	b.noProgram("Download")
	const most = slotBytes / 4
	for lo := 0; lo < len(dst); lo += most {
		part := dst[lo:min(lo+most, len(dst))]
		if !b.receive(part, src.Slice(lo, lo+len(part))) {
			for i := range part {
				part[i] = float32(math.NaN())
			}
		}
	}
}

// receive downloads what fits a slot, and reports whether it did.
func (b *backend) receive(dst []float32, src tensor.Buf) bool {
	if b.err != nil {
		return false
	}
	s, err := b.slot()
	if err != nil {
		b.fail("download", err)
		return false
	}
	from := src.Ptr
	if src.Size != 4 {
		from = s.device
		b.copy2D(floats(from, src.N), at(src), 1, src.N, src.N, src.N)
	}
	if b.err == nil {
		b.fail("download", b.dev.Out(s.host[:4*len(dst)], from))
	}
	if b.Sync() != nil {
		return false
	}
	copy(dst, words[float32](s.host))
	return true
}

// numbers hands labels or ids over and returns where they are on the device. They stay there until the ring
// has come round, by when the kernel that was queued for them has run.
func (b *backend) numbers(v []int32) uint64 {
	if b.err != nil || len(v) == 0 {
		return 0
	}
	if b.program != nil {
		if at, ok := b.program.number(v); ok {
			return at
		}
	}
	if 4*len(v) > slotBytes { // more than fit a slot
		p := b.scratch.take(b, 4*len(v))
		b.sendNumbers(p, v)
		return uint64(p)
	}
	s, err := b.slot()
	if err != nil {
		b.fail("labels", err)
		return 0
	}
	copy(words[int32](s.host), v)
	b.fail("labels", b.send(s, s.device, 4*len(v)))
	return uint64(s.device)
}

// sendNumbers queues a copy of numbers, by slots, to memory of the device's.
func (b *backend) sendNumbers(to uintptr, v []int32) {
	const most = slotBytes / 4
	for lo := 0; lo < len(v) && b.err == nil; lo += most {
		part := v[lo:min(lo+most, len(v))]
		s, err := b.slot()
		if err != nil {
			b.fail("labels", err)
			return
		}
		copy(words[int32](s.host), part)
		b.fail("labels", b.send(s, to+uintptr(4*lo), 4*len(part)))
	}
}
