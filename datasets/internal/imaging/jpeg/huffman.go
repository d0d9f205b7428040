package jpeg

import (
	"bytes"
	"sync"
)

// lookahead is how many bits one table access decodes. Codes of up to 9 bits are over 99 % of those of ordinary files, and
// most of their small coefficients come within the next bits.
const lookahead = 10

// huffmanTable decodes one canonical Huffman code with code lengths of 1 to 16 bits. Once made it is only read.
type huffmanTable struct {
	// short maps the next lookahead bits to length<<8 | symbol, or 0 where the code is longer.
	short [1 << lookahead]uint16
	// first, limit and offset serve the longer codes: the codes of length l are first[l] <= code < limit[l], and the symbol
	// of a code is symbols[offset[l] + code - first[l]].
	first, limit, offset [17]int32
	symbols              [256]byte
	// quick maps the next lookahead bits to a whole AC coefficient: value<<16 | run<<8 | length of code and value, or 0 where
	// these are longer or end the block.
	quick [1 << lookahead]int32
}

// newHuffmanTable is the table of a file. Most files have the standard's, which are made once: in a small picture
// making tables takes as long as all else.
func newHuffmanTable(class byte, counts [16]byte, symbols []byte) (*huffmanTable, error) {
	for i, s := range standard {
		switch {
		case class == 0 && counts == s.dcCounts && bytes.Equal(symbols, dcSymbols):
			return standardTables()[i].dc, nil
		case class == 1 && counts == s.acCounts && bytes.Equal(symbols, s.acSymbols):
			return standardTables()[i].ac, nil
		}
	}
	t := new(huffmanTable)
	return t, t.define(counts, symbols)
}

// define builds an empty table from the number of codes of each length (counts[0] of length 1) and the symbols in code order.
func (t *huffmanTable) define(counts [16]byte, symbols []byte) error {
	copy(t.symbols[:], symbols)
	code, k := int32(0), int32(0)
	for l := 1; l <= 16; l++ {
		n := int32(counts[l-1])
		t.first[l], t.limit[l], t.offset[l] = code, code+n, k
		// A code of all ones is reserved, so that the last code of each length stays below it.
		if n > 0 && code+n >= 1<<l {
			return FormatError("Huffman table has more codes than fit their lengths")
		}
		for i := range n {
			if l > lookahead {
				break
			}
			entry := uint16(l)<<8 | uint16(t.symbols[k+i])
			from := (code + i) << (lookahead - l)
			for j := range int32(1) << (lookahead - l) {
				t.short[from+j] = entry
			}
		}
		code = (code + n) << 1
		k += n
	}
	for i, e := range t.short {
		length, run, size := int(e>>8), int32(e>>4&15), int(e&15)
		if length == 0 || size == 0 || length+size > lookahead {
			continue
		}
		v := int32(i) >> (lookahead - length - size) & (1<<size - 1)
		t.quick[i] = extend(v, size)<<16 | run<<8 | int32(length+size)
	}
	return nil
}

// errBadCode is the error for bits that are no code of the table.
const errBadCode = FormatError("undefined Huffman code")

// symbol decodes one symbol. Where the code runs into the padding and is undefined, it is symbol 0 and 17 bits long, as in
// libjpeg.
func (r *bitReader) symbol(t *huffmanTable) (byte, error) {
	if r.n < 32 {
		r.fill()
	}
	if e := t.short[r.acc>>(64-lookahead)]; e != 0 {
		r.skip(int(e >> 8))
		return byte(e), nil
	}
	for l := lookahead + 1; l <= 16; l++ {
		code := int32(r.acc >> (64 - l))
		if code < t.limit[l] {
			r.skip(l)
			return t.symbols[t.offset[l]+code-t.first[l]], nil
		}
	}
	if r.n-16 < r.pad {
		r.skip(17)
		return 0, nil
	}
	return 0, errBadCode
}

// standardTables are those that ITU-T T.81, K.3 suggests for luma and chroma.
var standardTables = sync.OnceValue(func() (tables [len(standard)]struct{ dc, ac *huffmanTable }) {
	for i, s := range standard {
		t := &tables[i]
		t.dc, t.ac = new(huffmanTable), new(huffmanTable)
		for _, err := range []error{t.dc.define(s.dcCounts, dcSymbols), t.ac.define(s.acCounts, s.acSymbols)} {
			if err != nil {
				panic(err)
			}
		}
	}
	return tables
})

// defaultTables puts those where a sequential file defines none, as the pictures of Motion JPEG do.
func (d *decoder) defaultTables() {
	for i, t := range standardTables() {
		if d.dc[i] == nil {
			d.dc[i] = t.dc
		}
		if d.ac[i] == nil {
			d.ac[i] = t.ac
		}
	}
}

// dcSymbols are the symbols of both standard DC tables.
var dcSymbols = []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b")

// standard holds the number of codes of each length, and for AC the symbols in their order.
var standard = [2]struct {
	dcCounts, acCounts [16]byte
	acSymbols          []byte
}{
	{
		[16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0},
		[16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
		[]byte{
			0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
			0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
			0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
			0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
			0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
			0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
			0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
			0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
			0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
		},
	},
	{
		[16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0},
		[16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119},
		[]byte{
			0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
			0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
			0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
			0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
			0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
			0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
			0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
			0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
			0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
		},
	},
}
