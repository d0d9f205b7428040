package rmt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
)

// backbone is a digest for tests.
var backbone = strings.Repeat("0123456789abcdef", 4)

// weight is a parameter of a shape, with values that do not matter here.
func weight(dev *tensor.Device, name string, shape ...int) *nn.Param {
	return &nn.Param{Name: name, Value: dev.Zeros(tensor.Compute, shape...)}
}

// withBits is a mask of the given bits.
func withBits(p *nn.Param, keep []bool) *Mask { return Fixed(p, keep) }

// write gives the bytes of a mask file.
func write(t testing.TB, masks []*Mask, about map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteMasks(&b, masks, backbone, about); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parse reads a mask file from memory and puts the masks on.
func parse(b []byte, params []*nn.Param) (*MaskFile, []*Mask, error) {
	f, err := checkpoint.NewFile("mask", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	m, err := readMasks(f)
	if err != nil {
		return nil, nil, err
	}
	masks, err := m.Attach(params, m.Backbone)
	return m, masks, err
}

func cpuDevice(t testing.TB) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func TestMaskFileRoundTrip(t *testing.T) {
	dev := cpuDevice(t)
	about := map[string]string{"dataset": "Few", "ключ": "знач\x00ение", "empty": ""}
	for _, off := range []float64{0, 0.001, 0.025, 0.4, 0.9, 1} {
		params := []*nn.Param{weight(dev, "visual.b", 40, 30), weight(dev, "visual.a", 7, 3, 2, 2), weight(dev, "visual.c", 1, 1)}
		var masks []*Mask
		total := 0
		for i, p := range params {
			m := withBits(p, pattern(p.Value.Len(), off, uint64(i)))
			masks = append(masks, m)
			total += m.Off()
		}
		path := filepath.Join(t.TempDir(), "mask.safetensors")
		if err := SaveMasks(path, masks, backbone, about); err != nil {
			t.Fatal(err)
		}
		f, err := OpenMasks(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Backbone != backbone || !maps.Equal(f.About, about) || len(f.Tensors) != 3 || f.Tensors[0].Name != "visual.a" || f.Sparsity() != (Sparsity{total, 1200 + 84 + 1}) {
			t.Errorf("%+v", f)
		}
		got, err := f.Attach(params, backbone)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			i := slices.IndexFunc(masks, func(m *Mask) bool { return m.Param == g.Param })
			if !slices.Equal(g.Bits(), masks[i].Bits()) {
				t.Errorf("%g off: another mask of %s", off, g.Param.Name)
			}
		}
		// What is read and written again is the same file, whatever the order of the masks.
		slices.Reverse(got)
		if again, first := write(t, got, about), read(t, path); !bytes.Equal(again, first) {
			t.Errorf("%g off: other bytes", off)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Equal masks are equal bytes whatever scores and threshold they came from, and the format does not change unnoticed.
func TestMaskFileIsCanonical(t *testing.T) {
	dev := cpuDevice(t)
	p := weight(dev, "visual.w", 20, 10)
	keep := pattern(200, 0.1, 1)
	a := withBits(p, keep)
	b := &Mask{Param: p, Scores: dev.New(tensor.Full, 20, 10), Threshold: 0.005}
	scores := make([]float32, 200)
	for i, k := range keep {
		scores[i] = 0.0049 - 1e-5*float32(i)
		if k {
			scores[i] = 0.0051 + 1e-5*float32(i)
		}
	}
	b.Scores.Set(scores)
	about := map[string]string{"b": "2", "a": "1"}
	one, two := write(t, []*Mask{a}, about), write(t, []*Mask{b}, about)
	if !bytes.Equal(one, two) {
		t.Error("equal masks, other bytes")
	}
	const want = "9788070e002ed9c7d1d40aab803fa35993a2172b8831bae7dff6c144688815cb"
	if sum := sha256.Sum256(one); hex.EncodeToString(sum[:]) != want {
		t.Errorf("SHA-256 %x, want %s: masks that people have can no longer be told apart by it", sum, want)
	}
}

// What cannot be read back is not written.
func TestWriteMasksRefuses(t *testing.T) {
	dev := cpuDevice(t)
	masks := []*Mask{withBits(weight(dev, "w", 2, 2), []bool{true, false, true, true})}
	for _, c := range []struct {
		masks    []*Mask
		backbone string
		about    map[string]string
	}{
		{nil, backbone, nil},
		{masks, "", nil},
		{masks, backbone[:63], nil},
		{masks, strings.ToUpper(backbone), nil},
		{masks, backbone, map[string]string{"format": "x"}},
		{masks, backbone, map[string]string{"version": "x"}},
		{masks, backbone, map[string]string{"backbone": "x"}},
		{masks, backbone, map[string]string{"mask/w": "x"}},
		{masks, backbone, map[string]string{"a": "\xff"}},
		{append(masks, masks...), backbone, nil},
	} {
		if err := WriteMasks(io.Discard, c.masks, c.backbone, c.about); err == nil {
			t.Errorf("%d masks, %q, %v: no error", len(c.masks), c.backbone, c.about)
		}
	}
}

// small is a mask file with a raw and a Rice-coded mask, and the parameters they belong to.
func small(t testing.TB) (file []byte, params []*nn.Param) {
	dev := cpuDevice(t)
	params = []*nn.Param{weight(dev, "visual.rice", 25, 8), weight(dev, "visual.raw", 3, 5)}
	return write(t, []*Mask{withBits(params[0], pattern(200, 0.05, 1)), withBits(params[1], pattern(15, 0.5, 2))}, map[string]string{"dataset": "Few"}), params
}

// Every bit that flips, and every byte that is missing or too many, is found.
func TestDamagedMaskFile(t *testing.T) {
	file, params := small(t)
	if _, _, err := parse(file, params); err != nil {
		t.Fatal(err)
	}
	b := slices.Clone(file)
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, _, err := parse(b, params); err == nil {
				t.Fatalf("bit %d of byte %d of %d may flip", bit, i, len(b))
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range len(file) {
		if _, _, err := parse(file[:n], params); err == nil {
			t.Fatalf("the first %d of %d bytes are enough", n, len(file))
		}
	}
	for _, tail := range [][]byte{{0}, make([]byte, 64), file} {
		if _, _, err := parse(slices.Concat(file, tail), params); err == nil {
			t.Fatalf("%d bytes more are passed over", len(tail))
		}
	}
	t.Logf("%d flips and %d lengths refused", 8*len(file), len(file))
}

// entry is a mask as it might stand in a file.
type entry struct {
	name, describe string
	dtype          checkpoint.DType
	shape          []int
	code           []byte
}

// sealed is a file with a right seal and any content.
func sealed(t testing.TB, meta map[string]string, entries ...entry) []byte {
	t.Helper()
	all := map[string]string{"format": MaskFormat, "version": fileVersion, "backbone": backbone}
	maps.Copy(all, meta)
	var out []checkpoint.Entry
	for _, e := range entries {
		if e.describe != "" {
			all[e.name] = e.describe
		}
		if e.dtype == 0 {
			e.dtype = checkpoint.U8
		}
		if e.shape == nil {
			e.shape = []int{len(e.code)}
		}
		out = append(out, checkpoint.Entry{Name: e.name, DType: e.dtype, Shape: e.shape, Data: checkpoint.Bytes(e.code)})
	}
	for k, v := range all {
		if v == "absent" {
			delete(all, k)
		}
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSealed(&b, all, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A right seal over wrong content does not help.
func TestResealedMaskFile(t *testing.T) {
	dev := cpuDevice(t)
	params := []*nn.Param{weight(dev, "w", 25, 8), weight(dev, "v", 3, 5), weight(dev, "bias", 200)}
	keep := pattern(200, 0.05, 3)
	code, k, off := riceEncode(keep)
	describe := func(codec string, off, k int) string {
		s := fmt.Sprintf("%s shape=25x8 off=%d", codec, off)
		if codec == "rice" {
			s += fmt.Sprintf(" k=%d", k)
		}
		return s
	}
	good := entry{name: "mask/w", describe: describe("rice", off, k), code: code}
	if _, _, err := parse(sealed(t, nil, good), params); err != nil {
		t.Fatal(err)
	}
	// A mask whose raw form is shorter, in both forms.
	dense := pattern(15, 0.5, 2)
	denseCode, denseK, denseOff := riceEncode(dense)
	raw := packBits(dense)
	if len(raw) > len(denseCode) {
		t.Fatal("the example should be shorter raw")
	}
	rawDescribe := fmt.Sprintf("raw shape=3x5 off=%d", denseOff)
	if _, _, err := parse(sealed(t, nil, entry{name: "mask/v", describe: rawDescribe, code: raw}), params); err != nil {
		t.Fatal(err)
	}
	// The same mask with the next parameter.
	otherK := riceCode(gapsOf(keep), k+1)
	padded := slices.Clone(code)
	if bits := riceCost(gapsOf(keep), k); bits%8 != 0 {
		padded[len(padded)-1] |= 0x80
	} else {
		t.Fatal("the example should have padding")
	}
	rawPadded := slices.Clone(raw)
	rawPadded[1] |= 0x80
	long := slices.Clone(code)
	for i := range long {
		long[i] = 0xff
	}
	with := func(e entry, change func(*entry)) entry {
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		meta    map[string]string
		entries []entry
		kind    checkpoint.Kind
	}{
		"off too small":          {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", off-1, k) })}, checkpoint.Corrupt},
		"off too large":          {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", off+1, k) })}, checkpoint.Corrupt},
		"off above all":          {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", 201, k) })}, checkpoint.Corrupt},
		"off negative":           {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", -1, k) })}, checkpoint.Corrupt},
		"off of a raw mask":      {nil, []entry{{name: "mask/v", describe: fmt.Sprintf("raw shape=3x5 off=%d", denseOff+1), code: raw}}, checkpoint.Corrupt},
		"k too small":            {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", off, k-1) })}, checkpoint.Corrupt},
		"k too large":            {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", off, 40) })}, checkpoint.Corrupt},
		"k negative":             {nil, []entry{with(good, func(e *entry) { e.describe = describe("rice", off, -1) })}, checkpoint.Corrupt},
		"k not the best":         {nil, []entry{{name: "mask/w", describe: describe("rice", off, k+1), code: otherK}}, checkpoint.Corrupt},
		"padding":                {nil, []entry{with(good, func(e *entry) { e.code = padded })}, checkpoint.Corrupt},
		"padding of a raw mask":  {nil, []entry{{name: "mask/v", describe: rawDescribe, code: rawPadded}}, checkpoint.Corrupt},
		"a run beyond the end":   {nil, []entry{with(good, func(e *entry) { e.code = long })}, checkpoint.Corrupt},
		"a byte too many":        {nil, []entry{with(good, func(e *entry) { e.code = append(slices.Clone(code), 0) })}, checkpoint.Corrupt},
		"a byte too few":         {nil, []entry{with(good, func(e *entry) { e.code = code[:len(code)-1] })}, checkpoint.Corrupt},
		"no bytes":               {nil, []entry{with(good, func(e *entry) { e.code = nil })}, checkpoint.Corrupt},
		"rice where raw is less": {nil, []entry{{name: "mask/v", describe: fmt.Sprintf("rice shape=3x5 off=%d k=%d", denseOff, denseK), code: denseCode}}, checkpoint.Corrupt},
		"raw where rice is less": {nil, []entry{{name: "mask/w", describe: describe("raw", off, 0), code: packBits(keep)}}, checkpoint.Corrupt},
		"other codec":            {nil, []entry{with(good, func(e *entry) { e.describe = "zip shape=25x8 off=1" })}, checkpoint.Corrupt},
		"no description":         {nil, []entry{with(good, func(e *entry) { e.describe = "" })}, checkpoint.Corrupt},
		"more in it":             {nil, []entry{with(good, func(e *entry) { e.describe += " x=1" })}, checkpoint.Corrupt},
		"a space more":           {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, " off", "  off", 1) })}, checkpoint.Corrupt},
		"a zero in front":        {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, "25x8", "025x8", 1) })}, checkpoint.Corrupt},
		"shape 0":                {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, "25x8", "0x8", 1) })}, checkpoint.Corrupt},
		"shape -1":               {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, "25x8", "-25x-8", 1) })}, checkpoint.Corrupt},
		"shape that wraps":       {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, "25x8", "4294967296x4294967297", 1) })}, checkpoint.Corrupt},
		"no shape":               {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, "25x8", "", 1) })}, checkpoint.Corrupt},
		"other shape":            {nil, []entry{with(good, func(e *entry) { e.describe = strings.Replace(e.describe, "25x8", "8x25", 1) })}, checkpoint.Mismatch},
		"other type":             {nil, []entry{with(good, func(e *entry) { e.dtype = checkpoint.I8 })}, checkpoint.Corrupt},
		"bytes in two axes":      {nil, []entry{with(good, func(e *entry) { e.shape = []int{1, len(code)} })}, checkpoint.Corrupt},
		"no such weight":         {nil, []entry{with(good, func(e *entry) { e.name = "mask/u" })}, checkpoint.Mismatch},
		"a vector":               {nil, []entry{with(good, func(e *entry) { e.name, e.describe = "mask/bias", strings.Replace(e.describe, "25x8", "200", 1) })}, checkpoint.Mismatch},
		"no mask":                {nil, []entry{with(good, func(e *entry) { e.name = "w" })}, checkpoint.Corrupt},
		"nothing":                {nil, nil, checkpoint.Corrupt},
		"described but absent":   {map[string]string{"mask/v": rawDescribe}, []entry{good}, checkpoint.Corrupt},
		"no backbone":            {map[string]string{"backbone": "absent"}, []entry{good}, checkpoint.Corrupt},
		"backbone of escapes":    {map[string]string{"backbone": "\x1b[2J" + backbone[4:]}, []entry{good}, checkpoint.Corrupt},
		"newer version":          {map[string]string{"version": "2"}, []entry{good}, checkpoint.Unsupported},
		"no version":             {map[string]string{"version": "absent"}, []entry{good}, checkpoint.Unsupported},
		"other format":           {map[string]string{"format": "pt"}, []entry{good}, checkpoint.Unsupported},
	} {
		_, _, err := parse(sealed(t, c.meta, c.entries...), params)
		if !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
			continue
		}
		if strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: an escape sequence reaches the terminal", name)
		}
		var e *checkpoint.Error
		if !errors.As(err, &e) || e.Path != "mask" {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
	}
}

