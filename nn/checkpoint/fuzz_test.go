package checkpoint

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// typed fails the test on an error that is not one of this package's.
func typed(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("untyped error %v", err)
	}
	if err != nil && (e.Kind == 0 || e.Kind == IO || len(err.Error()) > 8192) {
		t.Fatalf("error %v", err)
	}
}

// exercise opens b and, if that goes well, reads all there is. What was
// accepted keeps the promises of the package comment.
func exercise(t *testing.T, b []byte) {
	f, err := NewFile("fuzz", bytes.NewReader(b), int64(len(b)))
	typed(t, err)
	if err != nil {
		return
	}
	total := 0
	for _, name := range f.Names() {
		info, ok := f.Info(name)
		if !ok || !validName(name) {
			t.Fatalf("%q: %v", name, ok)
		}
		payload, err := f.ReadBytes(name)
		typed(t, err)
		total += len(payload)
		n, ok := elements(info.Shape).int()
		if !ok || err == nil && n*info.DType.Size() != len(payload) {
			t.Fatalf("%q: shape %v, %d bytes", name, info.Shape, len(payload))
		}
		if info.DType.Float() {
			typed(t, f.Read(name, make([]float32, n)))
		}
	}
	if total > 2*len(b) {
		t.Fatalf("%d bytes out of a file of %d", total, len(b))
	}
	typed(t, f.VerifySeal())
	m, err := NewModel(f)
	typed(t, err)
	if err == nil {
		_, err = m.Digest()
		typed(t, err)
	}
}

// FuzzSafetensors starts from files of every format: whatever comes, it goes
// through the same door.
func FuzzSafetensors(f *testing.F) {
	f.Add(withHeader(`{}`, 0))
	f.Add(withHeader(`{"__metadata__":{"k":"\u00e9"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[0,3],"data_offsets":[8,8]}}`, 8))
	f.Add(written(f, nil, zeros("visual.proj", F16, 2, 3), zeros("module.logit_scale", F32)))
	f.Add(written(f, nil, zeros("vision_model.embeddings.class_embedding", F32, 2), zeros("text_projection.weight", F64, 2, 1)))
	f.Add(sealed(f))
	f.Add(torchFile(stateDict("FloatStorage", 6, 1, []int{2, 2}, []int{1, 2}), floats(6)))
	for _, path := range []string{"legacy.pt", "small_script.pt", "gelu_script.pt"} {
		b, err := os.ReadFile(filepath.Join("testdata", path))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { exercise(t, b) })
}

// FuzzTorchZip adds a record to an archive that is in order and then
// overwrites some of its bytes, so that most inputs get past the first check.
func FuzzTorchZip(f *testing.F) {
	f.Add("m/extra", []byte("x"), uint16(0), true, uint(0), []byte{})
	f.Add("m/code/x.py", []byte{0xed, 0xc1}, uint16(8), false, uint(6), []byte{0, 0})
	f.Add("m/constants.pkl", []byte{}, uint16(0), false, uint(100), []byte("PK\x03\x04"))
	f.Add("m/../x", []byte{}, uint16(0), true, uint(500), []byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, name string, data []byte, method uint16, plain bool, at uint, patch []byte) {
		if len(name) > 2*maxZipName {
			return // lengths in the builder are of 16 bits
		}
		good := stateDict("FloatStorage", 6, 1, []int{2, 2}, []int{1, 2})
		b := buildArchive(append(torchRecords(good, floats(6)), record{name, data, method, plain})).bytes
		copy(b[at%uint(len(b)):], patch)
		exercise(t, b)
	})
}

// FuzzPickle puts the input into an archive that is otherwise in order, so
// that no CRC stands in the way.
func FuzzPickle(f *testing.F) {
	for _, path := range []string{"views.pt", "small_script.pt"} {
		b, err := os.ReadFile(filepath.Join("testdata", path))
		if err != nil {
			f.Fatal(err)
		}
		entries, root, err := readZip(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			f.Fatal(err)
		}
		pickle, err := entries[root+"/data.pkl"].content(bytes.NewReader(b), maxPickle)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pickle, path == "small_script.pt")
	}
	f.Add(stateDict("HalfStorage", 12, 3, []int{3, 3}, []int{0, 4}), false)
	f.Add([]byte("\x80\x02(cos\nsystem\nX\x02\x00\x00\x00lstR."), false)
	f.Fuzz(func(t *testing.T, pickle []byte, torchScript bool) {
		records := torchRecords(pickle, floats(6))
		if torchScript {
			records = append(records, record{name: "m/constants.pkl"})
		}
		exercise(t, buildArchive(records).bytes)
	})
}

func FuzzFolderConfig(f *testing.F) {
	for _, src := range []string{
		clipConfig, openConfig, `{"size":{"shortest_edge":1},"crop_size":[1,1],"image_mean":[0,0,0],"resample":3}`,
		`{"weight_map":{"a":"b"}}`, `{"model_type":"clip_vision_model","hidden_act":"gelu","layer_norm_eps":1e-05}`,
		`{"preprocess_cfg":{"mean":[0.5,0.5,0.5],"size":224,"mode":"RGB"},"model_cfg":{"quick_gelu":true}}`,
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := hfConfig(src)
		typed(t, err)
		if err == nil && (s.Activation == "" || s.Vision.Heads <= 0) {
			t.Fatalf("%+v", s)
		}
		s, err = openCLIPConfig(src)
		typed(t, err)
		if err == nil && (s.Activation == "" || s.Vision.Heads <= 0 || s.Text.Heads <= 0) {
			t.Fatalf("%+v", s)
		}
		p, err := hfPreprocessor(&jsonReader{src: src})
		typed(t, err)
		if err == nil && (p.Size < 0 || p.Resize < p.Size || p.Std[0] <= 0 || p.Mode == "" || p.Interpolation == "") {
			t.Fatalf("%+v", p)
		}
		_, _, err = hfProcessor(&jsonReader{src: src})
		typed(t, err)
		m, err := shardIndex(src)
		typed(t, err)
		for file := range m.files {
			if err == nil && filepath.Join("dir", file) != "dir"+string(filepath.Separator)+file {
				t.Fatalf("shard %q", file)
			}
		}
	})
}
