package checkpoint

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

// field is one extra field of a zip entry.
func field(id uint16, values ...uint64) []byte {
	var body []byte
	for _, v := range values {
		body = binary.LittleEndian.AppendUint64(body, v)
	}
	b := binary.LittleEndian.AppendUint16(nil, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// The zip64 field holds what did not fit, in a fixed order, and no more.
func TestZip64Field(t *testing.T) {
	const full = math.MaxUint32
	for _, c := range []struct {
		name                 string
		size, packed, header uint64
		extra                []byte
		want                 [3]uint64
		text                 string
	}{
		{"nothing", 1, 2, 3, nil, [3]uint64{1, 2, 3}, ""},
		{"other fields", 1, 2, 3, slices.Concat(field(0x5455, 7), field(0x4246)), [3]uint64{1, 2, 3}, ""},
		{"empty field", 1, 2, 3, field(1), [3]uint64{1, 2, 3}, ""},
		{"sizes", full, full, 3, field(1, 5<<32, 6<<32), [3]uint64{5 << 32, 6 << 32, 3}, ""},
		{"offset", 1, 2, full, field(1, 7<<32), [3]uint64{1, 2, 7 << 32}, ""},
		{"all, after another field", full, full, full, slices.Concat(field(0x4246, 0), field(1, 1, 2, 3)), [3]uint64{1, 2, 3}, ""},
		{"missing", full, 2, 3, nil, [3]uint64{}, "missing"},
		{"too short", full, full, 3, field(1, 5), [3]uint64{}, "too short"},
		{"too long", full, 2, 3, field(1, 5, 6), [3]uint64{}, "not called for"},
		{"uncalled", 1, 2, 3, field(1, 5), [3]uint64{}, "not called for"},
		{"twice", full, 2, 3, slices.Concat(field(1, 5), field(1, 6)), [3]uint64{}, "twice"},
		{"cut", full, 2, 3, field(1, 5)[:7], [3]uint64{}, "malformed"},
		{"stub", 1, 2, 3, []byte{1}, [3]uint64{}, "malformed"},
	} {
		e := &zipEntry{size: c.size, packed: c.packed, header: c.header}
		if err := e.widen(c.extra); err != nil || c.text != "" {
			if c.text == "" || err == nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			expectKind(t, inFile(c.name, err), Corrupt, c.text)
		} else if got := [3]uint64{e.size, e.packed, e.header}; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// The four forms of a data descriptor.
func TestDataDescriptor(t *testing.T) {
	a := buildArchive(torchRecords(stateDict("FloatStorage", 6, 0, []int{6}, []int{1}), floats(6)))
	le := binary.LittleEndian
	last := len(a.data) - 1
	at := a.data[last] + 2 // behind the version record's two bytes
	narrow := slices.Clone(a.bytes[at : at+16])
	wide := slices.Clone(narrow[:8])
	wide = le.AppendUint64(wide, 2)
	wide = le.AppendUint64(wide, 2)
	for _, form := range [][]byte{narrow, narrow[4:], wide, wide[4:]} {
		b := slices.Concat(a.bytes[:at], form, a.bytes[at+16:])
		shift := len(form) - 16
		le.PutUint32(b[a.end+shift+16:], uint32(at+len(form)))
		le.PutUint64(b[a.end64+shift+48:], uint64(at+len(form)))
		le.PutUint64(b[a.end64+shift+end64Size+8:], uint64(a.end64+shift))
		if _, err := openBytes(b); err != nil {
			t.Errorf("descriptor of %d bytes: %v", len(form), err)
		}
		b[at+len(form)-1] ^= 1
		_, err := openBytes(b)
		expectKind(t, err, Corrupt, "descriptor")
	}
}
