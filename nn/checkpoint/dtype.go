package checkpoint

import (
	"encoding/binary"
	"math"

	"fewshot/nn/checkpoint/internal/widen"
)

// A DType is how a file stores a tensor's elements. All are little-endian.
type DType uint8

const (
	F64  DType = iota + 1 // IEEE 754 binary64
	F32                   // IEEE 754 binary32
	F16                   // IEEE 754 binary16
	BF16                  // the upper half of a binary32
	I64
	I32
	I16
	I8
	U64
	U32
	U16
	U8
	Bool // one byte, 0 or 1
)

// dtypes holds, for each DType, the name safetensors gives it, its size in
// bytes, and the class torch gives its storages ("" where it has none).
var dtypes = [...]struct {
	name    string
	size    int
	storage string
}{
	F64:  {"F64", 8, "DoubleStorage"},
	F32:  {"F32", 4, "FloatStorage"},
	F16:  {"F16", 2, "HalfStorage"},
	BF16: {"BF16", 2, "BFloat16Storage"},
	I64:  {"I64", 8, "LongStorage"},
	I32:  {"I32", 4, "IntStorage"},
	I16:  {"I16", 2, "ShortStorage"},
	I8:   {"I8", 1, "CharStorage"},
	U64:  {"U64", 8, ""},
	U32:  {"U32", 4, ""},
	U16:  {"U16", 2, ""},
	U8:   {"U8", 1, "ByteStorage"},
	Bool: {"BOOL", 1, "BoolStorage"},
}

func (d DType) valid() bool { return d > 0 && int(d) < len(dtypes) }

// String is the name used in safetensors headers: "F32", "BF16", "BOOL".
func (d DType) String() string {
	if !d.valid() {
		return "invalid"
	}
	return dtypes[d].name
}

// Size is the number of bytes of one element.
func (d DType) Size() int {
	if !d.valid() {
		return 0
	}
	return dtypes[d].size
}

// Float says whether [File.Read] can widen the type to float32.
func (d DType) Float() bool { return d >= F64 && d <= BF16 }

func parseDType(name string) (DType, bool) {
	for d := F64; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, true
		}
	}
	return 0, false
}

func storageDType(class string) (DType, bool) {
	for d := F64; int(d) < len(dtypes); d++ {
		if class != "" && dtypes[d].storage == class {
			return d, true
		}
	}
	return 0, false
}

// decode makes float32 of len(dst) elements of a float type, and reports
// whether all are finite. Only F64 rounds (to nearest even, by Go's
// conversion); the others are exact.
func decode(dst []float32, src []byte, d DType) (finite bool) {
	switch d {
	case F32:
		return widen.Floats(dst, src)
	case F16:
		return widen.Halves(dst, src)
	case BF16:
		return widen.Brains(dst, src)
	}
	for i := range dst {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
	return widen.NonFinite(dst) < 0
}

// narrow encodes src as a float type, rounding to nearest even.
func narrow(dst []byte, src []float32, d DType) {
	le := binary.LittleEndian
	switch d {
	case F64:
		for i, v := range src {
			le.PutUint64(dst[8*i:], math.Float64bits(float64(v)))
		}
	case F32:
		widen.Bytes(dst, src)
	case F16:
		for i, v := range src {
			le.PutUint16(dst[2*i:], floatToHalf(v))
		}
	case BF16:
		for i, v := range src {
			le.PutUint16(dst[2*i:], floatToBrain(v))
		}
	}
}

func floatToHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0xff<<23: // NaN
		return sign | 0x7e00
	case b >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case b < 0x38800000: // below 2⁻¹⁴: subnormal in binary16
		// Neighbours of 0.5 are 2⁻²⁴ apart, as are binary16's subnormals, so
		// the addition rounds to nearest even at the right place.
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
	}
	// Half of the last kept bit, less one, plus that bit: ties go to even.
	b += 0xfff + b>>13&1
	return sign | uint16(b>>13-(127-15)<<10)
}

func floatToBrain(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0xff<<23 { // keep a NaN a NaN whatever its low bits
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func finite(v float32) bool {
	return math.Float32bits(v)&0x7f800000 != 0x7f800000
}
