package checkpoint

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// The allow-list of instructions, counted: adding one is a decision.
func TestInstructionsAllowed(t *testing.T) {
	allowed := 0
	for op := range 256 {
		m := &pickleMachine{src: make([]byte, 16), memo: make(map[uint32]pickleValue)}
		if op == opStop || !errors.Is(m.step(byte(op)), Forbidden) {
			allowed++
		}
	}
	// NEWOBJ and REDUCE find an empty stack here, which is not Forbidden.
	if allowed != 32 {
		t.Errorf("%d instructions are allowed, want 32", allowed)
	}
}

func pickleOf(build func(p *pickler)) []byte {
	p := &pickler{opProto, 2}
	build(p)
	p.op(opStop)
	return *p
}

// Pickles with one thing wrong, or hostile.
func TestBadPickles(t *testing.T) {
	const deep = 1_000_000
	tensor := func(class string, count, first int, shape, strides []int) []byte {
		return stateDict(class, count, first, shape, strides)
	}
	raw := func(s string) []byte { return []byte("\x80\x02" + s + ".") }
	for _, c := range []struct {
		name   string
		pickle []byte
		kind   Kind
		text   string
	}{
		// Code.
		{"os.system", raw("cos\nsystem\nX\x02\x00\x00\x00ls\x85R"), Forbidden, "os.system"},
		{"posix.system", raw("cposix\nsystem\nX\x02\x00\x00\x00ls\x85R"), Forbidden, "posix.system"},
		{"nt.system", raw("cnt\nsystem\n"), Forbidden, "nt.system"},
		{"builtins.eval", raw("cbuiltins\neval\nX\x01\x00\x00\x001\x85R"), Forbidden, "builtins.eval"},
		{"builtins.exec", raw("cbuiltins\nexec\n"), Forbidden, "builtins.exec"},
		{"builtins.getattr", raw("cbuiltins\ngetattr\n"), Forbidden, "getattr"},
		{"__builtin__.eval", raw("c__builtin__\neval\n"), Forbidden, "eval"},
		{"subprocess", raw("csubprocess\nPopen\n"), Forbidden, "Popen"},
		{"pip", raw("cpip\nmain\n"), Forbidden, "pip.main"},
		{"runpy", raw("crunpy\n_run_code\n"), Forbidden, "runpy"},
		{"torch.load", raw("ctorch\nload\n"), Forbidden, "torch.load"},
		{"torch storage of another module", raw("ctorch.x\nFloatStorage\n"), Forbidden, "torch.x"},
		{"numpy", raw("cnumpy.core.multiarray\nscalar\n"), Forbidden, "numpy"},
		{"a model class", raw("cclip.model\nCLIP\n)\x81}b"), Forbidden, "state_dict"},
		{"name with escape codes", raw("cos\n\x1b[31msystem\n"), Forbidden, `\x1b`},
		{"TorchScript class outside TorchScript", raw("c__torch__\nM\n)\x81}b"), Forbidden, "__torch__"},
		{"INST", raw("(ios\nsystem\n"), Forbidden, "0x69"},
		{"OBJ", raw("(o"), Forbidden, "0x6f"},
		{"STACK_GLOBAL", raw("X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93"), Forbidden, "0x93"},
		{"EXT1", raw("\x82\x01"), Forbidden, "0x82"},
		{"EXT2", raw("\x83\x01\x00"), Forbidden, "0x83"},
		{"EXT4", raw("\x84\x01\x00\x00\x00"), Forbidden, "0x84"},
		{"NEWOBJ_EX", raw("\x92"), Forbidden, "0x92"},
		{"DUP", raw("N2"), Forbidden, "0x32"},
		{"POP", raw("N0"), Forbidden, "0x30"},
		{"POP_MARK", raw("(N1"), Forbidden, "0x31"},
		{"PERSID", raw("Pfile\n"), Forbidden, "0x50"},
		{"text LONG", raw("L1L\n"), Forbidden, "0x4c"},
		{"text STRING", raw("S'x'\n"), Forbidden, "0x53"},
		{"FRAME", raw("\x95\x00\x00\x00\x00\x00\x00\x00\x00"), Forbidden, "0x95"},
		{"LONG4", raw("\x8b\xff\xff\xff\xff"), Forbidden, "0x8b"},
		{"BINBYTES", raw("B\x00\x00\x00\x00"), Forbidden, "0x42"},
		{"calling a string", raw("X\x01\x00\x00\x00x)R"), Forbidden, "listed global"},
		{"calling a storage class", raw("ctorch\nFloatStorage\n)R"), Forbidden, "calls"},
		{"instantiating OrderedDict", raw("ccollections\nOrderedDict\n)\x81"), Forbidden, "TorchScript class"},
		{"OrderedDict of a call", raw("ccollections\nOrderedDict\nX\x01\x00\x00\x00x\x85R"), Unsupported, "OrderedDict"},

		// Form.
		{"empty", nil, Corrupt, "ends inside"},
		{"no protocol", []byte("}."), Corrupt, "protocol"},
		{"protocol 4", []byte("\x80\x04}."), Unsupported, "protocol"},
		{"protocol 0", []byte("\x80\x00}."), Unsupported, "protocol"},
		{"protocol twice", raw("\x80\x02}"), Corrupt, "twice"},
		{"no stop", []byte("\x80\x02}"), Corrupt, "ends inside"},
		{"second pickle", append(raw("}"), raw("}")...), Corrupt, "after the end"},
		{"nothing left", raw(""), Corrupt, "leaves 0"},
		{"two left", raw("}}"), Corrupt, "leaves 2"},
		{"open mark", raw("}("), Corrupt, "1 marks"},
		{"cut integer", []byte("\x80\x02J\x00\x00"), Corrupt, "ends inside"},
		{"cut global", []byte("\x80\x02cos"), Corrupt, "without an end"},
		{"long string", raw("X\xff\xff\xff\xff"), Corrupt, "beyond"},
		{"not UTF-8", raw("X\x01\x00\x00\x00\xff"), Corrupt, "UTF-8"},
		{"long integer", raw("\x8a\x09123456789"), Limit, "9 bytes"},
		{"cut long integer", raw("\x8a\xff"), Corrupt, "ends inside"},
		{"TUPLE without mark", raw("Nt"), Corrupt, "mark"},
		{"TUPLE2 of one", raw("N\x86"), Corrupt, "stack"},
		{"pop below a mark", raw("N(\x85"), Corrupt, "stack"},
		{"put of nothing", raw("q\x00"), Corrupt, "stack"},
		{"get of nothing", raw("h\x00"), Corrupt, "not stored"},
		{"memo bomb", raw("}r\xff\xff\xff\xffj\xfe\xff\xff\xff"), Corrupt, "not stored"},
		{"put twice", raw("}q\x00q\x00"), Corrupt, "twice"},
		{"setitem on nothing", raw("NNs"), Corrupt, "stack"},
		{"setitem on a list", raw("]X\x01\x00\x00\x00aNs"), Corrupt, "no dict"},
		{"setitems odd", raw("}(X\x01\x00\x00\x00au"), Corrupt, "without a value"},
		{"key twice", raw("}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu"), Corrupt, "twice"},
		{"key is a tuple", raw("})Ns"), Unsupported, "str or int"},
		{"key is a float", raw("}G\x00\x00\x00\x00\x00\x00\x00\x00Ns"), Unsupported, "str or int"},
		{"append to a dict", raw("}Na"), Corrupt, "no list"},
		{"append to a tuple", raw(")Na"), Corrupt, "no list"},
		{"build a dict", raw("}}b"), Corrupt, "builds a dict"},
		{"build a list", raw("]}b"), Corrupt, "no state"},
		{"build with a list", raw("ccollections\nOrderedDict\n)R]b"), Corrupt, "no dict"},
		{"build twice", raw("ccollections\nOrderedDict\n)R}b}b"), Corrupt, "builds"},
		{"persistent id of a string", raw("X\x01\x00\x00\x00aQ"), Corrupt, "persistent id"},
		{"persistent id of five", raw("(NNNNNtQ"), Corrupt, "persistent id"},
		{"top is a list", raw("]"), Unsupported, "state dict"},
		{"top is a tensor", pickleOf(func(p *pickler) { p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1}) }), Unsupported, "state dict"},

		// Tensors.
		{"unknown storage class", tensor("QInt8Storage", 6, 0, []int{6}, []int{1}), Forbidden, "QInt8Storage"},
		{"complex storage", tensor("ComplexFloatStorage", 6, 0, []int{6}, []int{1}), Forbidden, "Complex"},
		{"storage count negative", tensor("FloatStorage", -6, 0, []int{6}, []int{1}), Corrupt, "storage tuple"},
		{"storage count wraps", tensor("FloatStorage", 1<<62+6, 0, []int{6}, []int{1}), Corrupt, "size of"},
		{"first negative", tensor("FloatStorage", 6, -1, []int{6}, []int{1}), Corrupt, "starts outside"},
		{"first outside", tensor("FloatStorage", 6, 7, []int{0}, []int{1}), Corrupt, "starts outside"},
		{"reaches outside", tensor("FloatStorage", 6, 1, []int{6}, []int{1}), Corrupt, "reaches outside"},
		{"axis negative", tensor("FloatStorage", 6, 0, []int{-1}, []int{1}), Corrupt, "natural"},
		{"stride negative", tensor("FloatStorage", 6, 5, []int{6}, []int{-1}), Corrupt, "natural"},
		{"stride zero expands", tensor("FloatStorage", 6, 0, []int{1 << 40}, []int{0}), Corrupt, "more elements"},
		{"product wraps", tensor("FloatStorage", 6, 0, []int{1<<62 + 1, 4}, []int{0, 0}), Limit, "overflows"},
		{"reach wraps", tensor("FloatStorage", 6, 0, []int{3, 2}, []int{1 << 62, 1 << 62}), Corrupt, "reaches outside"},
		{"reach product wraps", tensor("FloatStorage", 6, 0, []int{5}, []int{1 << 62}), Corrupt, "reaches outside"},
		{"nine axes", tensor("FloatStorage", 6, 0, make([]int, 9), make([]int, 9)), Limit, "axes"},
		{"shape and strides differ", tensor("FloatStorage", 6, 0, []int{6}, nil), Corrupt, "strides"},
		{"wrong item size", tensor("HalfStorage", 6, 0, []int{6}, []int{1}), Corrupt, "size of"},
		{"key with slash", inDict(func(p *pickler) { p.tensor("FloatStorage", "../data/0", 6, 0, []int{6}, []int{1}) }), Corrupt, "key"},
		{"key of nothing", inDict(func(p *pickler) { p.tensor("FloatStorage", "", 6, 0, []int{6}, []int{1}) }), Corrupt, "key"},
		{"missing record", inDict(func(p *pickler) { p.tensor("FloatStorage", "7", 6, 0, []int{6}, []int{1}) }), Corrupt, "missing"},
		{"tensor of no arguments", raw("ctorch._utils\n_rebuild_tensor_v2\n)R"), Unsupported, "0 arguments"},
		{"tensor of six Nones", raw("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR"), Corrupt, "argument 0"},
		{"parameter of None", raw("ctorch._utils\n_rebuild_parameter\n(NNNtR"), Corrupt, "no tensor"},
		{"parameter of nothing", raw("ctorch._utils\n_rebuild_parameter\n)R"), Corrupt, "arguments"},
		{"one storage, two types", inDict(func(p *pickler) {
			p.op(opEmptyDict)
			p.str("a")
			p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opSetItem)
			p.str("b")
			p.tensor("IntStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opSetItem)
		}), Corrupt, "two types"},
		{"shared storage expands", inDict(func(p *pickler) {
			p.op(opEmptyList, opMark)
			for range 2000 {
				p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			}
			p.op(opAppends)
		}), 0, ""}, // the descriptions are longer than the tensors
		{"one tensor many times", inDict(func(p *pickler) {
			p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opBinPut, 9, opTuple1)
			p.op(opEmptyList, opMark)
			for range 2000 {
				p.op(opBinGet, 9)
			}
			p.op(opAppends, opTuple2)
		}), Limit, "twice the file"},
		{"two paths, one name", func() []byte {
			p := &pickler{opProto, 2, opEmptyDict}
			p.str("a.b")
			p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opSetItem)
			p.str("a")
			p.op(opEmptyDict)
			p.str("b")
			p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opSetItem, opSetItem, opStop)
			return *p
		}(), Corrupt, "one name"},
		{"name with control character", func() []byte {
			p := &pickler{opProto, 2, opEmptyDict}
			p.str("a\x00")
			p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opSetItem, opStop)
			return *p
		}(), Corrupt, "printable"},
		{"name too long", func() []byte {
			p := &pickler{opProto, 2, opEmptyDict}
			p.str(strings.Repeat("x", 257))
			p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1})
			p.op(opSetItem, opStop)
			return *p
		}(), Corrupt, "256"},

		// Bombs.
		{"deep tuples", raw(")" + strings.Repeat("\x85", deep)), Limit, "instructions"},
		{"deep lists", raw("}X\x01\x00\x00\x00a" + strings.Repeat("]", 100) + strings.Repeat("a", 99) + "s"), Limit, "deeper"},
		{"many marks", raw(strings.Repeat("(", deep)), Limit, "instructions"},
		{"billion laughs", func() []byte {
			p := &pickler{opProto, 2, opEmptyDict}
			p.str("a")
			p.op(opEmptyList, opBinPut, 0)
			for i := range byte(40) { // each list holds the last one nine times
				p.op(opEmptyList, opBinPut, i+1, opMark)
				for range 9 {
					p.op(opBinGet, i)
				}
				p.op(opAppends)
			}
			p.op(opBinPut, 200)
			// What is left below the outermost list belongs to nobody: pack it.
			return append(*p, opStop)
		}(), Corrupt, "leaves"},
		{"billion laughs, packed", func() []byte {
			p := &pickler{opProto, 2, opEmptyDict}
			p.str("a")
			p.op(opMark, opEmptyTuple, opBinPut, 0)
			for i := range byte(40) {
				p.op(opMark)
				for range 9 {
					p.op(opBinGet, i)
				}
				p.op(opTuple, opBinPut, i+1)
			}
			p.op(opTuple, opSetItem, opStop)
			return *p
		}(), Limit, "unfolds"},
		{"list in itself", raw("}X\x01\x00\x00\x00a]q\x00h\x00as"), Limit, "deeper"},
		{"dict in itself", raw("}q\x00X\x01\x00\x00\x00ah\x00s"), Limit, "deeper"},
		{"many stored values", func() []byte {
			p := &pickler{opProto, 2, opNone}
			for i := range maxMemo + 1 {
				p.op(opLongBinPut, byte(i), byte(i>>8), byte(i>>16), 0)
			}
			return append(*p, opStop)
		}(), Limit, "stores more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := torchFile(c.pickle, floats(6))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := openBytes(file)
			runtime.ReadMemStats(&after)
			expectKind(t, err, c.kind, c.text)
			if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20+2*uint64(len(file)) {
				t.Errorf("allocated %d MiB", used>>20)
			}
			var e *Error
			if errors.As(err, &e) && (e.Kind == Forbidden && (e.Offset < 0 || !strings.Contains(e.Entry, "data.pkl"))) {
				t.Errorf("no entry or offset in %v", err)
			}
		})
	}
}

func TestPickleValues(t *testing.T) {
	v, err := unpickle([]byte("\x80\x02(NI"), false)
	if !errors.Is(err, Forbidden) {
		t.Errorf("%v, %v", v, err)
	}
	for src, want := range map[string]pickleValue{
		"N": nil, "\x88": true, "\x89": false,
		"K\xff": int64(255), "M\x00\x01": int64(256), "J\xff\xff\xff\xff": int64(-1),
		"\x8a\x00": int64(0), "\x8a\x01\xff": int64(-1), "\x8a\x02\xff\x00": int64(255),
		"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80": int64(-1 << 63),
		"G\x3f\xf8\x00\x00\x00\x00\x00\x00":        1.5,
		"X\x02\x00\x00\x00h\xc3":                   nil,
		"X\x02\x00\x00\x00\xc3\xa9":                "é",
	} {
		got, err := unpickle([]byte("\x80\x02"+src+"."), false)
		if got != want {
			t.Errorf("%q: %v, %v; want %v", src, got, err, want)
		}
	}
}
