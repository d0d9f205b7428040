//go:build cuda

package cuda

import "fewshot/cuda/internal/driver"

// scratch is memory of the device's for partial results of one operation. It grows to what the largest one
// needs and stays: operations follow each other on the stream, so that one may reuse what the last one used.
// An operation that is done a second time finds all the memory it needs.
type scratch struct {
	p        uintptr
	size     int
	used     int
	held     int       // of used: what an operation that is made of others keeps meanwhile
	outgrown []uintptr // blocks that the operation under way may still use
}

// reset begins an operation, or one that another is made of.
func (s *scratch) reset(b *backend) {
	if s.used = s.held; s.held > 0 {
		return
	}
	for _, p := range s.outgrown {
		b.fail("memory", b.dev.Free(p))
	}
	s.outgrown = s.outgrown[:0]
}

// hold keeps what has been taken so far when operations begin that the one under way is made of, until letGo.
func (s *scratch) hold() { s.held = s.used }

func (s *scratch) letGo() { s.held = 0 }

// take is the next piece for the operation under way, aligned to 256 bytes.
func (s *scratch) take(b *backend, bytes int) uintptr {
	bytes = (bytes + 255) &^ 255
	if b.err != nil {
		return 0
	}
	if s.used+bytes > s.size {
		size := max(2*s.size, s.used+bytes, 1<<20)
		p, err := b.dev.Alloc(size)
		if err != nil {
			b.fail("memory", b.explain(err, size))
			return 0
		}
		if s.p != 0 {
			s.outgrown = append(s.outgrown, s.p)
		}
		*s = scratch{p: p, size: size, used: s.used, held: s.held, outgrown: s.outgrown}
	}
	s.used += bytes
	return s.p + uintptr(s.used-bytes)
}

func (s *scratch) close(d *driver.Device) (err error) {
	for _, p := range append(s.outgrown, s.p) {
		if e := error(nil); p != 0 {
			if e = d.Free(p); e != nil {
				err = e
			}
		}
	}
	*s = scratch{}
	return err
}
