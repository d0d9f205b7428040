package checkpoint

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// This file is a machine for the pickles that torch writes. A pickle is a
// program for a stack machine whose instructions can import and call any
// Python function. Here there is nothing to call: the 32 instructions below
// build plain values, a global is a pair of strings that has to be on a short
// list, and the few "calls" (pickle_call.go) are constructors of this package's
// own types (pickle_value.go).
//
// Format: Python's Lib/pickletools.py. The instructions are those that
// torch's C++ writer (torch/csrc/jit/serialization/pickler.cpp) and
// Python's protocol 2 writer, torch.save's default, emit for state dicts.

// Instructions, by their names in pickletools.
const (
	opProto      = 0x80
	opStop       = '.'
	opMark       = '('
	opGlobal     = 'c'
	opNewObj     = 0x81
	opBuild      = 'b'
	opReduce     = 'R'
	opBinPersID  = 'Q'
	opNone       = 'N'
	opNewTrue    = 0x88
	opNewFalse   = 0x89
	opBinInt     = 'J'
	opBinInt1    = 'K'
	opBinInt2    = 'M'
	opLong1      = 0x8a
	opBinFloat   = 'G'
	opBinUnicode = 'X'
	opEmptyTuple = ')'
	opTuple      = 't'
	opTuple1     = 0x85
	opTuple2     = 0x86
	opTuple3     = 0x87
	opEmptyList  = ']'
	opAppend     = 'a'
	opAppends    = 'e'
	opEmptyDict  = '}'
	opSetItem    = 's'
	opSetItems   = 'u'
	opBinPut     = 'q'
	opLongBinPut = 'r'
	opBinGet     = 'h'
	opLongBinGet = 'j'
)

// A pickleMachine runs one pickle.
type pickleMachine struct {
	src         []byte
	pos         int // of the next byte
	at          int // of the current instruction
	torchScript bool

	// In the format of before torch 1.6 a storage's id has one part more, and
	// its data come after the pickles, so that the machine keeps the storages.
	legacy   bool
	storages map[string]*pickleStorage

	start int // of the pickle in src
	stack []pickleValue
	marks []int // stack heights at the open MARKs
	memo  map[uint32]pickleValue
	steps int
}

// unpickle runs src and returns the one value it leaves. Records of opaque
// __torch__ classes are allowed in TorchScript archives only.
func unpickle(src []byte, torchScript bool) (pickleValue, error) {
	m := &pickleMachine{src: src, torchScript: torchScript}
	top, err := m.run()
	if err == nil && m.pos != len(m.src) {
		return nil, m.fail(Corrupt, "%d bytes after the end of the pickle", len(m.src)-m.pos)
	}
	return top, err
}

// run runs the pickle at pos to its end.
func (m *pickleMachine) run() (pickleValue, error) {
	m.start, m.memo = m.pos, make(map[uint32]pickleValue)
	m.stack, m.marks = nil, nil
	for {
		m.at = m.pos
		if m.steps++; m.steps > maxSteps {
			return nil, m.fail(Limit, "pickle of more than %d instructions", maxSteps)
		}
		op, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if m.at == m.start && op[0] != opProto {
			return nil, m.fail(Corrupt, "pickle does not start with its protocol")
		}
		if op[0] == opStop {
			return m.result()
		}
		if err := m.step(op[0]); err != nil {
			return nil, err
		}
	}
}

func (m *pickleMachine) fail(kind Kind, format string, args ...any) *Error {
	return fault(kind, format, args...).at(int64(m.at))
}

func (m *pickleMachine) result() (pickleValue, error) {
	if len(m.stack) != 1 || len(m.marks) != 0 {
		return nil, m.fail(Corrupt, "pickle leaves %d values and %d marks", len(m.stack), len(m.marks)).wanted("one value", len(m.stack))
	}
	return m.stack[0], nil
}

