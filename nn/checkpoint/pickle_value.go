package checkpoint

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
