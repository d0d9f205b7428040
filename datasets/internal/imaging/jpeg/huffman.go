package jpeg

// lookahead is the length of the longest code that one table access decodes; 9 bits cover over 99 % of the symbols of
// ordinary files.
const lookahead = 9

// huffmanTable decodes one canonical Huffman code with code lengths of 1 to 16 bits.
type huffmanTable struct {
	defined bool
	// short maps the next lookahead bits to length<<8 | symbol, or 0 where the code is longer.
	short [1 << lookahead]uint16
	// first, limit and offset serve the longer codes: the codes of length l are first[l] <= code < limit[l], and the symbol
	// of a code is symbols[offset[l] + code - first[l]].
	first, limit, offset [17]int32
	symbols              [256]byte
}

// define builds the table from the number of codes of each length (counts[0] of length 1) and the symbols in code order.
func (t *huffmanTable) define(counts [16]byte, symbols []byte) error {
	*t = huffmanTable{defined: true}
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
