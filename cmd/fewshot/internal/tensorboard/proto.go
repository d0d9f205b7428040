package tensorboard

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// message is a protocol buffer that is being written. Fields come in the order of the calls.
type message []byte

const (
	varint = 0 // wire types
	fixed8 = 1
	chunk  = 2
	fixed4 = 5
)

func (m *message) tag(field, kind uint64) { *m = binary.AppendUvarint(*m, field<<3|kind) }

func (m *message) int(field uint64, v int64) {
	m.tag(field, varint)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) double(field uint64, v float64) {
	m.tag(field, fixed8)
	*m = binary.LittleEndian.AppendUint64(*m, math.Float64bits(v))
}

func (m *message) float(field uint64, v float32) {
	m.tag(field, fixed4)
	*m = binary.LittleEndian.AppendUint32(*m, math.Float32bits(v))
}

func (m *message) bytes(field uint64, b []byte) {
	m.tag(field, chunk)
	*m = append(binary.AppendUvarint(*m, uint64(len(b))), b...)
}

func (m *message) string(field uint64, s string) { m.bytes(field, []byte(s)) }

// event is an Event with what fill puts into it.
func event(wall float64, step int64, fill func(*message)) message {
	var m message
	m.double(1, wall)
	if step != 0 {
		m.int(2, step)
	}
	fill(&m)
	return m
}

// scalar is a Summary.Value.
func scalar(tag string, v float64) message {
	var m message
	m.string(1, tag)
	m.float(2, float32(v))
	return m
}

// Tags under which the plugin for hyper-parameters finds them.
const (
	startTag = "_hparams_/session_start_info"
	endTag   = "_hparams_/session_end_info"
)

// plugin is a Summary.Value without a number, for the plugin of hyper-parameters: metadata with its content, and an empty tensor of
// one dimension, which readers want to see.
func plugin(tag string, content message) message {
	var data, meta, tensor, value message
	data.string(1, "hparams")
	data.bytes(2, content)
	meta.bytes(1, data)
	tensor.int(1, 1) // DT_FLOAT
	var shape message
	shape.bytes(2, nil)
	tensor.bytes(2, shape)
	value.string(1, tag)
	value.bytes(8, tensor)
	value.bytes(9, meta)
	return value
}

// sessionStart is HParamsPluginData with a SessionStartInfo.
func sessionStart(params map[string]any, wall float64) message {
	var info, data message
	for _, name := range slices.Sorted(maps.Keys(params)) {
		var value, entry message
		switch v := params[name].(type) {
		case float64:
			value.double(2, v)
		case string:
			value.string(3, v)
		case bool:
			n := int64(0)
			if v {
				n = 1
			}
			value.int(4, n)
		default:
			continue
		}
		entry.string(1, name)
		entry.bytes(2, value)
		info.bytes(1, entry)
	}
	info.double(5, wall)
	data.bytes(3, info)
	return data
}

// sessionEnd is HParamsPluginData with a SessionEndInfo of success.
func sessionEnd(wall float64) message {
	var info, data message
	info.int(1, 1)
	info.double(2, wall)
	data.bytes(4, info)
	return data
}
