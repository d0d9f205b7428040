package rmt

import "fmt"

// A mask is sparse in zeros, and where they fall looks random, so it is kept as the gaps between them in a Rice
// code: a gap g of kept weights before a weight that is off becomes g>>k in unary (ones, then a zero bit) and the
// low k bits of g. At 2.5 % off that is within 1 % of the entropy. Bits fill bytes from the least significant up.
//
// The code is canonical: k is the smallest of the best parameters, no gap follows the last weight that is off, and
// the padding of the last byte is zero. Equal masks give equal bytes, and other bytes are refused.

// maxRice bounds k; a mask with one weight off in 2³² would want 31.
const maxRice = 31

// packBits is the raw form: bit i of the mask is bit i%8 of byte i/8, set where the weight is kept.
func packBits(keep []bool) []byte {
	b := make([]byte, (len(keep)+7)/8)
	for i, k := range keep {
		if k {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// unpackBits reads the raw form of a mask of n weights.
func unpackBits(b []byte, n int) ([]bool, error) {
	if len(b) != (n+7)/8 {
		return nil, fmt.Errorf("%d bytes for a raw mask of %d weights, want %d", len(b), n, (n+7)/8)
	}
	if r := n % 8; r != 0 && b[len(b)-1]>>r != 0 {
		return nil, fmt.Errorf("bits are set beyond the last of %d weights", n)
	}
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = b[i/8]>>(i%8)&1 != 0
	}
	return keep, nil
}

// riceCost is the length of a code in bits, for the parameter k.
func riceCost(gaps []int, k int) int {
	n := 0
	for _, g := range gaps {
		n += g>>k + 1 + k
	}
	return n
}

// gapsOf lists, for each weight that is off, how many kept ones precede it since the last.
func gapsOf(keep []bool) []int {
	var gaps []int
	last := -1
	for i, k := range keep {
		if !k {
			gaps = append(gaps, i-last-1)
			last = i
		}
	}
	return gaps
}

// riceEncode codes a mask by the parameter that makes the code shortest; off is the number of gaps in it.
func riceEncode(keep []bool) (code []byte, k, off int) {
	gaps := gapsOf(keep)
	k = riceParameter(gaps)
	return riceCode(gaps, k), k, len(gaps)
}

// riceParameter is the parameter of the shortest code, the least of equal ones.
func riceParameter(gaps []int) (k int) {
	best := riceCost(gaps, 0)
	for p := 1; p <= maxRice; p++ {
		if c := riceCost(gaps, p); c < best {
			k, best = p, c
		}
	}
	return k
}

// riceCode codes gaps with the parameter k.
func riceCode(gaps []int, k int) []byte {
	code := make([]byte, (riceCost(gaps, k)+7)/8)
	at := 0
	for _, g := range gaps {
		for range g >> k {
			code[at/8] |= 1 << (at % 8)
			at++
		}
		at++
		for j := range k {
			code[at/8] |= byte(g>>j&1) << (at % 8)
			at++
		}
	}
	return code
}

// riceDecode reads a mask of n weights, off of which are off. It accepts what riceEncode writes and nothing else.
func riceDecode(code []byte, k, off, n int) ([]bool, error) {
	if k < 0 || k > maxRice || off < 0 || off > n {
		return nil, fmt.Errorf("Rice parameter %d with %d of %d weights off makes no sense", k, off, n)
	}
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = true
	}
	total := 8 * len(code)
	at, i := 0, 0 // next bit of the code, next weight
	for z := range off {
		high := 0
		for at < total && code[at/8]>>(at%8)&1 != 0 {
			high++
			at++
			if high > (n-i)>>k {
				return nil, fmt.Errorf("gap %d of the Rice code runs past the last weight", z)
			}
		}
		at++
		if at+k > total {
			return nil, fmt.Errorf("the Rice code ends within gap %d of %d", z, off)
		}
		low := 0
		for j := range k {
			low |= int(code[at/8]>>(at%8)&1) << j
			at++
		}
		i += high<<k | low
		if i >= n {
			return nil, fmt.Errorf("gap %d of the Rice code runs past the last weight", z)
		}
		keep[i] = false
		i++
	}
	if len(code) != (at+7)/8 || at%8 != 0 && code[at/8]>>(at%8) != 0 {
		return nil, fmt.Errorf("%d bytes of Rice code, but the mask takes %d bits and zeros", len(code), at)
	}
	if best := riceParameter(gapsOf(keep)); best != k {
		return nil, fmt.Errorf("Rice parameter %d, but %d is shorter: not written by this program", k, best)
	}
	return keep, nil
}
