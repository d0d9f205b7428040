package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A record is one entry of an archive under construction.
type record struct {
	name   string
	data   []byte
	method uint16
	plain  bool // no data descriptor: sizes stand in the local header
}

// An archive is a zip file as torch writes it, with the places of its parts,
// for tests that edit them.
type archive struct {
	bytes []byte
	local []int // offset of each record's local header
	data  []int // offset of each record's data
	entry []int // offset of each record's directory entry
	end   int   // offset of the end record
	end64 int   // offset of the zip64 end record
}

func buildArchive(records []record) archive {
	le := binary.LittleEndian
	var a archive
	for _, r := range records {
		flags := uint16(flagDescriptor | flagUTF8)
		crc, n := crc32.ChecksumIEEE(r.data), uint32(len(r.data))
		if r.plain {
			flags = 0
		}
		a.local = append(a.local, len(a.bytes))
		h := make([]byte, localSize)
		le.PutUint32(h, localMagic)
		le.PutUint16(h[6:], flags)
		le.PutUint16(h[8:], r.method)
		if r.plain {
			le.PutUint32(h[14:], crc)
			le.PutUint32(h[18:], n)
			le.PutUint32(h[22:], n)
		}
		le.PutUint16(h[26:], uint16(len(r.name)))
		// torch pads in the extra field, to 64 bytes; 8 keep the tests small.
		pad := 4 + (16-(len(a.bytes)+localSize+len(r.name)+4)%8)%8
		le.PutUint16(h[28:], uint16(pad))
		extra := append([]byte{'F', 'B', byte(pad - 4), 0}, bytes.Repeat([]byte{'Z'}, pad-4)...)
		a.bytes = append(append(append(a.bytes, h...), r.name...), extra...)
		a.data = append(a.data, len(a.bytes))
		a.bytes = append(a.bytes, r.data...)
		if !r.plain {
			a.bytes = le.AppendUint32(a.bytes, descriptorMark)
			a.bytes = le.AppendUint32(a.bytes, crc)
			a.bytes = le.AppendUint32(a.bytes, n)
			a.bytes = le.AppendUint32(a.bytes, n)
		}
	}
	start := len(a.bytes)
	for i, r := range records {
		a.entry = append(a.entry, len(a.bytes))
		h := make([]byte, entrySize)
		le.PutUint32(h, entryMagic)
		le.PutUint16(h[8:], le.Uint16(a.bytes[a.local[i]+6:]))
		le.PutUint16(h[10:], r.method)
		le.PutUint32(h[16:], crc32.ChecksumIEEE(r.data))
		le.PutUint32(h[20:], uint32(len(r.data)))
		le.PutUint32(h[24:], uint32(len(r.data)))
		le.PutUint16(h[28:], uint16(len(r.name)))
		le.PutUint32(h[42:], uint32(a.local[i]))
		a.bytes = append(append(a.bytes, h...), r.name...)
	}
	size := len(a.bytes) - start
	a.end64 = len(a.bytes)
	h := make([]byte, end64Size)
	le.PutUint32(h, end64Magic)
	le.PutUint64(h[4:], end64Size-12)
	le.PutUint64(h[24:], uint64(len(records)))
	le.PutUint64(h[32:], uint64(len(records)))
	le.PutUint64(h[40:], uint64(size))
	le.PutUint64(h[48:], uint64(start))
	a.bytes = append(a.bytes, h...)
	h = make([]byte, locatorSize)
	le.PutUint32(h, locatorMagic)
	le.PutUint64(h[8:], uint64(a.end64))
	le.PutUint32(h[16:], 1)
	a.bytes = append(a.bytes, h...)
	a.end = len(a.bytes)
	h = make([]byte, endSize)
	le.PutUint32(h, endMagic)
	le.PutUint16(h[8:], uint16(len(records)))
	le.PutUint16(h[10:], uint16(len(records)))
	le.PutUint32(h[12:], uint32(size))
	le.PutUint32(h[16:], uint32(start))
	a.bytes = append(a.bytes, h...)
	return a
}

