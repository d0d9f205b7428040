package checkpoint

import "strings"

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
