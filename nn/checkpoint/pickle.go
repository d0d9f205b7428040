package checkpoint

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// This file is a machine for the pickles that torch writes. A pickle is a
// program for a stack machine whose instructions can import and call any
// Python function. Here there is nothing to call: the 32 instructions below
// build plain values, a global is a pair of strings that has to be on a short
// list, and the few "calls" are constructors of this file's own types.
//
// Format: Python's Lib/pickletools.py. The instructions are those that
// torch's C++ writer (torch/csrc/jit/serialization/pickler.cpp) and
// Python's protocol 2 writer, torch.save's default, emit for state dicts.

// A pickleValue is nil (None), bool, int64, float64, string, pickleTuple,
// *pickleList, *pickleDict, *pickleRecord, pickleGlobal, *pickleStorage,
// *pickleTensor or pickleOpaque.
type pickleValue any

type pickleTuple []pickleValue

type pickleList struct{ items []pickleValue }

// A pickleDict keeps its items in the order they were set.
type pickleDict struct {
	keys    []pickleValue // string or int64
	values  []pickleValue
	index   map[pickleValue]struct{}
	ordered bool // a collections.OrderedDict
	built   bool
}

// A pickleRecord is an object of a TorchScript class: a name and attributes.
type pickleRecord struct {
	class string
	attrs *pickleDict // nil until BUILD
}

// A pickleGlobal names a Python function or class. It is never looked up.
type pickleGlobal struct{ module, name string }

func (g pickleGlobal) String() string { return g.module + "." + g.name }

// A pickleStorage is a persistent id: a reference to the record data/<key>.
type pickleStorage struct {
	dtype DType
	key   string
	count int64 // elements
}

// A pickleTensor is the result of torch._utils._rebuild_tensor_v2.
type pickleTensor struct {
	storage *pickleStorage
	first   int64
	shape   []int
	strides []int64
	offset  int64 // of the instruction in the pickle, for messages
}

// A pickleOpaque is a value of which only the existence matters.
type pickleOpaque struct{}

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

// global reads "module\nname\n" and refuses what is not on the list.
func (m *pickleMachine) global() error {
	var parts [2]string
	for i := range parts {
		n := bytes.IndexByte(m.src[m.pos:], '\n')
		if n < 0 {
			return m.fail(Corrupt, "global without an end")
		}
		parts[i] = string(m.src[m.pos : m.pos+n])
		m.pos += n + 1
	}
	g := pickleGlobal{parts[0], parts[1]}
	if err := m.checkGlobal(g); err != nil {
		return err
	}
	return m.push(g)
}

func (m *pickleMachine) checkGlobal(g pickleGlobal) error {
	if allowedGlobals[g] {
		return nil
	}
	if _, ok := storageDType(g.name); ok && g.module == "torch" {
		return nil
	}
	scripted := g.module == "__torch__" || strings.HasPrefix(g.module, "__torch__.")
	if scripted && m.torchScript && validName(g.module) && validName(g.name) {
		return nil
	}
	return m.fail(Forbidden, "the pickle asks for the global %s; a checkpoint needs none but torch's tensors (save model.state_dict(), not the model)", quote(g.String()))
}

var (
	globalOrderedDict    = pickleGlobal{"collections", "OrderedDict"}
	globalTensor         = pickleGlobal{"torch._utils", "_rebuild_tensor_v2"}
	globalParameter      = pickleGlobal{"torch._utils", "_rebuild_parameter"}
	globalParameterState = pickleGlobal{"torch._utils", "_rebuild_parameter_with_state"}
)

// allowedGlobals are the globals besides torch's storage classes and, in
// TorchScript archives, opaque __torch__ classes.
var allowedGlobals = func() map[pickleGlobal]bool {
	allowed := map[pickleGlobal]bool{globalOrderedDict: true, globalTensor: true, globalParameter: true, globalParameterState: true}
	for _, g := range opaqueCalls {
		allowed[g] = true
	}
	// Element types, as values beside a state dict.
	for _, dtype := range strings.Fields("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 half float double int long") {
		allowed[pickleGlobal{"torch", dtype}] = true
	}
	return allowed
}()