// torchRecords are the records of a torch.save archive with one storage.
func torchRecords(pickle, storage []byte) []record {
	return []record{
		{name: "m/data.pkl", data: pickle},
		{name: "m/byteorder", data: []byte("little")},
		{name: "m/data/0", data: storage},
		{name: "m/version", data: []byte("3\n")},
	}
}

func openBytes(b []byte) (*File, error) {
	return NewFile("test.pt", bytes.NewReader(b), int64(len(b)))
}

// A pickler assembles pickles for tests.
type pickler []byte

func (p *pickler) op(b ...byte) { *p = append(*p, b...) }
func (p *pickler) str(s string) {
	p.op(opBinUnicode)
	*p = binary.LittleEndian.AppendUint32(*p, uint32(len(s)))
	p.op([]byte(s)...)
}
func (p *pickler) glob(m string) { p.op(opGlobal); p.op([]byte(m)...); p.op('\n') }
func (p *pickler) num(n int) {
	if n >= 0 && n < 256 {
		p.op(opBinInt1, byte(n))
		return
	}
	p.op(opLong1, 8)
	*p = binary.LittleEndian.AppendUint64(*p, uint64(int64(n)))
}
func (p *pickler) nums(n ...int) {
	p.op(opMark)
	for _, n := range n {
		p.num(n)
	}
	p.op(opTuple)
}

func (p *pickler) storage(class, key string, count int) {
	p.op(opMark)
	p.str("storage")
	p.glob("torch\n" + class)
	p.str(key)
	p.str("cuda:0")
	p.num(count)
	p.op(opTuple, opBinPersID)
}

func (p *pickler) tensor(class, key string, count, first int, shape, strides []int) {
	p.glob("torch._utils\n_rebuild_tensor_v2")
	p.op(opMark)
	p.storage(class, key, count)
	p.num(first)
	p.nums(shape...)
	p.nums(strides...)
	p.op(opNewFalse)
	p.glob("collections\nOrderedDict")
	p.op(opEmptyTuple, opReduce, opTuple, opReduce)
}

// stateDict is a pickle of {"w": tensor}.
func stateDict(class string, count, first int, shape, strides []int) []byte {
	return inDict(func(p *pickler) { p.tensor(class, "0", count, first, shape, strides) })
}

// inDict is a pickle of {"w": value}.
func inDict(value func(*pickler)) []byte {
	p := &pickler{opProto, 2, opEmptyDict}
	p.str("w")
	value(p)
	p.op(opSetItem, opStop)
	return *p
}

func torchFile(pickle, storage []byte) []byte {
	return buildArchive(torchRecords(pickle, storage)).bytes
}

func floats(n int) []byte {
	var b []byte
	for i := range n {
		b = binary.LittleEndian.AppendUint32(b, 0x3f800000+uint32(i)<<10)
	}
	return b
}

