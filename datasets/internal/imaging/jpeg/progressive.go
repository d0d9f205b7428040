package jpeg

// The four kinds of scan of a progressive picture (ITU-T T.81, annex G). The first scan of a band sends the coefficients
// without their al lowest bits; each refining scan sends one bit more.

func dcFirst(s *scan, r *bitReader, i int, block *[64]int16) error {
	dc, err := s.dcDifference(r, i)
	block[0] = int16(dc << s.al)
	return err
}

func dcRefine(s *scan, r *bitReader, i int, block *[64]int16) error {
	block[0] |= int16(r.bits(1) << s.al)
	return nil
}

func acFirst(s *scan, r *bitReader, i int, block *[64]int16) error {
	if s.eobRun > 0 {
		s.eobRun--
		return nil
	}
	k := s.ss
	for k <= s.se {
		symbol, err := r.symbol(s.ac[i])
		if err != nil {
			return err
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run != 15 {
				// The band of this block and of eobRun blocks after it ends here.
				s.eobRun = 1<<run + r.bits(run) - 1
				return nil
			}
			k += 16
			continue
		}
		k += run
		block[zigzag[k]] = int16(extend(r.bits(size), size) << s.al)
		k++
	}
	if k > s.se+1 && !r.overrun() {
		return errBlockOverflow
	}
	return nil
}

// acRefine sends, in the order of the band, one correction bit for each coefficient that is not zero already, and in between
// the places and signs of those that become ±1<<al now.
func acRefine(s *scan, r *bitReader, i int, block *[64]int16) error {
	bit := int16(1) << s.al
	k := s.ss
	if s.eobRun == 0 {
		for k <= s.se {
			symbol, err := r.symbol(s.ac[i])
			if err != nil {
				return err
			}
			zeros, size := int(symbol>>4), int(symbol&15)
			var fresh int16
			if size == 0 {
				if zeros != 15 {
					s.eobRun = 1<<zeros + r.bits(zeros)
					break
				}
			} else {
				if size != 1 {
					return FormatError("newly non-zero coefficient of more than one bit in a refining scan")
				}
				fresh = -bit
				if r.bits(1) == 1 {
					fresh = bit
				}
			}
			// Skip that many zeros, correcting what is not zero on the way.
			for ; k <= s.se; k++ {
				c := &block[zigzag[k]]
				if *c != 0 {
					refine(r, c, bit)
					continue
				}
				if zeros == 0 {
					break
				}
				zeros--
			}
			if fresh != 0 {
				if k > s.se && !r.overrun() {
					return errBlockOverflow
				}
				block[zigzag[k]] = fresh
			}
			k++
		}
	}
	if s.eobRun > 0 {
		for ; k <= s.se; k++ {
			if c := &block[zigzag[k]]; *c != 0 {
				refine(r, c, bit)
			}
		}
		s.eobRun--
	}
	return nil
}

// refine reads a correction bit and moves c away from zero by it, unless the bit is there already.
func refine(r *bitReader, c *int16, bit int16) {
	if r.bits(1) == 0 || *c&bit != 0 {
		return
	}
	if *c >= 0 {
		*c += bit
	} else {
		*c -= bit
	}
}
