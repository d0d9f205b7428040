package subword

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A message is a protocol buffer that is read field by field.
type message []byte

// A field is one of a message: a number, or bytes.
type field struct {
	number uint64
	kind   wire
	value  uint64 // of a number
	bytes  []byte
}

// wire is how a field is written.
type wire uint8

const (
	varint  wire = 0
	fixed64 wire = 1
	length  wire = 2
	fixed32 wire = 5
)

// each calls f for the fields in order. Those that nobody knows are f's to pass over.
func (m message) each(f func(field) error) error {
	for len(m) > 0 {
		tag, n := binary.Uvarint(m)
		if n <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
			return errors.New("is cut off or damaged: where a field should begin there is none")
		}
		m = m[n:]
		x := field{number: tag >> 3, kind: wire(tag & 7)}
		switch x.kind {
		case varint:
			if x.value, n = binary.Uvarint(m); n <= 0 {
				return errors.New("is cut off in a number")
			}
		case fixed32, fixed64:
			if n = 4; x.kind == fixed64 {
				n = 8
			}
			if len(m) < n {
				return errors.New("is cut off in a number")
			}
			if x.value = uint64(binary.LittleEndian.Uint32(m)); n == 8 {
				x.value = binary.LittleEndian.Uint64(m)
			}
		case length:
			size, k := binary.Uvarint(m)
			if k <= 0 || size > uint64(len(m)-k) {
				return fmt.Errorf("is cut off: field %d has more bytes than the file", x.number)
			}
			n = k + int(size)
			x.bytes = m[k:n]
		default:
			return fmt.Errorf("has field %d in a form (%d) that no such file has", x.number, x.kind)
		}
		m = m[n:]
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// is checks how a field is written.
func (x field) is(k wire) error {
	if x.kind != k {
		return fmt.Errorf("has field %d in the form %d, not %d", x.number, x.kind, k)
	}
	return nil
}

// setBool, setInt, setText and setScore read a field.

func (x field) setBool(to *bool) error {
	*to = x.value != 0
	return x.is(varint)
}

func (x field) setInt(to *int32) error {
	*to = int32(x.value) // negative ones have ten bytes, of which the lower four count
	return x.is(varint)
}

func (x field) setText(to *string) error {
	*to = string(x.bytes)
	return x.is(length)
}

func (x field) setScore(to *float32) error {
	*to = math.Float32frombits(uint32(x.value))
	if err := x.is(fixed32); err != nil {
		return err
	}
	if !finite(float64(*to)) {
		return errors.New("has a score that is no number")
	}
	return nil
}
