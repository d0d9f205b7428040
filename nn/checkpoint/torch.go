package checkpoint

import (
	"io"
	"maps"
	"slices"
	"strings"
)

// readTorch reads what torch.save or torch.jit.save wrote: a zip archive with
// a pickle, <root>/data.pkl, that describes tensors, and their storages as
// plain records <root>/data/<key>. The program text of a TorchScript archive
// (<root>/code/) is never opened.
func readTorch(path string, r io.ReaderAt, fileSize int64) (c *container, torchScript bool, err error) {
	entries, root, err := readZip(r, fileSize)
	if err != nil {
		return nil, false, err
	}
	data := entries[root+"/data.pkl"]
	if data == nil {
		return nil, false, fault(Unsupported, "zip archive without %s: not saved by torch", quote(root+"/data.pkl"))
	}
	if order := entries[root+"/byteorder"]; order != nil {
		text, err := order.content(r, 16)
		if err != nil {
			return nil, false, err
		}
		if string(text) != "little" {
			return nil, false, fault(Unsupported, "byte order of the machine that saved the file").
				in(order.name).wanted(`"little"`, quote(string(text)))
		}
	}
	// torch.jit.save has it in one place or the other, by what operators the code uses.
	version := entries[root+"/version"]
	if version == nil {
		version = entries[root+"/.data/version"]
	}
	if err := checkVersion(r, version); err != nil {
		return nil, false, err
	}
	pickle, err := data.content(r, maxPickle)
	if err != nil {
		return nil, false, err
	}
	torchScript = entries[root+"/constants.pkl"] != nil
	top, err := unpickle(pickle, torchScript)
	if err != nil {
		return nil, false, entryFault(err, data.name)
	}
	records := zipRecords{r: r, path: path, prefix: root + "/data/", entries: entries, storages: make(map[string]*sharedStorage)}
	w := newPickleWalk(fileSize, records.storage)
	if err := w.top(top, torchScript); err != nil {
		return nil, false, entryFault(err, data.name)
	}
	return w.container(), torchScript, nil
}

// checkVersion requires the archive's version record to be a small number.
// The versions so far differ in operators and records that are not read.
func checkVersion(r io.ReaderAt, e *zipEntry) error {
	if e == nil {
		return fault(Corrupt, "archive without a version record: not saved by torch")
	}
	text, err := e.content(r, 16)
	if err != nil {
		return err
	}
	digits := strings.TrimSuffix(string(text), "\n")
	if !decimal(digits) || len(digits) > 2 {
		return fault(Unsupported, "archive version").in(e.name).wanted("a number below 100", quote(string(text)))
	}
	return nil
}

// A pickleWalk names the tensors of an unpickled value by their paths: dict
// keys, attribute names and list positions joined by dots.
type pickleWalk struct {
	room    size // bytes all tensors together may have
	used    size
	storage func(*pickleStorage) (*storage, error)
	tensors map[string]*tensor
	classes map[string]bool
	nested  map[string]bool // keys of the outermost dict whose values are dicts
}

func newPickleWalk(fileSize int64, storage func(*pickleStorage) (*storage, error)) *pickleWalk {
	return &pickleWalk{
		room:    sizeOf(uint64(fileSize)).times(2),
		storage: storage,
		tensors: make(map[string]*tensor),
		classes: make(map[string]bool),
		nested:  make(map[string]bool),
	}
}

func (w *pickleWalk) container() *container {
	return &container{tensors: w.tensors, classes: slices.Sorted(maps.Keys(w.classes)), nested: w.nested}
}

// A sharedStorage is a record that one or more tensors view.
type sharedStorage struct {
	dtype DType
	count int64
	store *storage
}

// A visit is a value with its path, waiting to be looked at.
type visit struct {
	name  string
	depth int
	value pickleValue
}

func (w *pickleWalk) top(top pickleValue, torchScript bool) error {
	if torchScript {
		if _, ok := top.(*pickleRecord); !ok {
			return fault(Corrupt, "TorchScript archive").wanted("a module", typeName(top))
		}
	} else if _, ok := top.(*pickleDict); !ok {
		return fault(Unsupported, "not a state dict; save model.state_dict()").wanted("dict", typeName(top))
	}
	if dict, ok := top.(*pickleDict); ok {
		for i, key := range dict.keys {
			if _, ok := dict.values[i].(*pickleDict); ok {
				w.nested[keyText(key)] = true
			}
		}
	}
	// A loop with its own stack, and a budget: a few kilobytes of shared or
	// circular references unfold into a tree of any size. What waits on the
	// stack counts as visited: one dict may put a hundred thousand there.
	stack := []visit{{value: top}}
	for visits := 0; len(stack) > 0; visits++ {
		if visits+len(stack) > maxVisits {
			return fault(Limit, "pickle unfolds into more than %d values", maxVisits)
		}
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if v.depth > maxDepth {
			return fault(Limit, "pickle nests values deeper than %d", maxDepth).in(v.name)
		}
		var err error
		if stack, err = w.visit(v, stack); err != nil {
			return err
		}
	}
	return nil
}

