package export

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"fewshot/nn"
	"fewshot/nn/quote"
)

// A Mask says which elements of a weight are kept, in row-major order. Name is the weight's, as OpenAI has it.
type Mask struct {
	Name  string
	Shape []int
	Keep  []bool
}

// The released code of R-AMT (github.com/wuw2019/R-AMT, trainers/masktuning.py) saves a dictionary with torch.save:
// state_dict maps the names of masks, relative to the image encoder, to Python bytes, eight elements a byte, the first one
// most significant. It reads a mask for each layer that its model has one for, and fails where one is missing.
const officialSuffix = ".mask_real"

func officialName(weight string) (string, error) {
	name, ok := strings.CutPrefix(weight, "visual.")
	if !ok {
		return "", fmt.Errorf("export to official-mask: %s is not of the image encoder, and the released code masks nothing else", weight)
	}
	if base, ok := strings.CutSuffix(name, ".in_proj_weight"); ok {
		return base + officialSuffix, nil
	}
	if base, ok := strings.CutSuffix(name, ".weight"); ok {
		return base + officialSuffix, nil
	}
	return "", fmt.Errorf("export to official-mask: the released code masks no %s", weight)
}

// ourName is the weight that a mask of the released code belongs to.
func ourName(name string) (string, bool) {
	base, ok := strings.CutSuffix(name, officialSuffix)
	if strings.HasSuffix(base, ".attn") {
		return "visual." + base + ".in_proj_weight", ok
	}
	return "visual." + base + ".weight", ok
}