// A mask for other weights is refused, with both digests, and nothing is masked.
func TestOtherBackbone(t *testing.T) {
	file, params := small(t)
	f, err := checkpoint.NewFile("mask", bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMasks(f)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Repeat("f", 64)
	if masks, err := m.Attach(params, other); !errors.Is(err, ErrBackbone) || masks != nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), backbone) {
		t.Errorf("%v, %v", masks, err)
	}
	// If one of several masks does not fit, none is put on.
	if _, err := m.Attach(params[:1], backbone); !errors.Is(err, checkpoint.Mismatch) {
		t.Error(err)
	}
	for _, p := range params {
		if tape := autograd.NoGrad(p.Value.Device()); p.On(tape).Value != p.Value {
			t.Errorf("%s is masked", p.Name)
		}
	}
}

// The masks of all attention weights of ViT-B/16, 28,311,552, at 2.5 % off take at most 0.62 MB.
func TestMaskFileSize(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	const width = 768
	var masks []*Mask
	for i := range 12 {
		for name, shape := range map[string][]int{"in_proj_weight": {3 * width, width}, "out_proj.weight": {width, width}} {
			full := fmt.Sprintf("visual.transformer.resblocks.%d.attn.%s", i, name)
			scores := dev.New(tensor.Full, shape...)
			tensor.Uniform(scores, tensor.NewKey(7).Name(full))
			masks = append(masks, &Mask{Param: &nn.Param{Name: full, Value: scores}, Scores: scores, Threshold: 0.025})
		}
	}
	s := SparsityOf(masks)
	if s.Total != 28_311_552 || s.Percent() < 2.49 || s.Percent() > 2.51 {
		t.Fatalf("%v", s)
	}
	file := write(t, masks, map[string]string{"dataset": "Few"})
	t.Logf("%d bytes at %v", len(file), s)
	if len(file) > 620_000 {
		t.Errorf("%d bytes", len(file))
	}
}