// visit adds a tensor to the result or a collection's values to the stack.
func (w *pickleWalk) visit(v visit, stack []visit) ([]visit, error) {
	child := func(key string, value pickleValue) {
		switch value.(type) {
		case pickleTuple, *pickleList, *pickleDict, *pickleRecord, *pickleTensor:
			name := key
			if v.depth > 0 {
				// Too long a name is cut, not refused: it may lead to no
				// tensor. If it does, validName still sees it as too long.
				name = v.name[:min(len(v.name), maxName)] + "." + key[:min(len(key), maxName)]
			}
			stack = append(stack, visit{name, v.depth + 1, value})
		}
	}
	switch value := v.value.(type) {
	case *pickleTensor:
		return stack, w.addTensor(v.name, value)
	case *pickleDict:
		for i, key := range value.keys {
			child(keyText(key), value.values[i])
		}
	case *pickleRecord:
		w.classes[value.class] = true
		if value.attrs != nil {
			for i, key := range value.attrs.keys {
				child(keyText(key), value.attrs.values[i])
			}
		}
	case *pickleList:
		for i, item := range value.items {
			child(intText(int64(i)), item)
		}
	case pickleTuple:
		for i, item := range value {
			child(intText(int64(i)), item)
		}
	}
	return stack, nil
}

func (w *pickleWalk) addTensor(name string, t *pickleTensor) error {
	if !validName(name) {
		return fault(Corrupt, "tensor name is not 1 to %d bytes of printable ASCII", maxName).in(name).at(t.offset)
	}
	if w.tensors[name] != nil {
		return fault(Corrupt, "two tensors of one name").in(name).at(t.offset)
	}
	if len(w.tensors) == maxTensors {
		return fault(Limit, "more than %d tensors", maxTensors)
	}
	store, err := w.storage(t.storage)
	if err != nil {
		return err
	}
	result := &tensor{
		Info:  Info{Name: name, DType: t.storage.dtype, Shape: t.shape},
		store: store, first: t.first,
	}
	if !rowMajor(t.shape, t.strides) {
		result.strides = t.strides
	}
	// What reading it takes, which for rows that lie apart is more than its
	// elements.
	bytes := result.span().times(uint64(t.storage.dtype.Size()))
	w.used = w.used.plus(bytes.n)
	if bytes.overflow || w.used.overflow || w.used.n > w.room.n {
		return fault(Limit, "tensors that share storages add up to more than twice the file").in(name).at(t.offset)
	}
	w.tensors[name] = result
	return nil
}

// zipRecords are the storages of an archive.
type zipRecords struct {
	r        io.ReaderAt
	path     string
	prefix   string // of storage records
	entries  map[string]*zipEntry
	storages map[string]*sharedStorage
}

// storage finds the record of a storage and requires that it is as large as
// the pickle says.
func (w *zipRecords) storage(s *pickleStorage) (*storage, error) {
	if known := w.storages[s.key]; known != nil {
		if known.dtype != s.dtype || known.count != s.count {
			return nil, fault(Corrupt, "one storage with two types or lengths").in(w.prefix + s.key)
		}
		return known.store, nil
	}
	name := w.prefix + s.key
	entry := w.entries[name]
	if entry == nil {
		return nil, fault(Corrupt, "storage record missing from the archive").in(name)
	}
	bytes := sizeOf(uint64(s.count)).times(uint64(s.dtype.Size()))
	if bytes.overflow || bytes.n != entry.size {
		return nil, fault(Corrupt, "storage record does not have the size of %d elements of %v", s.count, s.dtype).
			in(name).at(int64(entry.data)).wanted(bytes.n, entry.size)
	}
	store, err := entry.stored(w.r, w.path)
	if err != nil {
		return nil, err
	}
	w.storages[s.key] = &sharedStorage{s.dtype, s.count, store}
	return store, nil
}