// CompleteOfficial adds the masks that the released code's model has and ours do not, keeping everything: that of the patch
// convolution, those of blocks that were left out, and if any MLP has one, those of all. Masks on anything else are an
// error.
func CompleteOfficial(masks []Mask, model nn.Shapes) ([]Mask, error) {
	layers, _ := nn.Blocks(model, "visual.transformer.")
	if layers == 0 {
		return nil, errors.New("export to official-mask: only vision transformers' masks can be written")
	}
	parts := []string{"attn.in_proj_weight", "attn.out_proj.weight"}
	if slices.ContainsFunc(masks, func(m Mask) bool { return strings.Contains(m.Name, ".mlp.") }) {
		parts = append(parts, "mlp.c_fc.weight", "mlp.c_proj.weight")
	}
	names := []string{"visual.conv1.weight"}
	for i := range layers {
		for _, p := range parts {
			names = append(names, fmt.Sprintf("visual.transformer.resblocks.%d.%s", i, p))
		}
	}
	var out []Mask
	for _, name := range names {
		if i := slices.IndexFunc(masks, func(m Mask) bool { return m.Name == name }); i >= 0 {
			out = append(out, masks[i])
			continue
		}
		shape, ok := model.Shape(name)
		if !ok {
			return nil, fmt.Errorf("export to official-mask: the model has no %s", name)
		}
		keep := make([]bool, product(shape))
		for i := range keep {
			keep[i] = true
		}
		out = append(out, Mask{name, shape, keep})
	}
	for _, m := range masks {
		if !slices.Contains(names, m.Name) {
			return nil, fmt.Errorf("export to official-mask: the released code has no mask for %s", m.Name)
		}
	}
	return out, nil
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// WriteOfficialMask writes model.pth.tar-EPOCH of the released code. What it also saves and does not read, the
// optimizer's state, is None.
func WriteOfficialMask(w io.Writer, masks []Mask, epoch int) error {
	var p pickle
	p.op(0x80, 2, '}', '(')
	p.str("state_dict")
	p.op('}', '(')
	for _, m := range masks {
		name, err := officialName(m.Name)
		if err != nil {
			return err
		}
		p.str(name)
		packed := make([]byte, (len(m.Keep)+7)/8)
		for i, keep := range m.Keep {
			if keep {
				packed[i/8] |= 0x80 >> (i % 8)
			}
		}
		p.bytesOf(packed)
	}
	p.op('u')
	p.str("epoch")
	p.int(epoch)
	for _, key := range []string{"optimizer", "scheduler", "val_result"} {
		p.str(key)
		p.op('N')
	}
	p.op('u')
	a := newTorchArchive(w, "archive")
	if err := a.head(&p); err != nil {
		return err
	}
	return a.close()
}

// maxPickle bounds the pickle of a mask file: ViT-L's masks of every weight take 77 MB of it.
const maxPickle = 256 << 20

// ReadOfficialMask reads a mask file of the released code, for a model whose weights have these shapes. Nothing in it is
// run: its pickle can make dictionaries, numbers and bytes, and whatever else it describes is passed over.
func ReadOfficialMask(r io.ReaderAt, size int64, shape func(name string) ([]int, bool)) (masks []Mask, epoch int, err error) {
	all, epoch, err := PackedOfficialMask(r, size)
	for _, p := range all {
		s, ok := shape(p.Name)
		if !ok {
			return nil, 0, fmt.Errorf("%s: the model has no weight %s; the mask is for another", quote.String(p.Key), quote.String(p.Name))
		}
		n := product(s)
		if len(p.Bits) != (n+7)/8 {
			return nil, 0, fmt.Errorf("%s: %d bytes for a weight of shape %v, which takes %d; the mask is for another model", quote.String(p.Key), len(p.Bits), s, (n+7)/8)
		}
		keep := make([]bool, n)
		for j := range keep {
			keep[j] = p.Bits[j/8]&(0x80>>(j%8)) != 0
		}
		masks = append(masks, Mask{p.Name, s, keep})
	}
	return masks, epoch, err
}

// Packed is a mask as the released code saves it. Only the model knows how many elements it has, as the last byte may have some more.
type Packed struct {
	Key, Name string // in the file, and in the model
	Bits      []byte // eight elements a byte, the first one highest
}

// PackedOfficialMask reads a mask file of the released code without the model.
func PackedOfficialMask(r io.ReaderAt, size int64) (masks []Packed, epoch int, err error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, 0, fmt.Errorf("not an archive of torch.save: %w", err)
	}
	var code []byte
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/data.pkl") {
			continue
		}
		if code != nil || f.Method != zip.Store || f.UncompressedSize64 > maxPickle || f.UncompressedSize64 > uint64(size) {
			return nil, 0, fmt.Errorf("data.pkl: want one, stored, of at most %d bytes", maxPickle)
		}
		in, err := f.Open()
		if err != nil {
			return nil, 0, err
		}
		if code, err = io.ReadAll(io.LimitReader(in, maxPickle)); err != nil {
			return nil, 0, fmt.Errorf("data.pkl: %w", err)
		}
	}
	if code == nil {
		return nil, 0, errors.New("no data.pkl in it: not an archive of torch.save")
	}
	top, err := unpickle(code)
	if err != nil {
		return nil, 0, fmt.Errorf("data.pkl: %w", err)
	}
	all, ok := top.(*dict)
	state, ok2 := (*dict)(nil), false
	if ok {
		state, ok2 = all.get("state_dict").(*dict)
	}
	if !ok2 || len(state.keys) == 0 {
		return nil, 0, errors.New("no state_dict with masks: want model.pth.tar-EPOCH as the released code of R-AMT saves it")
	}
	if n, ok := all.get("epoch").(int64); ok && n >= 0 && n < 1<<31 {
		epoch = int(n)
	}
	for i, key := range state.keys {
		name, ok := ourName(key)
		packed, isBytes := state.values[i].([]byte)
		if !ok || !isBytes {
			return nil, 0, fmt.Errorf("%s: want masks as bytes, with names that end in %s", quote.String(key), officialSuffix)
		}
		masks = append(masks, Packed{key, name, packed})
	}
	return masks, epoch, nil
}

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
