package tensorboard

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum of TFRecords.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// record frames a payload.
func record(payload []byte) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(payload)))
	out = binary.LittleEndian.AppendUint32(out, masked(out))
	out = append(out, payload...)
	return binary.LittleEndian.AppendUint32(out, masked(payload))
}

// records are the payloads of a file up to the first that is cut off or damaged, where TensorBoard stops too.
func records(b []byte) (all [][]byte) {
	for len(b) >= 16 {
		n := binary.LittleEndian.Uint64(b)
		if binary.LittleEndian.Uint32(b[8:]) != masked(b[:8]) || n > uint64(len(b)-16) {
			return all
		}
		payload := b[12 : 12+n]
		if binary.LittleEndian.Uint32(b[12+n:]) != masked(payload) {
			return all
		}
		all = append(all, payload)
		b = b[16+n:]
	}
	return all
}

// field is one of a message.
type field struct {
	number, kind uint64
	value        uint64 // of numbers
	chunk        []byte
}

// fields reads a message; ok is false where it is none.
func fields(b []byte) (all []field, ok bool) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		b = b[n:]
		f := field{number: key >> 3, kind: key & 7}
		switch f.kind {
		case varint:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return nil, false
			}
			f.value, b = v, b[n:]
		case fixed8:
			if len(b) < 8 {
				return nil, false
			}
			f.value, b = binary.LittleEndian.Uint64(b), b[8:]
		case fixed4:
			if len(b) < 4 {
				return nil, false
			}
			f.value, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		case chunk:
			n, k := binary.Uvarint(b)
			if k <= 0 || n > uint64(len(b)-k) {
				return nil, false
			}
			f.chunk, b = b[k:k+int(n)], b[k+int(n):]
		default:
			return nil, false
		}
		all = append(all, f)
	}
	return all, true
}

// point is a value of a tag at a step.
type point struct {
	tag   string
	step  int64
	value float32
}

// points are the values in an event.
func points(payload []byte) (all []point) {
	event, ok := fields(payload)
	if !ok {
		return nil
	}
	step := int64(0)
	for _, f := range event {
		if f.number == 2 && f.kind == varint {
			step = int64(f.value)
		}
	}
	for _, f := range event {
		if f.number != 5 || f.kind != chunk {
			continue
		}
		summary, _ := fields(f.chunk)
		for _, v := range summary {
			value, ok := fields(v.chunk)
			if v.number != 1 || v.kind != chunk || !ok {
				continue
			}
			p := point{step: step, value: float32(math.NaN())}
			for _, f := range value {
				switch {
				case f.number == 1 && f.kind == chunk:
					p.tag = string(f.chunk)
				case f.number == 2 && f.kind == fixed4:
					p.value = math.Float32frombits(uint32(f.value))
				}
			}
			all = append(all, p)
		}
	}
	return all
}
