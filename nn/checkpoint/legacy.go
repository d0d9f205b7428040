package checkpoint

import (
	"encoding/binary"
	"io"
)

// legacyMagic begins what torch.save wrote before version 1.6, and still
// writes when it is asked to: the pickled number 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."

const legacyVersion = 1001

// readLegacy reads that format: five pickles one behind the other (the magic
// number, a version, the machine that wrote it, the object, the keys of its
// storages), then for each key the number of elements and the elements. It
// has no checksums.
func readLegacy(path string, r io.ReaderAt, fileSize int64) (*container, error) {
	src := make([]byte, min(fileSize, maxPickle))
	if err := readFull(r, src, 0); err != nil {
		return nil, err
	}
	m := &pickleMachine{src: src, pos: len(legacyMagic), legacy: true, storages: make(map[string]*pickleStorage)}
	version, err := m.run()
	if err != nil {
		return nil, err
	}
	if version != pickleValue(int64(legacyVersion)) {
		return nil, fault(Unsupported, "version of torch.save's old format").wanted(legacyVersion, typeName(version))
	}
	machine, err := m.run()
	if err != nil {
		return nil, err
	}
	if err := checkLegacyMachine(machine); err != nil {
		return nil, err
	}
	top, err := m.run()
	if err != nil {
		return nil, err
	}
	keys, err := m.run()
	if err != nil {
		return nil, err
	}
	list, ok := keys.(*pickleList)
	if !ok {
		return nil, fault(Corrupt, "storage keys").at(int64(m.start)).wanted("list", typeName(keys))
	}
	stores, err := legacyStorages(path, r, fileSize, int64(m.pos), list.items, m.storages)
	if err != nil {
		return nil, err
	}
	w := newPickleWalk(fileSize, func(s *pickleStorage) (*storage, error) { return stores[s.key], nil })
	if err := w.top(top, false); err != nil {
		return nil, err
	}
	return w.container(), nil
}

// checkLegacyMachine refuses files of machines with another byte order.
func checkLegacyMachine(machine pickleValue) error {
	dict, ok := machine.(*pickleDict)
	if !ok {
		return fault(Corrupt, "description of the machine that saved the file").wanted("dict", typeName(machine))
	}
	for i, key := range dict.keys {
		if key == pickleValue("little_endian") && dict.values[i] != pickleValue(true) {
			return fault(Unsupported, "byte order of the machine that saved the file").wanted("little-endian", "another")
		}
	}
	return nil
}

// legacyStorages finds the storages' elements, which have to fill the file
// from byte at to its end.
func legacyStorages(path string, r io.ReaderAt, fileSize, at int64, keys []pickleValue, known map[string]*pickleStorage) (map[string]*storage, error) {
	stores := make(map[string]*storage, len(keys))
	for _, k := range keys {
		key, _ := k.(string)
		s := known[key]
		if s == nil || stores[key] != nil {
			return nil, fault(Corrupt, "the file lists storages other than its tensors'").in(keyText(k)).at(at)
		}
		var count [8]byte
		if fileSize-at < int64(len(count)) {
			return nil, fault(Corrupt, "the file ends before its storages: truncated").in(key).at(at)
		}
		if err := readFull(r, count[:], at); err != nil {
			return nil, err
		}
		if n := binary.LittleEndian.Uint64(count[:]); n != uint64(s.count) {
			return nil, fault(Corrupt, "storage does not have the size of its tensors").in(key).at(at).wanted(s.count, n)
		}
		at += int64(len(count))
		bytes, ok := sizeOf(uint64(s.count)).times(uint64(s.dtype.Size())).int64()
		if !ok || bytes > fileSize-at {
			return nil, fault(Corrupt, "storage reaches beyond the file: truncated").in(key).at(at).wanted(fileSize-at, bytes)
		}
		stores[key] = &storage{r: r, path: path, entry: key, offset: at, size: bytes}
		at += bytes
	}
	switch {
	case len(stores) != len(known):
		return nil, fault(Corrupt, "the file lists storages other than its tensors'").at(at).wanted(len(known), len(stores))
	case at != fileSize:
		return nil, fault(Corrupt, "bytes after the last storage").at(at).wanted(at, fileSize)
	}
	return stores, nil
}