// take consumes n bytes.
func (m *pickleMachine) take(n int) ([]byte, error) {
	if n > len(m.src)-m.pos {
		return nil, m.fail(Corrupt, "pickle ends inside an instruction").wanted(n, len(m.src)-m.pos)
	}
	b := m.src[m.pos : m.pos+n]
	m.pos += n
	return b, nil
}

func (m *pickleMachine) push(v pickleValue) error {
	m.stack = append(m.stack, v)
	return nil
}

// pop takes the top n values, none of which may lie below the last mark.
func (m *pickleMachine) pop(n int) ([]pickleValue, error) {
	floor := 0
	if len(m.marks) > 0 {
		floor = m.marks[len(m.marks)-1]
	}
	if len(m.stack)-floor < n {
		return nil, m.fail(Corrupt, "pickle takes more from its stack than there is").wanted(n, len(m.stack)-floor)
	}
	top := m.stack[len(m.stack)-n:]
	m.stack = m.stack[:len(m.stack)-n]
	return top, nil
}

// popMark takes everything above the last mark, and the mark.
func (m *pickleMachine) popMark() ([]pickleValue, error) {
	if len(m.marks) == 0 {
		return nil, m.fail(Corrupt, "pickle closes a mark that is not open")
	}
	height := m.marks[len(m.marks)-1]
	m.marks = m.marks[:len(m.marks)-1]
	top := m.stack[height:]
	m.stack = m.stack[:height]
	return top, nil
}

// peek returns the top value and leaves it.
func (m *pickleMachine) peek() (pickleValue, error) {
	top, err := m.pop(1)
	if err != nil {
		return nil, err
	}
	m.stack = m.stack[:len(m.stack)+1]
	return top[0], nil
}

func (m *pickleMachine) tuple(items []pickleValue, err error) error {
	if err != nil {
		return err
	}
	return m.push(append(pickleTuple(nil), items...))
}

// step runs one instruction other than STOP.
func (m *pickleMachine) step(op byte) error {
	le := binary.LittleEndian
	switch op {
	case opProto:
		b, err := m.take(1)
		if err != nil {
			return err
		}
		if m.at != m.start {
			return m.fail(Corrupt, "pickle protocol set twice")
		}
		if b[0] != 2 {
			return m.fail(Unsupported, "pickle protocol; save again with torch.save's default").wanted(2, b[0])
		}
		return nil
	case opMark:
		m.marks = append(m.marks, len(m.stack))
		return nil

	case opNone:
		return m.push(nil)
	case opNewTrue:
		return m.push(true)
	case opNewFalse:
		return m.push(false)
	case opBinInt:
		b, err := m.take(4)
		if err != nil {
			return err
		}
		return m.push(int64(int32(le.Uint32(b))))
	case opBinInt1:
		b, err := m.take(1)
		if err != nil {
			return err
		}
		return m.push(int64(b[0]))
	case opBinInt2:
		b, err := m.take(2)
		if err != nil {
			return err
		}
		return m.push(int64(le.Uint16(b)))
	case opLong1:
		return m.long()
	case opBinFloat:
		b, err := m.take(8)
		if err != nil {
			return err
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case opBinUnicode:
		return m.unicode()

	case opEmptyTuple:
		return m.push(pickleTuple(nil))
	case opTuple:
		return m.tuple(m.popMark())
	case opTuple1:
		return m.tuple(m.pop(1))
	case opTuple2:
		return m.tuple(m.pop(2))
	case opTuple3:
		return m.tuple(m.pop(3))
	case opEmptyList:
		return m.push(new(pickleList))
	case opAppend:
		items, err := m.pop(1)
		if err != nil {
			return err
		}
		return m.extend(items)
	case opAppends:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.extend(items)
	case opEmptyDict:
		return m.push(new(pickleDict))
	case opSetItem:
		items, err := m.pop(2)
		if err != nil {
			return err
		}
		return m.setItems(items)
	case opSetItems:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.setItems(items)

	case opBinPut, opLongBinPut, opBinGet, opLongBinGet:
		return m.memoise(op)
	case opGlobal:
		return m.global()
	case opNewObj:
		return m.newObject()
	case opReduce:
		return m.reduce()
	case opBuild:
		return m.build()
	case opBinPersID:
		return m.persistentID()
	}
	return m.fail(Forbidden, "pickle instruction 0x%02x is not one that torch writes for weights", op)
}

// long reads a little-endian two's complement integer of up to 64 bits.
func (m *pickleMachine) long() error {
	n, err := m.take(1)
	if err != nil {
		return err
	}
	b, err := m.take(int(n[0]))
	if err != nil {
		return err
	}
	if len(b) > 8 {
		return m.fail(Limit, "integer of %d bytes", len(b)).wanted("at most 8", len(b))
	}
	v := uint64(0)
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	if shift := 64 - 8*len(b); len(b) > 0 && b[len(b)-1] >= 0x80 {
		return m.push(int64(v<<shift) >> shift)
	}
	return m.push(int64(v))
}

func (m *pickleMachine) unicode() error {
	b, err := m.take(4)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(m.src)-m.pos) {
		return m.fail(Corrupt, "string reaches beyond the pickle").wanted(len(m.src)-m.pos, n)
	}
	b, err = m.take(int(n))
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return m.fail(Corrupt, "string is not valid UTF-8")
	}
	return m.push(string(b))
}

