package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

func written(t testing.TB, metadata map[string]string, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSafetensors(&b, metadata, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriteSafetensorsIsCanonical(t *testing.T) {
	entries := []Entry{
		{"b", F16, []int{3}, Bytes([]byte{1, 2, 3, 4, 5, 6})},
		{"a", U8, []int{1}, Bytes([]byte{7})},
		{"z", F32, []int{}, Float32s([]float32{1.5}, F32)},
		{"c", F16, []int{0}, Bytes(nil)},
	}
	metadata := map[string]string{"y": "1", "x": "\"\\\n é"}
	want := written(t, metadata, entries...)
	for range 20 {
		slices.Reverse(entries)
		if got := written(t, maps.Clone(metadata), entries...); !bytes.Equal(got, want) {
			t.Fatalf("%q\n%q", got, want)
		}
		entries[0], entries[1] = entries[1], entries[0]
	}
	const header = `{"__metadata__":{"x":"\"\\\u000a é","y":"1"},` +
		`"z":{"dtype":"F32","shape":[],"data_offsets":[0,4]},` +
		`"b":{"dtype":"F16","shape":[3],"data_offsets":[4,10]},` +
		`"c":{"dtype":"F16","shape":[0],"data_offsets":[10,10]},` +
		`"a":{"dtype":"U8","shape":[1],"data_offsets":[10,11]}}`
	if text := strings.TrimRight(string(want[8:len(want)-11]), " "); text != header {
		t.Errorf("header %s", text)
	}
	if (len(want)-11)%64 != 0 {
		t.Errorf("payloads start at %d", len(want)-11)
	}
	f, err := NewFile("x", bytes.NewReader(want), int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(f.Metadata(), metadata) || !slices.Equal(f.Names(), []string{"a", "b", "c", "z"}) {
		t.Errorf("%q %q", f.Metadata(), f.Names())
	}
	if b, err := f.ReadBytes("b"); err != nil || !bytes.Equal(b, []byte{1, 2, 3, 4, 5, 6}) {
		t.Errorf("%x, %v", b, err)
	}
}

func TestWriteSafetensorsRefuses(t *testing.T) {
	many := map[string]string{}
	for i := range maxMetadata + 1 {
		many[intText(int64(i))] = ""
	}
	for _, c := range []struct {
		name     string
		metadata map[string]string
		entries  []Entry
		kind     Kind
	}{
		{"name twice", nil, []Entry{zeros("a", U8, 1), zeros("a", U8, 2)}, Mismatch},
		{"name twice with two types", nil, []Entry{zeros("a", U8, 1), zeros("a", F32, 2)}, Mismatch},
		{"no name", nil, []Entry{zeros("", U8, 1)}, Mismatch},
		{"metadata as a name", nil, []Entry{zeros(metadataKey, U8, 1)}, Mismatch},
		{"control in name", nil, []Entry{zeros("a\n", U8, 1)}, Mismatch},
		{"no type", nil, []Entry{{"a", 0, []int{1}, Bytes(nil)}}, Mismatch},
		{"negative axis", nil, []Entry{{"a", U8, []int{-1}, Bytes(nil)}}, Limit},
		{"overflow", nil, []Entry{{"a", U8, []int{math.MaxInt, 3}, Bytes(nil)}}, Limit},
		{"sum overflows", nil, []Entry{{"a", U8, []int{math.MaxInt}, Bytes(nil)}, {"b", U8, []int{math.MaxInt}, Bytes(nil)}}, Limit},
		{"nine axes", nil, []Entry{zeros("a", U8, 1, 1, 1, 1, 1, 1, 1, 1, 1)}, Limit},
		{"too little data", nil, []Entry{{"a", U8, []int{2}, Bytes([]byte{1})}}, Mismatch},
		{"too much data", nil, []Entry{{"a", U8, []int{2}, Bytes([]byte{1, 2, 3})}}, Mismatch},
		{"floats as integers", nil, []Entry{{"a", I32, []int{1}, Float32s([]float32{1}, I32)}}, Mismatch},
		{"too large for fp16", nil, []Entry{{"a", F16, []int{2}, Float32s([]float32{1, 65520}, F16)}}, NonFinite},
		{"too large for bf16", nil, []Entry{{"a", BF16, []int{1}, Float32s([]float32{math.MaxFloat32}, BF16)}}, NonFinite},
		{"metadata not UTF-8", map[string]string{"a": "\xff"}, nil, Mismatch},
		{"much metadata", many, nil, Limit},
		{"long header", map[string]string{"a": strings.Repeat("x", maxHeader)}, nil, Limit},
	} {
		err := WriteSafetensors(io.Discard, c.metadata, c.entries)
		expectKind(t, inFile("x", err), c.kind, "")
	}
	inf := Float32s([]float32{float32(math.Inf(1))}, F16)
	if err := WriteSafetensors(io.Discard, nil, []Entry{{"a", F16, []int{1}, inf}}); err != nil {
		t.Errorf("an infinity that was there before: %v", err)
	}
}

func TestWriteModel(t *testing.T) {
	m := openModel(t, "testdata/hf")
	want, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	// The fixture's values fit half precision, so nothing is lost.
	for _, d := range []DType{F32, F16, BF16} {
		var b bytes.Buffer
		if err := WriteModel(&b, map[string]string{ActivationKey: m.Activation()}, m, d); err != nil {
			t.Fatal(err)
		}
		f, err := NewFile("embedded", bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		back, err := NewModel(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := back.Digest(); err != nil || got != want {
			t.Errorf("%v: digest %s, %v; want %s", d, got, err, want)
		}
		if back.Activation() != "quickgelu" || back.Vocabulary() != (Vocabulary{}) || back.Dialect() != "openai" {
			t.Errorf("%q, %v, %q", back.Activation(), back.Vocabulary(), back.Dialect())
		}
		matrix, _ := f.Info("visual.proj")
		vector, _ := f.Info("ln_final.bias")
		if matrix.DType != d || vector.DType != F32 {
			t.Errorf("%v: %v and %v", d, matrix, vector)
		}
	}
	expectKind(t, inFile("x", WriteModel(io.Discard, nil, m, U8)), Mismatch, "")
}

func sealed(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	err := WriteSealed(&b, map[string]string{"format": "test"}, []Entry{
		{"mask/a", U8, []int{5}, Bytes([]byte("hello"))},
		{"scores", F32, []int{2}, Float32s([]float32{1, 2}, F32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func verifySealed(b []byte) error {
	f, err := NewFile("sealed", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	return f.VerifySeal()
}

func TestSeal(t *testing.T) {
	b := sealed(t)
	if err := verifySealed(b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, sealed(t)) {
		t.Error("equal input, other bytes")
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			var e *Error
			if err := verifySealed(b); !errors.As(err, &e) || e.Kind == IO {
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range b {
		if err := verifySealed(b[:n]); !errors.Is(err, Corrupt) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		file []byte
		text string
	}{
		{"not sealed", written(t, nil, zeros("a", U8, 1)), "not a sealed file"},
		{"wrong digest", written(t, nil, zeros(SealName, U8, 32)), "digest differs"},
		{"seal of another length", written(t, nil, zeros(SealName, U8, 31)), "32 bytes"},
		{"seal of another type", written(t, nil, zeros(SealName, I8, 32)), "32 bytes"},
		{"something behind the seal", written(t, nil, zeros(SealName, U8, 32), zeros("~t", U8, 1)), "32 bytes"},
		{"spaces in the header", func() []byte {
			f := withHeader(`{"~sha256": {"dtype":"U8","shape":[32],"data_offsets":[0,32]}}`, 32)
			return f
		}(), "canonical"},
		{"a torch archive", torchFile(stateDict("FloatStorage", 6, 0, []int{6}, []int{1}), floats(6)), "not a sealed file"},
	} {
		expectKind(t, verifySealed(c.file), Corrupt, c.text)
	}
	for _, name := range []string{SealName, "~z", "~sha256x"} {
		err := WriteSealed(io.Discard, nil, []Entry{zeros(name, U8, 1)})
		expectKind(t, inFile("x", err), Mismatch, "after the seal")
	}
	f, err := Open("testdata/hf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	expectKind(t, f.VerifySeal(), Corrupt, "not a sealed file")
}

func TestSealOfFileOnDisk(t *testing.T) {
	path := t.TempDir() + "/mask.safetensors"
	err := WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(sealed(t))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.VerifySeal(); err != nil {
		t.Error(err)
	}
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	expectKind(t, f.VerifySeal(), Corrupt, "since it was opened")
}
