package jpeg

import "encoding/binary"

// bitReader reads entropy-coded data, in which a 0xFF byte is written as FF 00 and any other byte after 0xFF is a marker.
//
// It never crosses a marker. Past one, or past the end of the data, it gives zero bits, as libjpeg does, and counts them in
// pad; whether any of them was used is asked once per MCU by overrun.
type bitReader struct {
	data []byte
	pos  int    // the next byte that is not in acc
	acc  uint64 // the unread bits, left-aligned; below them zeros
	n    int    // how many bits of acc are unread, padding included
	pad  int    // how many bits of padding were ever appended
}

// reset discards the bits read ahead, as the start of a scan and every restart marker ask.
func (r *bitReader) reset() { r.acc, r.n, r.pad = 0, 0, 0 }

// overrun reports whether padding has been consumed.
func (r *bitReader) overrun() bool { return r.n < r.pad }

// fill makes at least 56 bits available.
func (r *bitReader) fill() {
	if x, ok := r.word(); ok {
		whole := (63 - r.n) >> 3 // bytes
		keep := 8 * whole
		r.acc |= x >> (64 - keep) << (64 - keep) >> r.n
		r.n += keep
		r.pos += whole
		return
	}
	for r.n <= 56 {
		b, next := r.nextByte()
		if next == r.pos {
			r.pad += 64 - r.n
			r.n = 64
			return
		}
		r.pos = next
		r.acc |= uint64(b) << (56 - r.n)
		r.n += 8
	}
}

// word gives the next eight bytes if there are as many and none of them is 0xFF: x has such a byte exactly if ^x has a zero
// byte, which borrows into its top bit.
func (r *bitReader) word() (x uint64, ok bool) {
	if r.pos+8 > len(r.data) || r.pad > 0 {
		return 0, false
	}
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	x = binary.BigEndian.Uint64(r.data[r.pos:])
	return x, (^x-ones)&x&tops == 0
}

// nextByte gives the next byte of data and the position after it, or the present position if a marker or the end is there.
// Any number of 0xFF may precede the 00 or the marker code.
func (r *bitReader) nextByte() (b byte, next int) {
	p := r.pos
	if p >= len(r.data) {
		return 0, r.pos
	}
	b = r.data[p]
	p++
	if b != 0xFF {
		return b, p
	}
	for p < len(r.data) && r.data[p] == 0xFF {
		p++
	}
	if p < len(r.data) && r.data[p] == 0 {
		return 0xFF, p + 1
	}
	return 0, r.pos
}

// skip consumes k bits that are available.
func (r *bitReader) skip(k int) {
	r.acc <<= k
	r.n -= k
}

// bits reads k bits, 0 <= k <= 16.
func (r *bitReader) bits(k int) int32 {
	if r.n < k {
		r.fill()
	}
	v := int32(r.acc >> (64 - k))
	r.skip(k)
	return v
}

// extend gives the signed number of magnitude category k, 0 <= k <= 16, whose k bits are v (ITU-T T.81, F.2.2.1): those that
// begin with 0 are negative, counted from 1-2^k up.
func extend(v int32, k int) int32 {
	if v < 1<<k>>1 {
		v += -1<<k + 1
	}
	return v
}