func TestTorchArchiveBuiltByHand(t *testing.T) {
	f, err := openBytes(torchFile(stateDict("FloatStorage", 6, 0, []int{2, 3}, []int{3, 1}), floats(6)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.ReadBytes("w")
	if err != nil || !bytes.Equal(b, floats(6)) {
		t.Errorf("%x, %v", b, err)
	}
}

func TestViews(t *testing.T) {
	f, err := Open("testdata/views.pt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string][]float32{
		"whole":      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},
		"transposed": {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11},
		"column":     {1, 5, 9},
		"empty":      {},
	} {
		got := make([]float32, len(want))
		if err := f.Read(name, got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if b, err := f.ReadBytes("long"); err != nil || !bytes.Equal(b, []byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("long: %x, %v", b, err)
	}
	if info, _ := f.Info("long"); info.DType != I64 {
		t.Errorf("%+v", info)
	}
}

// Random strided views against a reference that computes every index anew.
// A view is accepted exactly when it stays inside its storage and does not
// repeat elements beyond the storage's number.
func TestRandomViews(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	storage := floats(24)
	accepted := 0
	for range 3000 {
		rank := rng.IntN(4)
		shape, strides := make([]int, rank), make([]int, rank)
		count, last := 1, 0
		for i := range rank {
			shape[i], strides[i] = rng.IntN(5), rng.IntN(9)
			count *= shape[i]
			last += (shape[i] - 1) * strides[i]
		}
		first := rng.IntN(27)
		legal := first <= 24 && (count == 0 || first+last < 24 && count <= 24)
		f, err := openBytes(torchFile(stateDict("FloatStorage", 24, first, shape, strides), storage))
		if legal != (err == nil) {
			t.Fatalf("shape %v strides %v first %d: %v", shape, strides, first, err)
		}
		if err != nil {
			if !errors.Is(err, Corrupt) {
				t.Fatal(err)
			}
			continue
		}
		accepted++
		want := []byte{}
		for flat := range count {
			at := first
			for i, rest := rank-1, flat; i >= 0; i-- {
				at += rest % shape[i] * strides[i]
				rest /= shape[i]
			}
			want = append(want, storage[4*at:4*at+4]...)
		}
		got, err := f.ReadBytes("w")
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("shape %v strides %v first %d: %x, %v; want %x", shape, strides, first, got, err, want)
		}
	}
	if accepted < 300 {
		t.Errorf("only %d views were legal", accepted)
	}
}

// A strided read longer than one chunk.
func TestLongStridedRead(t *testing.T) {
	const n = 3*chunkSize/4 + 17
	storage := floats(2 * n)
	f, err := openBytes(torchFile(stateDict("FloatStorage", 2*n, 1, []int{n}, []int{2}), storage))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.ReadBytes("w")
	if err != nil || len(got) != 4*n {
		t.Fatal(len(got), err)
	}
	for i := range n {
		if !bytes.Equal(got[4*i:4*i+4], storage[4*(2*i+1):4*(2*i+1)+4]) {
			t.Fatalf("element %d", i)
		}
	}
}

// The code of a TorchScript archive has no influence, whatever it is.
func TestTorchScriptCodeIsNotRead(t *testing.T) {
	b, err := os.ReadFile("testdata/small_script.pt")
	if err != nil {
		t.Fatal(err)
	}
	entries, root, err := readZip(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	digestOf := func(hostile []record) string {
		var records []record
		names := slices.SortedFunc(keys(entries), func(a, b string) int { return cmp.Compare(entries[a].header, entries[b].header) })
		for _, name := range names {
			e := entries[name]
			if !strings.HasPrefix(name, root+"/code/") {
				records = append(records, record{name: name, data: b[e.data : e.data+e.packed], method: e.method})
			}
		}
		f, err := openBytes(buildArchive(append(records, hostile...)).bytes)
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewModel(f)
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	// Deflate data that would expand for ever, and source text that is not.
	bomb := record{name: root + "/code/__torch__.py", data: bytes.Repeat([]byte{0xed, 0xc1, 0x01}, 1000), method: 8}
	garbage := record{name: root + "/code/x.py", data: []byte("import os; os.system('true')")}
	if digestOf(nil) != digestOf([]record{bomb, garbage}) {
		t.Error("code/ changed the model")
	}
}

// A module of both activations is refused; of neither, it does not say.
func TestActivationOfClasses(t *testing.T) {
	for _, c := range []struct {
		classes []string
		want    string
		kind    Kind
	}{
		{[]string{"__torch__.a.___torch_mangle_3.QuickGELU", "__torch__.a.LayerNorm"}, "quickgelu", 0},
		{[]string{"__torch__.torch.nn.modules.activation.GELU"}, "gelu", 0},
		{[]string{"__torch__.a.NotQuickGELU"}, "", 0},
		{nil, "", 0},
		{[]string{"__torch__.GELU", "__torch__.QuickGELU"}, "", Unsupported},
	} {
		f := memory(t, nil, zeros("visual.proj", F32, 2, 3))
		f.format, f.classes = formatTorchScript, c.classes
		m, err := NewModel(f)
		expectKind(t, err, c.kind, "")
		if err == nil && m.Activation() != c.want {
			t.Errorf("%q: %q", c.classes, m.Activation())
		}
	}
}

// The version of a TorchScript archive is at .data/version where its code uses operators that were changed since.
func TestVersionInData(t *testing.T) {
	m := openModel(t, "testdata/gelu_script.pt")
	if m.Activation() != "gelu" || m.Format() != formatTorchScript {
		t.Errorf("%s, %s", m.Activation(), m.Format())
	}
}

// Files in the format of before torch 1.6, with one thing wrong.
func TestOldTorchFormat(t *testing.T) {
	good, err := os.ReadFile("testdata/legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	f, err := openBytes(good)
	if err != nil {
		t.Fatal(err)
	}
	got := []float32{1, 1}
	if err := f.Read("a", got); err != nil || got[0] != 0 || got[1] != 0 || f.Format() != formatTorch {
		t.Errorf("%v, %v, %s", got, err, f.Format())
	}
	edit := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("no %q", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	for _, c := range []struct {
		b    []byte
		kind Kind
		text string
	}{
		{append(slices.Clone(good), 0), Corrupt, "after the last storage"},
		{good[:len(good)-1], Corrupt, "truncated"},
		{good[:len(good)-9], Corrupt, "truncated"},
		{edit("M\xe9\x03.", "M\xea\x03."), Unsupported, "version"},
		{edit("little_endianq\x02\x88", "little_endianq\x02\x89"), Unsupported, "byte order"},
		{edit("collections\nOrderedDict", "collections\nOrderedDicu"), Forbidden, "OrderedDicu"},
		{append(slices.Clone(good[:len(good)-16]), append([]byte{3}, good[len(good)-15:]...)...), Corrupt, "size of its tensors"},
	} {
		_, err := openBytes(c.b)
		expectKind(t, err, c.kind, c.text)
	}
	for n := range good {
		if _, err := openBytes(good[:n]); err == nil {
			t.Errorf("the first %d bytes were read", n)
		}
	}
}

// A few bytes that claim much work: each is refused by what it would take, not by how long it took.
func TestPickleBudgets(t *testing.T) {
	// A dict whose many values are the dict itself: what waits to be visited counts.
	circular := pickleOf(func(p *pickler) {
		p.op(opEmptyDict, opBinPut, 0, opMark)
		for i := range 20_000 {
			p.num(i)
			p.op(opBinGet, 0)
		}
		p.op(opSetItems)
	})
	w := newPickleWalk(1<<20, nil)
	top, err := unpickle(circular, false)
	if err != nil {
		t.Fatal(err)
	}
	before := testing.AllocsPerRun(1, func() { err = w.top(top, false) })
	expectKind(t, inFile("x", err), Limit, "unfolds")
	if before > 3*maxVisits {
		t.Errorf("%v allocations before it was refused", before)
	}

	// Views of two elements that lie at either end of one storage: reading each takes all of it.
	const views, elements = 1000, 1000
	p := &pickler{opProto, 2, opEmptyDict}
	for i := range views {
		p.str("w" + strconv.Itoa(i))
		p.tensor("FloatStorage", "0", elements, 0, []int{2}, []int{elements - 1})
		p.op(opSetItem)
	}
	p.op(opStop)
	_, err = openBytes(torchFile(*p, floats(elements)))
	expectKind(t, err, Limit, "more than twice the file")
}

func keys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Archives with one thing wrong.
func TestBadArchives(t *testing.T) {
	le := binary.LittleEndian
	good := stateDict("FloatStorage", 6, 0, []int{6}, []int{1})
	edit := func(change func(a archive)) []byte {
		a := buildArchive(torchRecords(good, floats(6)))
		change(a)
		return a.bytes
	}
	with := func(change func(r []record) []record) []byte {
		return buildArchive(change(torchRecords(good, floats(6)))).bytes
	}
	for _, c := range []struct {
		name string
		file []byte
		kind Kind
		text string
	}{
		{"prefix", append([]byte("x"), torchFile(good, floats(6))...), Unsupported, "neither"},
		{"suffix", append(torchFile(good, floats(6)), 0), Corrupt, "appended"},
		{"archive twice", slices.Concat(torchFile(good, floats(6)), torchFile(good, floats(6))), Corrupt, "directory"},
		{"comment", edit(func(a archive) { le.PutUint16(a.bytes[a.end+20:], 1) }), Corrupt, "appended"},
		{"several parts", edit(func(a archive) { le.PutUint16(a.bytes[a.end+4:], 1) }), Unsupported, "parts"},
		{"entry counts differ", edit(func(a archive) { le.PutUint16(a.bytes[a.end+8:], 1) }), Unsupported, "parts"},
		{"fewer entries in old record", edit(func(a archive) { le.PutUint32(a.bytes[a.end+8:], 0x00010001) }), Corrupt, "disagree"},
		{"size lies", edit(func(a archive) { a.bytes[a.end+12]++ }), Corrupt, "disagree"},
		{"start lies", edit(func(a archive) { a.bytes[a.end+16]++ }), Corrupt, "disagree"},
		{"zip64 size lies", edit(func(a archive) { le.PutUint32(a.bytes[a.end+12:], 1<<32-1); a.bytes[a.end64+40]++ }), Corrupt, "where the archive says"},
		{"zip64 start wraps", edit(func(a archive) {
			le.PutUint32(a.bytes[a.end+16:], 1<<32-1)
			le.PutUint64(a.bytes[a.end64+48:], 1<<64-1)
		}), Corrupt, "where the archive says"},
		{"zip64 counts lie", edit(func(a archive) { a.bytes[a.end64+24]++ }), Corrupt, "zip64"},
		{"zip64 many entries", edit(func(a archive) {
			le.PutUint32(a.bytes[a.end+8:], 1<<32-1)
			le.PutUint64(a.bytes[a.end64+24:], 1<<40)
			le.PutUint64(a.bytes[a.end64+32:], 1<<40)
		}), Limit, "entries"},
		{"zip64 magic", edit(func(a archive) { a.bytes[a.end64]++ }), Corrupt, "zip64"},
		{"zip64 length", edit(func(a archive) { a.bytes[a.end64+4]++ }), Corrupt, "zip64"},
		{"zip64 locator offset", edit(func(a archive) { a.bytes[a.end64+end64Size+8]++ }), Corrupt, "zip64"},
		{"zip64 missing", edit(func(a archive) { a.bytes[a.end64+end64Size]++; le.PutUint32(a.bytes[a.end+16:], 1<<32-1) }), Corrupt, "missing"},
		{"no entries", buildArchive(nil).bytes, Unsupported, "neither"},
		{"entry magic", edit(func(a archive) { a.bytes[a.entry[1]]++ }), Corrupt, "directory entry"},
		{"entry name too long", edit(func(a archive) { le.PutUint16(a.bytes[a.entry[3]+28:], 60000) }), Corrupt, "beyond"},
		{"entry comment", edit(func(a archive) {
			le.PutUint16(a.bytes[a.entry[3]+28:], 8)
			le.PutUint16(a.bytes[a.entry[3]+32:], 1)
		}), Corrupt, "comment"},
		{"entry on disk 1", edit(func(a archive) { a.bytes[a.entry[0]+34] = 1 }), Unsupported, "parts"},
		{"encrypted", edit(func(a archive) { a.bytes[a.entry[0]+8] |= 1 }), Unsupported, "encrypted"},
		{"strong encryption", edit(func(a archive) { a.bytes[a.entry[0]+8] |= 1 << 6 }), Unsupported, "flags"},
		{"masked headers", edit(func(a archive) { a.bytes[a.entry[0]+9] |= 1 << 5 }), Unsupported, "flags"},
		{"extra field cut", edit(func(a archive) {
			le.PutUint16(a.bytes[a.entry[3]+28:], 7)
			le.PutUint16(a.bytes[a.entry[3]+30:], 2)
		}), Corrupt, "extra"},
		{"zip64 field missing", edit(func(a archive) { le.PutUint32(a.bytes[a.entry[2]+42:], 1<<32-1) }), Corrupt, "zip64 extra"},
		{"two sizes", edit(func(a archive) { a.bytes[a.entry[2]+24]++ }), Corrupt, "two sizes"},
		{"deflated storage", edit(func(a archive) { a.bytes[a.entry[2]+10] = 8; a.bytes[a.local[2]+8] = 8 }), Unsupported, "compressed"},
		{"deflated pickle", edit(func(a archive) { a.bytes[a.entry[0]+10] = 8; a.bytes[a.local[0]+8] = 8 }), Unsupported, "compressed"},
		{"method differs", edit(func(a archive) { a.bytes[a.local[2]+8] = 8 }), Corrupt, "disagree"},
		{"flags differ", edit(func(a archive) { a.bytes[a.local[2]+6] ^= 2 }), Corrupt, "disagree"},
		{"name differs", edit(func(a archive) { a.bytes[a.local[2]+localSize+2] ^= 1 }), Corrupt, "disagree"},
		{"crc in header differs", edit(func(a archive) { a.bytes[a.local[2]+14]++ }), Corrupt, "disagree"},
		{"size in header differs", with(func(r []record) []record { r[2].plain = true; return r }), 0, ""},
		{"descriptor differs", edit(func(a archive) { a.bytes[a.data[2]+24+8]++ }), Corrupt, "descriptor"},
		{"local magic", edit(func(a archive) { a.bytes[a.local[1]]++ }), Corrupt, "no zip header"},
		{"first header elsewhere", edit(func(a archive) { a.bytes[a.entry[0]+42]++ }), Corrupt, "between"},
		{"two entries, one place", edit(func(a archive) {
			copy(a.bytes[a.entry[2]+42:a.entry[2]+46], a.bytes[a.entry[0]+42:])
		}), Corrupt, "overlap"},
		{"entries behind the file", edit(func(a archive) {
			const size = 1 << 20
			last := len(a.entry) - 1
			le.PutUint32(a.bytes[a.entry[last-1]+20:], size)
			le.PutUint32(a.bytes[a.entry[last-1]+24:], size)
			le.PutUint32(a.bytes[a.entry[last]+42:], uint32(a.data[last-1]+size+16))
		}), Corrupt, "reaches into"},
		{"overlap by size", edit(func(a archive) { a.bytes[a.entry[1]+20] += 100; a.bytes[a.entry[1]+24] += 100 }), Corrupt, "reaches into"},
		{"gap by size", edit(func(a archive) { a.bytes[a.entry[2]+20] -= 8; a.bytes[a.entry[2]+24] -= 8 }), Corrupt, "descriptor"},
		{"local name too long", edit(func(a archive) { le.PutUint16(a.bytes[a.local[3]+26:], 65535) }), Corrupt, "reaches into"},
		{"duplicate", with(func(r []record) []record { return append(r, r[2]) }), Corrupt, "twice"},
		{"duplicate of a folder", with(func(r []record) []record { return append(r, record{name: "m/data/0/"}) }), Corrupt, "twice"},
		{"two roots", with(func(r []record) []record { return append(r, record{name: "n/data.pkl"}) }), Corrupt, "roots"},
		{"parent", with(func(r []record) []record { return append(r, record{name: "m/../../x"}) }), Corrupt, "relative"},
		{"absolute", with(func(r []record) []record { return append(r, record{name: "/m/x"}) }), Corrupt, "relative"},
		{"backslash", with(func(r []record) []record { return append(r, record{name: `m\x`}) }), Corrupt, "relative"},
		{"dot", with(func(r []record) []record { return append(r, record{name: "m/./x"}) }), Corrupt, "relative"},
		{"NUL", with(func(r []record) []record { return append(r, record{name: "m/x\x00"}) }), Corrupt, "relative"},
		{"not UTF-8", with(func(r []record) []record { return append(r, record{name: "m/\xff"}) }), Corrupt, "relative"},
		{"no name", with(func(r []record) []record { return append(r, record{name: ""}) }), Limit, "name"},
		{"long name", with(func(r []record) []record { return append(r, record{name: "m/" + strings.Repeat("x", maxZipName)}) }), Limit, "name"},
		{"folder with content", with(func(r []record) []record { return append(r, record{name: "m/f/", data: []byte("x")}) }), Corrupt, "folder"},
		{"no pickle", with(func(r []record) []record { return r[1:] }), Unsupported, "not saved by torch"},
		{"no version", with(func(r []record) []record { return r[:3] }), Corrupt, "version"},
		{"odd version", with(func(r []record) []record { r[3].data = []byte("v3"); return r }), Unsupported, "version"},
		{"big endian", with(func(r []record) []record { r[1].data = []byte("big"); return r }), Unsupported, "byte order"},
		{"no storage", with(func(r []record) []record { r[2].name = "m/data/1"; return r }), Corrupt, "missing"},
		{"storage too short", torchFile(good, floats(5)), Corrupt, "size of 6 elements"},
		{"storage too long", torchFile(good, floats(7)), Corrupt, "size of 6 elements"},
		{"damaged pickle", edit(func(a archive) { a.bytes[a.data[0]+5] ^= 1 }), Corrupt, "CRC-32"},
		{"too many entries", with(func(r []record) []record {
			for i := range maxZipEntries {
				r = append(r, record{name: "m/x" + intText(int64(i))})
			}
			return r
		}), Limit, "entries"},
		{"large pickle", torchFile(append(good, make([]byte, maxPickle)...), floats(6)), Limit, "too large"},
		{"safetensors as well", func() []byte {
			zip := torchFile(good, floats(6))
			header := `{"x":{"dtype":"U8","shape":[` + intText(int64(len(zip))) + `],"data_offsets":[0,` + intText(int64(len(zip))) + `]}}`
			b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
			return slices.Concat(b, []byte(header), zip)
		}(), Corrupt, "both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := openBytes(c.file)
			expectKind(t, err, c.kind, c.text)
		})
	}
}

func expectKind(t *testing.T, err error, kind Kind, text string) {
	t.Helper()
	if kind == 0 {
		if err != nil {
			t.Error(err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("error %v (%T), want an *Error of kind %v", err, err, kind)
		return
	}
	if e.Kind != kind || !strings.Contains(err.Error(), text) || e.Path == "" {
		t.Errorf("error %v; want kind %v, text %q, a path", err, kind, text)
	}
}

// Damage to a storage is found when it is read, in part or in whole.
func TestStorageCRC(t *testing.T) {
	for _, shape := range []int{6, 3} {
		a := buildArchive(torchRecords(stateDict("FloatStorage", 6, 0, []int{shape}, []int{1}), floats(6)))
		a.bytes[a.data[2]+23] ^= 1
		f, err := openBytes(a.bytes)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			err = f.Read("w", make([]float32, shape))
			expectKind(t, err, Corrupt, "CRC-32")
		}
	}
}
