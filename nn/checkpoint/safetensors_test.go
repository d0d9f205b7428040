package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	numbers "fewshot/tensor"
)

// withHeader is a safetensors file of a header and so many payload bytes.
func withHeader(header string, payload int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, payload)...)
}

// Safetensors files with one thing wrong. The good one is
// {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} with 8 bytes.
func TestBadSafetensors(t *testing.T) {
	one := func(fields string) []byte { return withHeader(`{"a":{`+fields+`}}`, 8) }
	for _, c := range []struct {
		name string
		file []byte
		kind Kind
		text string
	}{
		{"good", one(`"dtype":"F32","shape":[2],"data_offsets":[0,8]`), 0, ""},
		{"good with spaces", withHeader("{ \"a\" :\t{\"dtype\":\"F32\",\n\"shape\":[2 ],\"data_offsets\":[0, 8]}}   ", 8), 0, ""},
		{"good with metadata", withHeader(`{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), 0, ""},
		{"good scalar", withHeader(`{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}`, 8), 0, ""},
		{"good with empty tensors", withHeader(`{"z":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[3,0],"data_offsets":[8,8]}}`, 8), 0, ""},
		{"good in any order", withHeader(`{"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]},"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}`, 8), 0, ""},
		{"good without tensors", withHeader(`{}`, 0), 0, ""},

		{"empty file", nil, Corrupt, "empty"},
		{"eight bytes", make([]byte, 8), Corrupt, "truncated"},
		{"header longer than file", append([]byte{100, 0, 0, 0, 0, 0, 0, 0}, "{}      "...), Corrupt, "truncated"},
		{"header of 2^60", append([]byte{0, 0, 0, 0, 0, 0, 0, 0x10}, "{}      "...), Limit, "header"},
		{"header of -1", append(bytes.Repeat([]byte{0xff}, 8), "{}      "...), Limit, "header"},
		{"header of 100 MB", append([]byte{0, 0xe1, 0xf5, 0x05, 0, 0, 0, 0}, "{}      "...), Limit, "header"},
		{"header of 0", append(make([]byte, 8), "{}      "...), Corrupt, "header"},
		{"white space first", withHeader(` {}`, 0), Corrupt, "neither"},
		{"not an object", withHeader(`[]`, 0), Corrupt, "neither"},

		{"cut JSON", withHeader(`{"a":{"dtype":"F32"`, 8), Corrupt, "JSON"},
		{"trailing comma", one(`"dtype":"F32","shape":[2],"data_offsets":[0,8],`), Corrupt, "JSON"},
		{"comma in array", one(`"dtype":"F32","shape":[2,],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"second value", withHeader(`{}{}`, 0), Corrupt, "after the safetensors header"},
		{"NUL padding", withHeader("{}\x00", 0), Corrupt, "after the safetensors header"},
		{"newline padding", withHeader("{}\n", 0), Corrupt, "after the safetensors header"},
		{"comment", withHeader(`{/**/}`, 0), Corrupt, "JSON"},
		{"single quotes", withHeader(`{'a':{}}`, 0), Corrupt, "JSON"},
		{"key without quotes", withHeader(`{a:{}}`, 0), Corrupt, "JSON"},
		{"deep nesting", withHeader(`{"a":`+strings.Repeat(`{"a":`, 5000), 0), Corrupt, "unknown key"},
		{"deep shape", withHeader(`{"a":{"shape":`+strings.Repeat(`[`, 5000), 0), Corrupt, "whole number"},

		{"name twice", withHeader(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, 8), Corrupt, "twice"},
		{"name twice, spelled differently", withHeader(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0061":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, 8), Corrupt, "twice"},
		{"field twice", one(`"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]`), Corrupt, "twice"},
		{"field in capitals", one(`"DTYPE":"F32","shape":[2],"data_offsets":[0,8]`), Corrupt, "unknown key"},
		{"field in both cases", one(`"dtype":"F32","Dtype":"F32","shape":[2],"data_offsets":[0,8]`), Corrupt, "unknown key"},
		{"extra field", one(`"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1`), Corrupt, "unknown key"},
		{"metadata twice", withHeader(`{"__metadata__":{},"__metadata__":{}}`, 0), Corrupt, "twice"},
		{"metadata key twice", withHeader(`{"__metadata__":{"a":"1","a":"2"}}`, 0), Corrupt, "twice"},
		{"metadata of numbers", withHeader(`{"__metadata__":{"a":1}}`, 0), Corrupt, "JSON"},
		{"metadata null", withHeader(`{"__metadata__":null}`, 0), Corrupt, "JSON"},
		{"tensor null", withHeader(`{"a":null}`, 0), Corrupt, "JSON"},
		{"dtype null", one(`"dtype":null,"shape":[2],"data_offsets":[0,8]`), Corrupt, "JSON"},
		{"no dtype", one(`"shape":[2],"data_offsets":[0,8]`), Corrupt, "incomplete"},
		{"no shape", one(`"dtype":"F32","data_offsets":[0,8]`), Corrupt, "incomplete"},
		{"no offsets", one(`"dtype":"F32","shape":[2]`), Corrupt, "incomplete"},
		{"unknown dtype", one(`"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]`), Unsupported, "F8_E4M3"},
		{"dtype in small letters", one(`"dtype":"f32","shape":[2],"data_offsets":[0,8]`), Unsupported, "f32"},

		{"empty name", withHeader(`{"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), Corrupt, "printable"},
		{"NUL in name", withHeader(`{"a\u0000":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), Corrupt, "printable"},
		{"raw control in name", withHeader("{\"a\n\":{}}", 8), Corrupt, "control"},
		{"newline in name", withHeader(`{"a\n":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), Corrupt, "printable"},
		{"no ASCII in name", withHeader(`{"é":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), Corrupt, "printable"},
		{"no UTF-8 in name", withHeader("{\"a\xff\":{}}", 8), Corrupt, "UTF-8"},
		{"overlong UTF-8", withHeader("{\"a\xc0\xaf\":{}}", 8), Corrupt, "UTF-8"},
		{"half a surrogate pair", withHeader(`{"\ud800":{}}`, 8), Corrupt, "surrogate"},
		{"two first halves", withHeader(`{"\ud800\ud800":{}}`, 8), Corrupt, "surrogate"},
		{"unknown escape", withHeader(`{"\x61":{}}`, 8), Corrupt, "escape"},
		{"malformed escape", withHeader(`{"\u00g1":{}}`, 8), Corrupt, "escape"},
		{"signed escape", withHeader(`{"\u+061":{}}`, 8), Corrupt, "escape"},
		{"long name", withHeader(`{"`+strings.Repeat("a", 257)+`":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), Corrupt, "257 bytes"},

		{"negative axis", one(`"dtype":"F32","shape":[-2],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"fractional axis", one(`"dtype":"F32","shape":[2.0],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"exponent", one(`"dtype":"F32","shape":[2e0],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"leading zero", one(`"dtype":"F32","shape":[02],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"plus sign", one(`"dtype":"F32","shape":[+2],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"axis true", one(`"dtype":"F32","shape":[true],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"axis string", one(`"dtype":"F32","shape":["2"],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"axis null", one(`"dtype":"F32","shape":[null],"data_offsets":[0,8]`), Corrupt, "whole number"},
		{"shape a number", one(`"dtype":"F32","shape":2,"data_offsets":[0,8]`), Corrupt, "JSON"},
		{"axis 2^64", one(`"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]`), Limit, "64 bits"},
		{"axis 2^63", one(`"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]`), Limit, "axis"},
		{"axis 2^60", one(`"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,8]`), Corrupt, "size"},
		{"product wraps to 4", one(`"dtype":"U8","shape":[4294967296,4294967296,2],"data_offsets":[0,8]`), Limit, "overflows"},
		{"product wraps to 2^64+4", one(`"dtype":"U8","shape":[6148914691236517207,3],"data_offsets":[0,8]`), Limit, "overflows"},
		{"bytes wrap", one(`"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]`), Limit, "overflows"},
		{"zero hides overflow", one(`"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,8]`), Limit, "overflows"},
		{"nine axes", one(`"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]`), Limit, "axes"},

		{"one offset", one(`"dtype":"F32","shape":[2],"data_offsets":[0]`), Corrupt, "two numbers"},
		{"no offsets in list", one(`"dtype":"F32","shape":[2],"data_offsets":[]`), Corrupt, "two numbers"},
		{"three offsets", one(`"dtype":"F32","shape":[2],"data_offsets":[0,8,8]`), Corrupt, "two numbers"},
		{"offset negative", one(`"dtype":"F32","shape":[2],"data_offsets":[-1,8]`), Corrupt, "whole number"},
		{"offsets backwards", one(`"dtype":"F32","shape":[2],"data_offsets":[8,0]`), Corrupt, "outside"},
		{"offset beyond the file", one(`"dtype":"F32","shape":[4],"data_offsets":[0,16]`), Corrupt, "outside"},
		{"offset 2^64-1", one(`"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]`), Corrupt, "outside"},
		{"too short for shape", one(`"dtype":"F32","shape":[1],"data_offsets":[0,8]`), Corrupt, "fit shape"},
		{"too long for shape", one(`"dtype":"F32","shape":[3],"data_offsets":[0,8]`), Corrupt, "fit shape"},
		{"hole at the start", one(`"dtype":"F32","shape":[1],"data_offsets":[4,8]`), Corrupt, "hole"},
		{"tail", one(`"dtype":"F32","shape":[1],"data_offsets":[0,4]`), Corrupt, "after the last"},
		{"tail without tensors", withHeader(`{}`, 1), Corrupt, "after the last"},
		{"overlap", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), Corrupt, "overlap"},
		{"same payload twice", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), Corrupt, "overlap"},
		{"hole between", withHeader(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}`, 6), Corrupt, "hole"},
		{"empty tensor inside another", withHeader(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}`, 8), Corrupt, "overlap"},

		{"Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), Unsupported, "git lfs pull"},
		{"web page", []byte("<!DOCTYPE html><html><body>404</body></html>"), Unsupported, "web page"},
		{"gzip", append([]byte{0x1f, 0x8b}, make([]byte, 90)...), Unsupported, "gzip"},
		{"bare pickle", []byte("\x80\x02}q\x00.           "), Unsupported, "pickle"},
		{"GGUF", []byte("GGUF\x03\x00\x00\x00xxxxxxxx"), Unsupported, "GGUF"},
		{"NumPy", []byte("\x93NUMPY\x01\x00xxxxxxxxx"), Unsupported, "NumPy"},
		{"HDF5", []byte("\x89HDF\r\n\x1a\nxxxxxxxxxx"), Unsupported, "HDF5"},
		{"ten digits", []byte("0000000000"), Unsupported, "neither"},
		{"noise", []byte("\x01\xff\xff\xff\xff\xff\xff\xff\xffxxxxxxxxxx"), Unsupported, "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewFile("test.safetensors", bytes.NewReader(c.file), int64(len(c.file)))
			expectKind(t, err, c.kind, c.text)
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("message of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestOtherFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		path string
		kind Kind
		text string
	}{
		{"testdata/module.pt", Forbidden, "save model.state_dict()"},
		{filepath.Join(dir, "missing.pt"), IO, "missing.pt"},
		{dir, Unsupported, "not a model folder"},
		{os.DevNull, Unsupported, "regular"},
	} {
		_, err := Open(c.path)
		expectKind(t, err, c.kind, c.text)
	}
	if _, err := OpenModel(filepath.Join(dir, "missing.pt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
	_, err := NewFile("x", bytes.NewReader(nil), -1)
	expectKind(t, err, Mismatch, "negative")
}

// Limits are reached without memory and without reading over and over.
func TestLimits(t *testing.T) {
	var tiny strings.Builder
	tiny.WriteString(`{`)
	for i := range 200_000 {
		if i > 0 {
			tiny.WriteByte(',')
		}
		fmt.Fprintf(&tiny, `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	tiny.WriteString(`}`)
	huge := withHeader(`{"a":`+strings.Repeat(" ", 100<<20), 0)
	wide := withHeader(`{"a":{"shape":[`+strings.Repeat("1,", 1<<20)+`1]}}`, 0)
	metadata := withHeader(`{"__metadata__":{"a":"`+strings.Repeat("x", 1<<20)+`"}}`, 0)
	for _, c := range []struct {
		name string
		file []byte
		kind Kind
	}{
		{"200,000 tensors", withHeader(tiny.String(), 0), Limit},
		{"header of 100 MiB", huge, Limit},
		{"a million axes", wide, Limit},
		{"a megabyte of metadata", metadata, 0},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := &countingReader{r: bytes.NewReader(c.file)}
		_, err := NewFile("x", r, int64(len(c.file)))
		runtime.ReadMemStats(&after)
		expectKind(t, err, c.kind, "")
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: allocated %d MiB", c.name, used>>20)
		}
		// Nothing is looked at twice, but for the first bytes, which tell the format.
		if r.n > len(c.file)+1<<10 {
			t.Errorf("%s: read %d bytes of %d", c.name, r.n, len(c.file))
		}
		t.Logf("%s: %d KiB", c.name, (after.TotalAlloc-before.TotalAlloc)>>10)
	}
}

// countingReader counts the bytes that are read through it.
type countingReader struct {
	r io.ReaderAt
	n int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += n
	return n, err
}

// A placedReader counts the bytes that are read right into memory.
type placedReader struct {
	io.ReaderAt
	memory []byte
	n      int
}

func (r *placedReader) ReadAt(p []byte, off int64) (int, error) {
	if r.n < len(r.memory) && len(p) > 0 && &p[0] == &r.memory[r.n] {
		r.n += len(p)
	}
	return r.ReaderAt.ReadAt(p, off)
}

// What is stored as it is needed is read to where it is needed, piece by piece, and looked through there.
func TestReadInPlace(t *testing.T) {
	if numbers.FileBytes([]float32{0}) == nil {
		t.Skip("float32 has another order of bytes here than in files")
	}
	want := make([]float32, 2*chunkSize/4+5)
	for i := range want {
		want[i] = float32(i)
	}
	for _, file := range [][]byte{
		written(t, nil, Entry{Name: "x", DType: F32, Shape: []int{len(want)}, Data: Float32s(want, F32)}),
		torchFile(stateDict("FloatStorage", len(want), 0, []int{len(want)}, []int{1}), slices.Clone(numbers.FileBytes(want))),
	} {
		r := &placedReader{ReaderAt: bytes.NewReader(file)}
		f, err := NewFile("test", r, int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(want))
		r.memory = numbers.FileBytes(got)
		if err := f.Read(f.Names()[0], got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: not what was written, %v", f.Format(), err)
		}
		if r.n != len(r.memory) {
			t.Errorf("%s: %d of %d bytes were read to their place", f.Format(), r.n, len(r.memory))
		}
	}
}

// A model cut at any length is refused, whatever its form.
func TestCutAtEveryLength(t *testing.T) {
	for _, path := range []string{"small_script.pt", "views.pt", "vit_half.pt", "vit.safetensors", "open_clip/open_clip_model.safetensors"} {
		whole, err := os.ReadFile(filepath.Join("testdata", path))
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			_, err := NewFile(path, bytes.NewReader(whole[:n]), int64(n))
			if !errors.Is(err, Corrupt) {
				t.Fatalf("%s cut to %d bytes: %v", path, n, err)
			}
		}
		_, err = NewFile(path, bytes.NewReader(append(whole, 0)), int64(len(whole)+1))
		if !errors.Is(err, Corrupt) {
			t.Errorf("%s with a byte appended: %v", path, err)
		}
	}
}

// Every bit of a torch archive: refused, or the same model. CRC-32 covers the
// payloads too, so this holds for all bytes.
func TestEveryBitOfTorchArchives(t *testing.T) {
	for _, path := range []string{"small_script.pt", "views.pt"} {
		whole, err := os.ReadFile(filepath.Join("testdata", path))
		if err != nil {
			t.Fatal(err)
		}
		want, err := contents(whole)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			for bit := range 8 {
				whole[i] ^= 1 << bit
				got, err := contents(whole)
				var e *Error
				if err != nil && !errors.As(err, &e) {
					t.Errorf("%s, byte %d, bit %d: untyped error %v", path, i, bit, err)
				}
				if err == nil && got != want {
					t.Errorf("%s, byte %d, bit %d: accepted with other contents", path, i, bit)
				}
				whole[i] ^= 1 << bit
			}
		}
	}
}

// contents reads everything a file holds.
func contents(b []byte) (string, error) {
	f, err := NewFile("test", bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return "", err
	}
	var s strings.Builder
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		payload, err := f.ReadBytes(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&s, "%v %x\n", info, payload)
	}
	return s.String(), nil
}

// Every bit of a safetensors header: refused, or different in names and
// metadata alone, which the format itself does not protect.
func TestEveryBitOfSafetensorsHeader(t *testing.T) {
	f := memory(t, map[string]string{"k": "v"}, zeros("first", F32, 2, 3), zeros("second", F16, 5), zeros("s", F64))
	whole := make([]byte, f.size)
	if _, err := f.r.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	length := 8 + int(binary.LittleEndian.Uint64(whole))
	shapes := func(f *File) string {
		var s strings.Builder
		for offset := int64(0); offset < f.size; offset++ {
			for _, tensor := range f.tensors {
				if tensor.store.offset == offset {
					fmt.Fprintln(&s, tensor.DType, tensor.Shape, offset)
				}
			}
		}
		return s.String()
	}
	want := shapes(f)
	for i := range length {
		for bit := range 8 {
			whole[i] ^= 1 << bit
			got, err := NewFile("x", bytes.NewReader(whole), int64(len(whole)))
			if err == nil && (shapes(got) != want || len(got.names) != 3) {
				t.Errorf("byte %d, bit %d: accepted with other tensors", i, bit)
			}
			whole[i] ^= 1 << bit
		}
	}
}

// A file that shrinks or changes under its reader gives an error.
func TestFileChangesWhileOpen(t *testing.T) {
	for _, source := range []string{"vit.safetensors", "vit_half.pt"} {
		path := filepath.Join(t.TempDir(), source)
		copyFile(t, filepath.Join("testdata", source), path)
		m := openModel(t, path)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(len(whole)/2)); err != nil {
			t.Fatal(err)
		}
		_, err = m.Digest()
		expectKind(t, err, Corrupt, "since it was opened")

		writeBytes(t, path, whole)
		m = openModel(t, path)
		writeBytes(t, path, append(whole, 1))
		_, err = m.Digest()
		expectKind(t, err, Corrupt, "changed")

		writeBytes(t, path, whole)
		m = openModel(t, path)
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
		_, err = m.Digest()
		expectKind(t, err, Corrupt, "changed")
	}
}
