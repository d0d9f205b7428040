package jpeg

import "fmt"

// zigzag maps the position of a coefficient in the file to its natural (row-major) position. A run of zeros may lead up to 16
// positions past the end of the block; those entries catch it without a check per coefficient.
var zigzag = [128]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
	63, 63, 63, 63, 63, 63, 63, 63,
	63, 63, 63, 63, 63, 63, 63, 63,
	// No position is here; 128 entries need no check of seven bits.
}

// scan is the part of a picture that follows one start-of-scan marker.
type scan struct {
	components []*component
	dc, ac     [4]*huffmanTable // by position in components
	// The band and the bit positions of a progressive scan (ITU-T T.81, G.1.1.1): coefficients ss to se, of which bit al is
	// sent, after bits above ah have been sent. Sequential scans have 0, 63, 0, 0.
	ss, se, ah, al int

	eobRun int32 // progressive: blocks left whose band is all zero
	flat   bool  // sequential: the last block has no AC coefficients
}

// blockDecoder decodes the part of block that the scan holds.
type blockDecoder func(s *scan, r *bitReader, i int, block *[64]int16) error

// errBlockOverflow is the error for a run of zeros that leads out of the block.
const errBlockOverflow = FormatError("run of zeros past the end of a block")

// decodeScan reads the entropy-coded data of a scan. If the picture is not buffered, its blocks are transformed at once and
// its rows rendered; otherwise coefficients are collected in the components for the scans to come.
func (d *decoder) decodeScan(s *scan) error {
	decode := d.blockDecoder(s)
	r := &d.bits
	r.reset()
	for _, c := range s.components {
		c.pred = 0
	}

	// A scan of one component goes over its own blocks; one of several goes over MCUs of h×v blocks of each.
	interleaved := len(s.components) > 1
	cols, rows := d.mcuCols, d.mcuRows
	if !interleaved {
		cols, rows = ceilDiv(s.components[0].width, 8), ceilDiv(s.components[0].height, 8)
	}

	mcuRow := func(y int) int { return y } // of a row of MCUs of this scan
	if !interleaved {
		v := s.components[0].v
		mcuRow = func(y int) int { return y / v }
	}

	exhausted := false
	var buffer [64]int16
	for mcu := range cols * rows {
		if d.restartInterval > 0 && mcu > 0 && mcu%d.restartInterval == 0 {
			found, err := d.restart(mcu/d.restartInterval - 1)
			if err != nil {
				return err
			}
			s.eobRun = 0
			for _, c := range s.components {
				c.pred = 0
			}
			exhausted = exhausted && !found
		}
		x, y := mcu%cols, mcu/cols
		if !exhausted {
			d.lastGood = mcuRow(y)
		}
		for i, c := range s.components {
			h, v := c.h, c.v
			if !interleaved {
				h, v = 1, 1
			}
			for j := range h * v {
				bx, by := x*h+j%h, y*v+j/h
				block := &buffer
				if d.buffered {
					block = (*[64]int16)(c.coefs[64*(by*c.blocks+bx):])
				} else {
					buffer = [64]int16{}
				}
				if !exhausted {
					if err := decode(s, r, i, block); err != nil {
						return err
					}
				}
				switch {
				case d.buffered:
				case s.flat || exhausted:
					c.fill(bx, by, block[0])
				default:
					c.transform(bx, by, block)
				}
			}
		}
		if x == cols-1 && !d.buffered {
			d.out.mcuRow(y)
		}
		if !exhausted && r.overrun() {
			if r.atEnd() {
				return errTruncated
			}
			if mcu == 0 {
				return FormatError("scan without data")
			}
			exhausted = true
			d.warning = fmt.Sprintf("image data ends early, after %d of %d units; the rest is filled up as libjpeg does",
				mcu, cols*rows)
		}
	}
	d.whole = !d.buffered && !exhausted && r.left() >= enoughAfter
	return nil
}

// enoughAfter is how many bytes after a picture without an end marker let libjpeg, which reads ahead, reach its last row.
const enoughAfter = 16

// left is how many bytes follow those that bits were taken from.
func (r *bitReader) left() int { return len(r.data) - r.pos + max(r.n-r.pad, 0)/8 }

// atEnd reports whether the file ends here, be it within a marker.
func (r *bitReader) atEnd() bool {
	for _, b := range r.data[r.pos:] {
		if b != 0xFF {
			return false
		}
	}
	return true
}

// restart looks for restart marker number n modulo 8. Where another kind of marker stands, the data has ended early; it is
// left alone and found is false.
func (d *decoder) restart(n int) (found bool, err error) {
	d.bits.reset()
	marker, at, err := d.nextMarker()
	if err != nil {
		return false, err
	}
	want := byte(rst0 + n%8)
	switch {
	case marker == want:
		return true, nil
	case rst0 <= marker && marker <= rst7:
		return false, FormatError(fmt.Sprintf("restart marker %d where %d is due", marker-rst0, want-rst0))
	}
	d.bits.pos = at
	return false, nil
}

func (d *decoder) blockDecoder(s *scan) blockDecoder {
	switch {
	case !d.progressive:
		return sequentialBlock
	case s.ss == 0 && s.ah == 0:
		return dcFirst
	case s.ss == 0:
		return dcRefine
	case s.ah == 0:
		return acFirst
	}
	return acRefine
}

// dcDifference decodes the DC coefficient, which is coded as the difference to the last block of the component.
func (s *scan) dcDifference(r *bitReader, i int) (int32, error) {
	size, err := r.symbol(s.dc[i])
	if err != nil {
		return 0, err
	}
	if size > 15 {
		return 0, FormatError(fmt.Sprintf("DC difference of %d bits", size))
	}
	c := s.components[i]
	c.pred += extend(r.bits(int(size)), int(size))
	return c.pred, nil
}

// sequentialBlock keeps the reader's bits in variables of its own: most of a picture's time is spent here.
func sequentialBlock(s *scan, r *bitReader, i int, block *[64]int16) error {
	dc, err := s.dcDifference(r, i)
	if err != nil {
		return err
	}
	block[0] = int16(dc)
	table := s.ac[i]
	acc, n := r.acc, r.n
	k := 1
	for k < 64 {
		// One refill covers the code and the bits after it.
		if n < 32 {
			if x, ok := r.word(); ok {
				// As fill does, without a call: four bytes always fit.
				acc |= x >> 32 << 32 >> n
				n += 32
				r.pos += 4
			} else {
				r.acc, r.n = acc, n
				r.fill()
				acc, n = r.acc, r.n
			}
		}
		if e := table.quick[acc>>(64-lookahead)]; e != 0 {
			length := int(e & 0xFF)
			k += int(e >> 8 & 0xFF)
			block[zigzag[k&127]&63] = int16(e >> 16)
			acc <<= length & 63
			n -= length
			k++
			continue
		}
		var symbol byte
		if e := table.short[acc>>(64-lookahead)]; e != 0 {
			length := int(e >> 8)
			acc <<= length & 63
			n -= length
			symbol = byte(e)
		} else {
			r.acc, r.n = acc, n
			if symbol, err = r.symbol(table); err != nil {
				return err
			}
			acc, n = r.acc, r.n
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run != 15 {
				break // end of block
			}
			k += 16
			continue
		}
		k += run
		block[zigzag[k&127]&63] = int16(extend(int32(acc>>(64-size)), size))
		acc <<= size
		n -= size
		k++
	}
	r.acc, r.n = acc, n
	s.flat = k == 1
	if k > 64 && !r.overrun() {
		return errBlockOverflow
	}
	return nil
}
