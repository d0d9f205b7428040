package parquet

import (
	"encoding/binary"
	"errors"
)

// value is a value of Thrift's compact protocol.
type value struct {
	n      int64
	b      []byte
	list   []value
	fields map[int16]value
}

// Kinds of values in the compact protocol.
const (
	kindTrue   = 1
	kindFalse  = 2
	kindByte   = 3
	kindI16    = 4
	kindI32    = 5
	kindI64    = 6
	kindDouble = 7
	kindBinary = 8
	kindList   = 9
	kindSet    = 10
	kindMap    = 11
	kindStruct = 12
)

const (
	maxDepth  = 16
	maxValues = 1 << 20
)

var errThrift = errors.New("malformed metadata")

// decoder reads values from the front of data.
type decoder struct {
	data   []byte
	values int
}

func (d *decoder) byte() (byte, error) {
	if len(d.data) == 0 {
		return 0, errThrift
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b, nil
}

func (d *decoder) uvarint() (uint64, error) {
	n, size := binary.Uvarint(d.data)
	if size <= 0 {
		return 0, errThrift
	}
	d.data = d.data[size:]
	return n, nil
}

func (d *decoder) varint() (int64, error) {
	n, err := d.uvarint()
	return int64(n>>1) ^ -int64(n&1), err
}

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)) {
		return nil, errThrift
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return b, nil
}

// structure reads the fields of a struct up to its end.
func (d *decoder) structure(depth int) (value, error) {
	v := value{fields: make(map[int16]value)}
	var id int64
	for {
		head, err := d.byte()
		if err != nil {
			return v, err
		}
		kind := head & 15
		if kind == 0 {
			return v, nil
		}
		if delta := head >> 4; delta != 0 {
			id += int64(delta)
		} else if id, err = d.varint(); err != nil {
			return v, err
		}
		if id < 0 || id > 1<<15-1 {
			return v, errThrift
		}
		if _, twice := v.fields[int16(id)]; twice {
			return v, errThrift
		}
		var field value
		switch kind {
		case kindTrue:
			field.n = 1
		case kindFalse:
		default:
			if field, err = d.value(kind, depth); err != nil {
				return v, err
			}
		}
		v.fields[int16(id)] = field
	}
}

// value reads a value of a kind.
func (d *decoder) value(kind byte, depth int) (v value, err error) {
	if d.values++; d.values > maxValues || depth > maxDepth {
		return v, errThrift
	}
	switch kind {
	case kindTrue, kindFalse, kindByte: // a byte each in a list
		var b byte
		b, err = d.byte()
		v.n = int64(int8(b))
	case kindI16, kindI32, kindI64:
		v.n, err = d.varint()
	case kindDouble:
		v.b, err = d.take(8)
	case kindBinary:
		var n uint64
		if n, err = d.uvarint(); err == nil {
			v.b, err = d.take(n)
		}
	case kindList, kindSet:
		var head byte
		if head, err = d.byte(); err != nil {
			return v, err
		}
		n := uint64(head >> 4)
		if n == 15 {
			if n, err = d.uvarint(); err != nil {
				return v, err
			}
		}
		if n > uint64(len(d.data)) { // no value takes less than a byte
			return v, errThrift
		}
		for range n {
			e, err := d.value(head&15, depth+1)
			if err != nil {
				return v, err
			}
			v.list = append(v.list, e)
		}
	case kindMap:
		var n uint64
		if n, err = d.uvarint(); err != nil || n == 0 {
			return v, err
		}
		var kinds byte
		if kinds, err = d.byte(); err != nil {
			return v, err
		}
		if n > uint64(len(d.data)) {
			return v, errThrift
		}
		for range n { // no map means anything here
			if _, err = d.value(kinds>>4, depth+1); err == nil {
				_, err = d.value(kinds&15, depth+1)
			}
			if err != nil {
				return v, err
			}
		}
	case kindStruct:
		return d.structure(depth + 1)
	default:
		err = errThrift
	}
	return v, err
}
