package export

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// CheckONNX reads a graph that was written and compares its weights with the model, other values with those that were
// to be written, and its nodes with each other: every value is made before it is used, once. Weights beside the graph
// are compared where they are read.
func (m *Model) CheckONNX(open func() (io.ReadCloser, error)) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	c := &onnxCheck{m: m, r: bufio.NewReaderSize(f, 1<<20), made: map[string]bool{}, unmade: map[string]bool{}}
	if err := c.model(); err != nil {
		return fmt.Errorf("export: reading the graph back: %w", err)
	}
	return nil
}

type onnxCheck struct {
	m      *Model
	r      *bufio.Reader
	at     int64
	made   map[string]bool
	unmade map[string]bool // used before they were seen: initializers come last
	tensor int
}

// field reads a key; of bytes, their length.
func (c *onnxCheck) field() (number, wire int, n uint64, err error) {
	key, err := c.uvarint()
	if err != nil {
		return 0, 0, 0, err
	}
	number, wire = int(key>>3), int(key&7)
	switch wire {
	case wireVarint, wireBytes:
		n, err = c.uvarint()
	case wireFixed4:
		_, err = c.take(4)
	default:
		err = fmt.Errorf("wire type %d at byte %d", wire, c.at)
	}
	return number, wire, n, err
}

func (c *onnxCheck) uvarint() (v uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		b, err := c.r.ReadByte()
		if err != nil {
			return 0, err
		}
		c.at++
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("number at byte %d is too long", c.at)
}

func (c *onnxCheck) take(n uint64) ([]byte, error) {
	b := make([]byte, n)
	k, err := io.ReadFull(c.r, b)
	c.at += int64(k)
	return b, err
}

func (c *onnxCheck) model() error {
	for {
		number, wire, n, err := c.field()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if number == 7 {
			err = c.graph(c.at + int64(n))
		} else if wire == wireBytes {
			_, err = c.take(n)
		}
		if err != nil {
			return err
		}
	}
	for name := range c.unmade {
		if !c.made[name] {
			return fmt.Errorf("%s is used and never made", name)
		}
	}
	if c.tensor == 0 {
		return fmt.Errorf("no weights in it")
	}
	return nil
}

func (c *onnxCheck) graph(end int64) error {
	for c.at < end {
		number, wire, n, err := c.field()
		switch {
		case err != nil:
			return err
		case number == 5:
			err = c.initializer(c.at + int64(n))
		case wire == wireBytes:
			var b []byte
			if b, err = c.take(n); err == nil && (number == 1 || number == 11) {
				err = c.value(number == 11, b)
			}
		}
		if err != nil {
			return err
		}
	}
	if c.at != end {
		return fmt.Errorf("the graph ends at byte %d, not %d", c.at, end)
	}
	return nil
}

// value takes in a node or an input.
func (c *onnxCheck) value(input bool, b []byte) error {
	sub := &onnxCheck{r: bufio.NewReader(bytes.NewReader(b))}
	for sub.at < int64(len(b)) {
		number, wire, n, err := sub.field()
		if err != nil || wire != wireBytes {
			if err != nil {
				return err
			}
			continue
		}
		s, err := sub.take(n)
		if err != nil {
			return err
		}
		switch name := string(s); {
		case input && number == 1 || !input && number == 2:
			if c.made[name] {
				return fmt.Errorf("%s is made twice", name)
			}
			if c.unmade[name] {
				return fmt.Errorf("%s is used before it is made", name)
			}
			c.made[name] = true
		case !input && number == 1 && !c.made[name]:
			c.unmade[name] = true
		}
	}
	return nil
}

// initializer compares a weight with the model's.
func (c *onnxCheck) initializer(end int64) error {
	var name string
	for c.at < end {
		number, wire, n, err := c.field()
		if err != nil {
			return err
		}
		if wire != wireBytes {
			continue
		}
		b, err := c.take(n)
		if err != nil {
			return err
		}
		switch number {
		case 8:
			name = string(b)
			c.made[name] = true
		case 9:
			if err := c.compare(name, b); err != nil {
				return err
			}
		}
	}
	c.tensor++
	return nil
}

func (c *onnxCheck) compare(name string, b []byte) error {
	original, transposed := strings.CutSuffix(name, "_transposed")
	want, ok := c.m.made[name]
	if !ok {
		shape, ok := c.m.Weights.Shape(original)
		if !ok {
			return nil // integers, which say shapes
		}
		var err error
		if want, err = c.m.read(original); err != nil {
			return err
		}
		if transposed {
			want = transpose(want, shape[0], shape[1])
		}
	}
	if len(b) != 4*len(want) {
		return fmt.Errorf("%s has %d bytes, not %d", name, len(b), 4*len(want))
	}
	for i, v := range want {
		if binary.LittleEndian.Uint32(b[4*i:]) != math.Float32bits(v) {
			return fmt.Errorf("%s is another at %d", name, i)
		}
	}
	return nil
}
