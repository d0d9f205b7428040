package export

import "encoding/binary"

// A message is a protobuf message being written: fields in any order, each with its number and wire type
// (protobuf.dev/programming-guides/encoding). ONNX needs four kinds of field.
type message []byte

const (
	wireVarint = 0
	wireBytes  = 2
	wireFixed4 = 5
)

func (m *message) tag(field, wire int) { *m = binary.AppendUvarint(*m, uint64(field<<3|wire)) }

func (m *message) int(field int, v int64) {
	m.tag(field, wireVarint)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) float(field int, bits uint32) {
	m.tag(field, wireFixed4)
	*m = binary.LittleEndian.AppendUint32(*m, bits)
}

func (m *message) str(field int, s string) {
	m.length(field, int64(len(s)))
	*m = append(*m, s...)
}

func (m *message) sub(field int, s message) { m.str(field, string(s)) }

// length begins a field of n bytes that follow.
func (m *message) length(field int, n int64) {
	m.tag(field, wireBytes)
	*m = binary.AppendUvarint(*m, uint64(n))
}
