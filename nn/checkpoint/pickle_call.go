package checkpoint

import (
	"bytes"
	"slices"
	"strings"
)

// This file is what a pickle may name and call.

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