// opaqueCalls make values of which only the existence matters. The first wrap
// typed list and dict attributes of TorchScript modules, such as a
// convolution's padding; the others lie beside a state dict in what training
// loops save.
var opaqueCalls = []pickleGlobal{
	{"torch.jit._pickle", "build_intlist"},
	{"torch.jit._pickle", "build_doublelist"},
	{"torch.jit._pickle", "build_boollist"},
	{"torch.jit._pickle", "build_tensorlist"},
	{"torch.jit._pickle", "restore_type_tag"},
	{"torch", "Size"},
	{"torch", "device"},
	{"__builtin__", "set"},
	{"__builtin__", "frozenset"},
	{"collections", "Counter"},
}

// newObject makes an empty record of an opaque class.
func (m *pickleMachine) newObject() error {
	top, err := m.pop(2)
	if err != nil {
		return err
	}
	class, ok := top[0].(pickleGlobal)
	args, empty := top[1].(pickleTuple)
	if !ok || !strings.HasPrefix(class.module, "__torch__") {
		return m.fail(Forbidden, "pickle instantiates something other than a TorchScript class").wanted("__torch__ class", typeName(top[0]))
	}
	if !empty || len(args) != 0 {
		return m.fail(Corrupt, "TorchScript class instantiated with arguments")
	}
	return m.push(&pickleRecord{class: class.String()})
}

// build fills a record's attributes. On an OrderedDict it sets Python
// attributes (state_dict's _metadata), which have no bearing on weights.
func (m *pickleMachine) build() error {
	top, err := m.pop(1)
	if err != nil {
		return err
	}
	state, ok := top[0].(*pickleDict)
	if !ok {
		return m.fail(Corrupt, "pickle builds an object from something that is no dict").wanted("dict", typeName(top[0]))
	}
	target, err := m.peek()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *pickleRecord:
		if target.attrs != nil {
			return m.fail(Corrupt, "object built twice")
		}
		target.attrs = state
		return nil
	case *pickleDict:
		if !target.ordered || target.built {
			return m.fail(Corrupt, "pickle builds a dict")
		}
		target.built = true
		return nil
	}
	return m.fail(Corrupt, "pickle builds something that has no state").wanted("object or OrderedDict", typeName(target))
}

// reduce "calls" an allowed global.
func (m *pickleMachine) reduce() error {
	top, err := m.pop(2)
	if err != nil {
		return err
	}
	callee, ok := top[0].(pickleGlobal)
	args, isTuple := top[1].(pickleTuple)
	if !ok || !isTuple {
		return m.fail(Forbidden, "pickle calls something other than a listed global").
			wanted("global and tuple", typeName(top[0])+" and "+typeName(top[1]))
	}
	switch callee {
	case globalOrderedDict:
		if len(args) != 0 {
			return m.fail(Unsupported, "OrderedDict with arguments").wanted(0, len(args))
		}
		return m.push(&pickleDict{ordered: true})
	case globalTensor:
		t, err := m.rebuildTensor(args)
		if err != nil {
			return err
		}
		return m.push(t)
	case globalParameter, globalParameterState: // (tensor, requires_grad, backward hooks) and, with state, attributes
		want := 3
		if callee == globalParameterState {
			want = 4
		}
		if len(args) != want {
			return m.fail(Corrupt, "parameter with %d arguments", len(args)).wanted(want, len(args))
		}
		t, ok := args[0].(*pickleTensor)
		if !ok {
			return m.fail(Corrupt, "parameter that is no tensor").wanted("tensor", typeName(args[0]))
		}
		return m.push(t)
	}
	if slices.Contains(opaqueCalls, callee) {
		return m.push(pickleOpaque{})
	}
	return m.fail(Forbidden, "pickle calls %s", quote(callee.String()))
}