// reseal puts a right seal behind any bytes.
func reseal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return slices.Concat(b, sum[:])
}

// FuzzMaskFile seals any bytes anew and reads them as a mask file: what is accepted is what the program would write.
func FuzzMaskFile(f *testing.F) {
	file, params := small(f)
	f.Add(file[:len(file)-sha256.Size])
	f.Add(sealed(f, nil, entry{name: "mask/visual.raw", describe: "raw shape=3x5 off=15", code: []byte{0, 0}}))
	f.Add(sealed(f, map[string]string{"version": "2"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = reseal(b)
		m, masks, err := parse(b, params)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteMasks(&again, masks, m.Backbone, m.About); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Fatalf("accepted a file that is not canonical: %v\n%q\n%q", err, b, again.Bytes())
		}
	})
}

// FuzzMaskEntry is the same with a well-formed container, so that fuzzing gets at the codes.
func FuzzMaskEntry(f *testing.F) {
	keep := pattern(200, 0.05, 1)
	code, k, off := riceEncode(keep)
	f.Add(fmt.Sprintf("rice shape=25x8 off=%d k=%d", off, k), code)
	f.Add("rice shape=25x8 off=1 k=7", []byte{0})
	f.Add("raw shape=3x5 off=15", []byte{0, 0})
	dev := cpuDevice(f)
	wide, narrow := []*nn.Param{weight(dev, "w", 25, 8)}, []*nn.Param{weight(dev, "w", 3, 5)}
	f.Fuzz(func(t *testing.T, describe string, code []byte) {
		if !utf8.ValidString(describe) || describe == "" || describe == "absent" {
			return
		}
		b := sealed(t, nil, entry{name: "mask/w", describe: describe, code: code})
		for _, params := range [][]*nn.Param{wide, narrow} {
			m, masks, err := parse(b, params)
			if err != nil {
				continue
			}
			if again := write(t, masks, m.About); !bytes.Equal(again, b) {
				t.Fatalf("accepted %q %x, would write %q", describe, code, again)
			}
		}
	})
}