// memoise stores the top value under a number or pushes the one stored. The
// memo is a map: the number is a stranger's and says nothing about a size.
func (m *pickleMachine) memoise(op byte) error {
	width := 1
	if op == opLongBinPut || op == opLongBinGet {
		width = 4
	}
	b, err := m.take(width)
	if err != nil {
		return err
	}
	key := uint32(b[0])
	if width == 4 {
		key = binary.LittleEndian.Uint32(b)
	}
	if op == opBinGet || op == opLongBinGet {
		v, ok := m.memo[key]
		if !ok {
			return m.fail(Corrupt, "pickle refers to value %d, which it has not stored", key)
		}
		return m.push(v)
	}
	if _, ok := m.memo[key]; ok {
		return m.fail(Corrupt, "pickle stores value %d twice", key)
	}
	if len(m.memo) == maxMemo {
		return m.fail(Limit, "pickle stores more than %d values", maxMemo)
	}
	v, err := m.peek()
	if err != nil {
		return err
	}
	m.memo[key] = v
	return nil
}

func (m *pickleMachine) extend(items []pickleValue) error {
	target, err := m.peek()
	if err != nil {
		return err
	}
	list, ok := target.(*pickleList)
	if !ok {
		return m.fail(Corrupt, "pickle appends to something that is no list").wanted("list", typeName(target))
	}
	list.items = append(list.items, items...)
	return nil
}

func (m *pickleMachine) setItems(items []pickleValue) error {
	target, err := m.peek()
	if err != nil {
		return err
	}
	dict, ok := target.(*pickleDict)
	if !ok {
		return m.fail(Corrupt, "pickle sets an item of something that is no dict").wanted("dict", typeName(target))
	}
	if len(items)%2 != 0 {
		return m.fail(Corrupt, "dict key without a value")
	}
	for i := 0; i < len(items); i += 2 {
		switch key := items[i].(type) {
		case string, int64:
			if _, ok := dict.index[key]; ok {
				return m.fail(Corrupt, "dict key occurs twice").in(keyText(key))
			}
			if dict.index == nil {
				dict.index = make(map[pickleValue]struct{})
			}
			dict.index[key] = struct{}{}
			dict.keys = append(dict.keys, key)
			dict.values = append(dict.values, items[i+1])
		default:
			return m.fail(Unsupported, "dict key").wanted("str or int", typeName(key))
		}
	}
	return nil
}