// rebuildTensor reads (storage, first element, shape, strides,
// requires_grad, backward hooks).
func (m *pickleMachine) rebuildTensor(args pickleTuple) (*pickleTensor, error) {
	if len(args) != 6 {
		return nil, m.fail(Unsupported, "tensor with %d arguments (a view with conjugate or negative bit?)", len(args)).wanted(6, len(args))
	}
	t := &pickleTensor{offset: int64(m.at)}
	var ok [6]bool
	t.storage, ok[0] = args[0].(*pickleStorage)
	t.first, ok[1] = args[1].(int64)
	shape, isShape := args[2].(pickleTuple)
	strides, isStrides := args[3].(pickleTuple)
	_, ok[4] = args[4].(bool)
	hooks, isDict := args[5].(*pickleDict)
	ok[2], ok[3], ok[5] = isShape, isStrides, isDict && len(hooks.keys) == 0
	for i, good := range ok {
		if !good {
			return nil, m.fail(Corrupt, "tensor argument %d is a %s", i, typeName(args[i]))
		}
	}
	if len(shape) != len(strides) {
		return nil, m.fail(Corrupt, "tensor with %d axes and %d strides", len(shape), len(strides))
	}
	if len(shape) > maxRank {
		return nil, m.fail(Limit, "tensor with %d axes", len(shape)).wanted("at most 8", len(shape))
	}
	t.shape = make([]int, len(shape))
	t.strides = make([]int64, len(shape))
	for i := range shape {
		d, isInt := shape[i].(int64)
		s, isInt2 := strides[i].(int64)
		if !isInt || !isInt2 || d < 0 || s < 0 {
			return nil, m.fail(Corrupt, "tensor axis %d has a length or stride that is no natural number", i)
		}
		n, fits := sizeOf(uint64(d)).int()
		if !fits {
			return nil, m.fail(Limit, "axis length %d", d)
		}
		t.shape[i], t.strides[i] = n, s
	}
	return t, m.checkView(t)
}

// checkView requires that the view stays inside its storage and has no more
// elements than it: a stride of zero could blow four bytes up to any size.
func (m *pickleMachine) checkView(t *pickleTensor) error {
	count := elements(t.shape)
	if count.overflow {
		return m.fail(Limit, "shape %v overflows", t.shape)
	}
	if t.first < 0 || t.first > t.storage.count {
		return m.fail(Corrupt, "tensor starts outside its storage of %d elements", t.storage.count).wanted("natural number", t.first)
	}
	if count.n == 0 {
		return nil
	}
	end := sizeOf(uint64(t.first)).plus(1)
	for i, d := range t.shape {
		reach := sizeOf(uint64(d - 1)).times(uint64(t.strides[i]))
		end = end.plus(reach.n)
		end.overflow = end.overflow || reach.overflow
	}
	if end.overflow || end.n > uint64(t.storage.count) {
		return m.fail(Corrupt, "tensor of shape %v with strides %v reaches outside its storage", t.shape, t.strides).
			wanted(t.storage.count, end.n)
	}
	if count.n > uint64(t.storage.count) {
		return m.fail(Corrupt, "tensor of shape %v has more elements than its storage", t.shape).wanted(t.storage.count, count.n)
	}
	return nil
}

// persistentID reads ("storage", class, key, device, element count), in the
// older format with a sixth part that says which view of another storage it
// is, which no version since 2017 has written. The device is where the tensor
// once was, and is ignored.
func (m *pickleMachine) persistentID() error {
	top, err := m.pop(1)
	if err != nil {
		return err
	}
	id, _ := top[0].(pickleTuple)
	if m.legacy && len(id) == 6 && id[5] == nil {
		id = id[:5]
	}
	if len(id) != 5 || id[0] != pickleValue("storage") {
		return m.fail(Corrupt, "persistent id").wanted("a storage tuple of 5", typeName(top[0]))
	}
	class, ok1 := id[1].(pickleGlobal)
	key, ok2 := id[2].(string)
	_, ok3 := id[3].(string)
	count, ok4 := id[4].(int64)
	if !ok1 || !ok2 || !ok3 || !ok4 || count < 0 {
		return m.fail(Corrupt, "malformed storage tuple")
	}
	dtype, ok := storageDType(class.name)
	if !ok || class.module != "torch" {
		return m.fail(Unsupported, "storage of class %s", quote(class.String()))
	}
	if key == "" || len(key) > 64 || !validName(key) || strings.Contains(key, "/") {
		return m.fail(Corrupt, "storage key %s", quote(key))
	}
	s := &pickleStorage{dtype: dtype, key: key, count: count}
	if m.legacy {
		if before := m.storages[key]; before != nil && *before != *s {
			return m.fail(Corrupt, "one storage with two types or lengths").in(key)
		}
		m.storages[key] = s
	}
	return m.push(s)
}

func keyText(key pickleValue) string {
	switch key := key.(type) {
	case string:
		return key
	case int64:
		return intText(key)
	}
	return ""
}

func typeName(v pickleValue) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case pickleTuple:
		return "tuple"
	case *pickleList:
		return "list"
	case *pickleDict:
		return "dict"
	case *pickleRecord:
		return "object"
	case pickleGlobal:
		return "global " + quote(v.String())
	case *pickleStorage:
		return "storage"
	case *pickleTensor:
		return "tensor"
	}
	return "opaque value"
}
