package export

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"fewshot/nn/quote"
)

// This file reads the pickle of a released mask file: what its dictionaries hold under names, and bytes. Objects of the
// training loop that lie beside are passed over, and nothing is called. The machine of nn/checkpoint, which is for weights,
// refuses what this one passes over.

// A dict is a Python dictionary with text for keys; items with other keys are not kept.
type dict struct {
	keys   []string
	values []any
}

func (d *dict) get(key string) any {
	if i := slices.Index(d.keys, key); i >= 0 {
		return d.values[i]
	}
	return nil
}

func (d *dict) set(key, value any) error {
	k, ok := key.(string)
	if !ok {
		return nil
	}
	if slices.Contains(d.keys, k) {
		return fmt.Errorf("the key %s is there twice", quote.String(k))
	}
	if len(d.keys) == maxKeys {
		return fmt.Errorf("more than %d keys", maxKeys)
	}
	d.keys, d.values = append(d.keys, k), append(d.values, value)
	return nil
}

const (
	maxKeys  = 4096
	maxStack = 1 << 20
)

// Values of the machine that are no data here.
type (
	mark   struct{}
	opaque struct{}
	global string
)

var errPickle = errors.New("ends in the middle of an instruction")

// A machine runs a pickle of protocol 2 (Python's Lib/pickletools.py), as torch.save writes it.
type machine struct {
	code  []byte
	stack []any
	memo  map[uint32]any
}

func unpickle(code []byte) (any, error) {
	m := &machine{code: code, memo: map[uint32]any{}}
	for {
		if len(m.code) == 0 {
			return nil, errPickle
		}
		op := m.code[0]
		m.code = m.code[1:]
		if op == '.' {
			if len(m.stack) != 1 {
				return nil, errors.New("ends with something left over")
			}
			return m.stack[0], nil
		}
		if err := m.step(op); err != nil {
			return nil, fmt.Errorf("instruction %q at byte %d: %w", op, len(code)-len(m.code)-1, err)
		}
		if len(m.stack) > maxStack || len(m.memo) > maxStack {
			return nil, errors.New("more values than a mask file has")
		}
	}
}

func (m *machine) take(n int) ([]byte, error) {
	if n < 0 || n > len(m.code) {
		return nil, errPickle
	}
	b := m.code[:n]
	m.code = m.code[n:]
	return b, nil
}

// number reads a little-endian number of n bytes.
func (m *machine) number(n int) (uint32, error) {
	b, err := m.take(n)
	if err != nil {
		return 0, err
	}
	var wide [4]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint32(wide[:]), nil
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

// pop takes n values off, the last one last.
func (m *machine) pop(n int) ([]any, error) {
	if len(m.stack) < n {
		return nil, errors.New("takes more than there is")
	}
	v := slices.Clone(m.stack[len(m.stack)-n:])
	m.stack = m.stack[:len(m.stack)-n]
	return v, nil
}

// toMark takes off what lies above the last mark, and the mark.
func (m *machine) toMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			v := slices.Clone(m.stack[i+1:])
			m.stack = m.stack[:i]
			return v, nil
		}
	}
	return nil, errors.New("there is no mark")
}

// line reads to the end of a line.
func (m *machine) line() (string, error) {
	for i, c := range m.code[:min(len(m.code), 200)] {
		if c == '\n' {
			s := string(m.code[:i])
			m.code = m.code[i+1:]
			return s, nil
		}
	}
	return "", errPickle
}

func (m *machine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := m.number(1)
		if err == nil && v != 2 {
			err = fmt.Errorf("protocol %d; want 2", v)
		}
		return err
	case '(':
		return m.push(mark{})
	case '}':
		return m.push(&dict{})
	case ']', ')', 'N', 0x88, 0x89: // lists, the empty tuple, None, True, False
		return m.push(opaque{})
	case 'K', 'M', 'J':
		v, err := m.number(map[byte]int{'K': 1, 'M': 2, 'J': 4}[op])
		if err != nil {
			return err
		}
		if op == 'J' {
			return m.push(int64(int32(v)))
		}
		return m.push(int64(v))
	case 0x8a: // LONG1
		n, err := m.number(1)
		if err == nil {
			_, err = m.take(int(n))
		}
		return errors.Join(err, m.push(opaque{}))
	case 'G':
		_, err := m.take(8)
		return errors.Join(err, m.push(opaque{}))
	case 'X':
		n, err := m.number(4)
		if err != nil {
			return err
		}
		s, err := m.take(int(min(n, 1<<31-1)))
		return errors.Join(err, m.push(string(s)))
	case 'q', 'r':
		at, err := m.number(map[byte]int{'q': 1, 'r': 4}[op])
		if err != nil {
			return err
		}
		top, err := m.pop(1)
		if err != nil {
			return err
		}
		m.memo[at] = top[0]
		return m.push(top[0])
	case 'h', 'j':
		at, err := m.number(map[byte]int{'h': 1, 'j': 4}[op])
		if err != nil {
			return err
		}
		v, ok := m.memo[at]
		if !ok {
			return errors.New("recalls what was never kept")
		}
		return m.push(v)
	case 'c':
		module, err := m.line()
		if err != nil {
			return err
		}
		name, err := m.line()
		return errors.Join(err, m.push(global(module+"."+name)))
	}
	return m.build(op)
}

// build are the instructions that put values together.
func (m *machine) build(op byte) error {
	switch op {
	case 't':
		v, err := m.toMark()
		return errors.Join(err, m.push(v))
	case 0x85, 0x86, 0x87:
		v, err := m.pop(int(op) - 0x84)
		return errors.Join(err, m.push(v))
	case 'R', 0x81: // REDUCE, NEWOBJ: a function and its arguments
		v, err := m.pop(2)
		if err != nil {
			return err
		}
		args, _ := v[1].([]any)
		switch {
		case v[0] == any(global("_codecs.encode")) && len(args) == 2:
			text, ok := args[0].(string)
			if !ok || args[1] != any("latin1") {
				return errors.New("bytes that are not spelt as text in latin1")
			}
			b, err := latin1(text)
			return errors.Join(err, m.push(b))
		case v[0] == any(global("collections.OrderedDict")):
			return m.push(&dict{})
		}
		return m.push(opaque{})
	case 'Q', 'b': // a storage; an object's attributes, of an object that is passed over
		n := map[byte]int{'Q': 1, 'b': 2}[op]
		v, err := m.pop(n)
		if err != nil {
			return err
		}
		if op == 'b' {
			return m.push(v[0])
		}
		return m.push(opaque{})
	case 'a':
		_, err := m.pop(1)
		return err
	case 'e':
		_, err := m.toMark()
		return err
	case 's':
		v, err := m.pop(2)
		if err != nil {
			return err
		}
		return m.items(v)
	case 'u':
		v, err := m.toMark()
		if err != nil {
			return err
		}
		return m.items(v)
	}
	return errors.New("not one of torch.save's")
}

// items puts keys and values into the dictionary on the stack.
func (m *machine) items(v []any) error {
	if len(m.stack) == 0 || len(v)%2 != 0 {
		return errors.New("items without a dictionary")
	}
	d, ok := m.stack[len(m.stack)-1].(*dict)
	if !ok {
		return nil // of an object that is passed over
	}
	for i := 0; i < len(v); i += 2 {
		if err := d.set(v[i], v[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// latin1 turns text of code points below 256 into bytes.
func latin1(s string) ([]byte, error) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return nil, errors.New("text that is not in latin1")
		}
		b = append(b, byte(r))
	}
	return b, nil
}
