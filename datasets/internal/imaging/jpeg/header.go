package jpeg

import (
	"encoding/binary"
	"fmt"
)

func (d *decoder) defineQuantization(s []byte) error {
	for len(s) > 0 {
		wide, id := s[0]>>4, s[0]&15
		size := 64 << wide
		if wide > 1 || id > 3 || len(s) < 1+size {
			return FormatError("bad quantization table")
		}
		table := new([64]uint16)
		for i := range 64 {
			if wide == 1 {
				table[zigzag[i]] = binary.BigEndian.Uint16(s[1+2*i:])
			} else {
				table[zigzag[i]] = uint16(s[1+i])
			}
		}
		d.quant[id] = table
		s = s[1+size:]
	}
	return nil
}

func (d *decoder) defineHuffman(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return FormatError("short Huffman table")
		}
		class, id := s[0]>>4, s[0]&15
		counts := [16]byte(s[1:17])
		n := 0
		for _, c := range counts {
			n += int(c)
		}
		if class > 1 || id > 3 || n > 256 || len(s) < 17+n {
			return FormatError("bad Huffman table")
		}
		table, err := newHuffmanTable(class, counts, s[17:17+n])
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[id] = table
		} else {
			d.ac[id] = table
		}
		s = s[17+n:]
	}
	return nil
}

// frame reads a frame header (B.2.2).
func (d *decoder) frame(marker byte, s []byte) error {
	if d.components != nil {
		return FormatError("second frame header")
	}
	if len(s) < 6 || len(s) != 6+3*int(s[5]) {
		return FormatError("frame header of wrong length")
	}
	if s[0] != 8 {
		return UnsupportedError(fmt.Sprintf("%d-bit samples", s[0]))
	}
	d.height, d.width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	if d.width == 0 || d.height == 0 {
		return FormatError(fmt.Sprintf("picture of %dx%d pixels", d.width, d.height))
	}
	n := int(s[5])
	if n != 1 && n != 3 && n != 4 {
		return UnsupportedError(fmt.Sprintf("%d colour components", n))
	}
	d.progressive = marker == sof2
	components := make([]component, n)
	for i := range components {
		c := &components[i]
		t := s[6+3*i:]
		c.id, c.h, c.v, c.tq = t[0], int(t[1]>>4), int(t[1]&15), t[2]
		for _, other := range components[:i] {
			if other.id == c.id {
				return FormatError(fmt.Sprintf("two components with number %d", c.id))
			}
		}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3 {
			return FormatError("bad component in frame header")
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
	}
	d.mcuCols, d.mcuRows = ceilDiv(d.width, 8*d.hMax), ceilDiv(d.height, 8*d.vMax)
	for i := range components {
		c := &components[i]
		c.width, c.height = ceilDiv(d.width*c.h, d.hMax), ceilDiv(d.height*c.v, d.vMax)
		c.blocks, c.blockRows = d.mcuCols*c.h, d.mcuRows*c.v
		c.stride = 8 * c.blocks
		var ok bool
		if c.up, ok = chooseUpsampler(c, d.hMax, d.vMax); !ok {
			return UnsupportedError("sampling factors whose ratio is not whole")
		}
		for k := range c.sent {
			c.sent[k], c.before[k] = -1, -1
		}
	}
	d.components = components
	return nil
}

// scan reads a scan header (B.2.3) and the data after it.
func (d *decoder) scan(segment []byte) error {
	if d.components == nil {
		return FormatError("scan before the frame header")
	}
	if d.scans++; d.scans > maxScans {
		return FormatError(fmt.Sprintf("more than %d scans", maxScans))
	}
	s, err := d.scanHeader(segment)
	if err != nil {
		return err
	}
	if d.scans == 1 {
		d.buffered = d.progressive || len(s.components) < len(d.components)
		if d.buffered {
			for i := range d.components {
				c := &d.components[i]
				c.coefs = make([]int16, 64*c.blocks*c.blockRows)
			}
		} else {
			d.out = d.newRenderer()
		}
	}
	return d.decodeScan(s)
}

func (d *decoder) scanHeader(b []byte) (*scan, error) {
	if len(b) < 1 || b[0] < 1 || b[0] > 4 || len(b) != 4+2*int(b[0]) {
		return nil, FormatError("scan header of wrong length")
	}
	n := int(b[0])
	s := &scan{ss: int(b[1+2*n]), se: int(b[2+2*n]), ah: int(b[3+2*n] >> 4), al: int(b[3+2*n] & 15)}
	if !d.progressive {
		// libjpeg takes any band for the whole one here.
		s.ss, s.se, s.ah, s.al = 0, 63, 0, 0
	} else if s.ss > s.se || s.se > 63 || s.ss == 0 && s.se != 0 || s.ss > 0 && n > 1 || s.al > 13 ||
		s.ah != 0 && s.ah != s.al+1 {
		return nil, FormatError(fmt.Sprintf("impossible progressive scan %d-%d, bits %d-%d", s.ss, s.se, s.ah, s.al))
	}
	blocks := 0
	for i := range n {
		id, tables := b[1+2*i], b[2+2*i]
		c := d.component(id)
		if c == nil {
			return nil, FormatError(fmt.Sprintf("scan of component %d, which the frame lacks", id))
		}
		for _, other := range s.components {
			if other == c {
				return nil, FormatError(fmt.Sprintf("scan names component %d twice", id))
			}
		}
		s.components = append(s.components, c)
		blocks += c.h * c.v
		if err := d.prepare(s, c, tables); err != nil {
			return nil, err
		}
	}
	if n > 1 && blocks > 10 {
		return nil, FormatError("more than 10 blocks in an MCU")
	}
	return s, nil
}

func (d *decoder) component(id byte) *component {
	for i := range d.components {
		if d.components[i].id == id {
			return &d.components[i]
		}
	}
	return nil
}

// prepare fixes the tables of component c, the last one of s so far, and enters what the scan will send of it.
func (d *decoder) prepare(s *scan, c *component, tables byte) error {
	i := len(s.components) - 1
	dc, ac := tables>>4, tables&15
	if dc > 3 || ac > 3 {
		return FormatError("bad table number in scan header")
	}
	if !d.progressive {
		d.defaultTables()
	}
	s.dc[i], s.ac[i] = d.dc[dc], d.ac[ac]
	needDC := s.ss == 0 && s.ah == 0
	needAC := s.se > 0
	if needDC && s.dc[i] == nil || needAC && s.ac[i] == nil {
		return FormatError(fmt.Sprintf("component %d has no Huffman table", c.id))
	}
	if c.quant == nil {
		if c.quant = d.quant[c.tq]; c.quant == nil {
			return FormatError(fmt.Sprintf("component %d has no quantization table", c.id))
		}
	}
	if s.ss > 0 && c.sent[0] < 0 {
		return FormatError(fmt.Sprintf("component %d: progressive scan of AC before DC", c.id))
	}
	if c.before = c.sent; d.scans == 1 {
		c.before = [64]int{}
	}
	for k := s.ss; k <= s.se; k++ {
		if !d.progressive && c.sent[k] >= 0 {
			return FormatError(fmt.Sprintf("second scan of component %d", c.id))
		}
		if s.ah != max(c.sent[k], 0) {
			return FormatError(fmt.Sprintf("component %d, coefficient %d: progressive scans out of order", c.id, k))
		}
		c.sent[k] = s.al
	}
	return nil
}
