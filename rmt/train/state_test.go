package train

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fewshot/nn/checkpoint"
	"fewshot/tensor"
)

// stepped is a trainer after some steps, with what it is to be compared by.
func stepped(t *testing.T, b *bench, steps int) *Trainer {
	t.Helper()
	trainer := b.trainer()
	n := 0
	for n < steps {
		for batch := range b.data.Epoch(t.Context(), n, 0) {
			if n == steps {
				break
			}
			images := batch.Put(b.dev, nil)
			if _, err := trainer.Step(t.Context(), images, batch.Labels, 1e-3); err != nil {
				t.Fatal(err)
			}
			images.Release()
			n++
		}
	}
	return trainer
}

func values(t *Trainer) (all []float32) {
	for _, s := range t.state() {
		all = append(all, s.Tensor.Floats()...)
	}
	return all
}

func none(t *testing.T) func(string, error) {
	return func(path string, err error) { t.Errorf("passed over %s: %v", path, err) }
}

func TestStateRoundTrip(t *testing.T) {
	dir, b := t.TempDir(), newBench(t, "cpu")
	run := map[string]string{"lr": "0.001", "split": "ab\ncd", "empty": ""}
	a := stepped(t, b, 7)
	at := Position{Epoch: 1, Batch: 3, Images: 12, Correct: 5, Loss: 17.25 + 1./3, Distill: 1e-300, Taught: 8}
	done := Progress{Epochs: []Epoch{{Epoch: 1, LR: 0.1, Loss: 1. / 3, Images: 16}}, Images: 28, Elapsed: 5, Whole: &Cost{Wall: 9, Processor: 7}}
	if err := SaveState(dir, a, at, done, run); err != nil {
		t.Fatal(err)
	}
	files, err := StateFiles(dir)
	if err != nil || len(files) != 1 || files[0] != filepath.Join(dir, "training-000000007.safetensors") {
		t.Fatalf("%v, %v", files, err)
	}
	c := b.trainer()
	got, found, err := RestoreState(dir, c, run, none(t))
	if err != nil || !found || !cmp.Equal(got.At, at) || !cmp.Equal(got.Done, done) || c.Steps() != 7 || c.groups[0].Optimizer.Steps() != 7 || c.Learner.(*toy).restored != 1 || !slices.Equal(values(c), values(a)) {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
	s, err := ReadState(files[0])
	if err != nil || s.Steps != 7 || s.At != at || len(s.Run) != 3 || s.Run["split"] != "ab\ncd" {
		t.Errorf("%+v, %v", s, err)
	}
	// The same state is the same file.
	first := read(t, files[0])
	if err := SaveState(dir, c, at, done, run); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, files[0]), first) {
		t.Error("other bytes")
	}
	if err := RemoveState(dir); err != nil {
		t.Fatal(err)
	}
	if _, found, err := RestoreState(dir, c, run, none(t)); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestNoState(t *testing.T) {
	b := newBench(t, "cpu")
	trainer := b.trainer()
	dir := filepath.Join(t.TempDir(), "nowhere")
	if at, found, err := RestoreState(dir, trainer, nil, none(t)); found || err != nil || at.At != (Position{}) {
		t.Errorf("%v, %v", found, err)
	}
	if err := RemoveState(dir); err != nil {
		t.Error(err)
	}
	if err := SaveState(dir, trainer, Position{}, Progress{}, nil); !errors.Is(err, checkpoint.IO) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// The newest and one to fall back on are kept; what is no checkpoint is left alone, what a killed process left is not.
func TestKeptStates(t *testing.T) {
	dir, b := t.TempDir(), newBench(t, "cpu")
	others := []string{"training-1.safetensors", "training-.safetensors", "training-000000001.safetensors.bak", "mask.safetensors", ".mask.safetensors.tmp-1", "training--00000001.safetensors"}
	for _, name := range append(others, ".training-000000003.safetensors.tmp-77000", ".training-000000009.safetensors.tmp-5") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	trainer := b.trainer()
	for _, steps := range []int{1, 2, 999_999_999, 1_000_000_000} {
		trainer.setSteps(steps)
		if err := SaveState(dir, trainer, Position{Epoch: steps}, Progress{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	at, found, err := RestoreState(dir, trainer, map[string]string{}, none(t))
	if err != nil || !found || at.At.Epoch != 1_000_000_000 {
		t.Errorf("%+v, %v, %v", at, found, err)
	}
	want := append(slices.Clone(others), "training-1000000000.safetensors", "training-999999999.safetensors")
	slices.Sort(want)
	entries, err := os.ReadDir(dir)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v\n%v", got, want, err)
	}
}

// Every bit that flips and every cut is found, and then the checkpoint before is taken.
func TestDamagedState(t *testing.T) {
	dir, b := t.TempDir(), newBench(t, "cpu")
	run := map[string]string{"lr": "1"}
	old := stepped(t, b, 2)
	if err := SaveState(dir, old, Position{Batch: 2}, Progress{}, run); err != nil {
		t.Fatal(err)
	}
	want := values(old)
	if err := SaveState(dir, stepped(t, b, 5), Position{Epoch: 1, Batch: 1}, Progress{}, run); err != nil {
		t.Fatal(err)
	}
	newest := filepath.Join(dir, stateName(5))
	good := read(t, newest)
	check := func(what string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(newest, damaged, 0o666); err != nil {
			t.Fatal(err)
		}
		var passed []string
		c := b.trainer()
		at, found, err := RestoreState(dir, c, run, func(path string, err error) {
			passed = append(passed, path)
			if !errors.Is(err, checkpoint.Corrupt) {
				t.Errorf("%s: %v", what, err)
			}
		})
		if err != nil || !found || at.At != (Position{Batch: 2}) || !slices.Equal(values(c), want) || !slices.Equal(passed, []string{newest}) {
			t.Fatalf("%s: %+v, %v, %v, passed over %v", what, at, found, err, passed)
		}
	}
	// From behind the brace that says what kind of file this is; the header closely, the payload here and there.
	header := bytes.IndexByte(good, '}')
	for i := 9; i < len(good); i++ {
		if i <= header && i%5 != 0 || i > header && i%97 != 0 {
			continue
		}
		damaged := slices.Clone(good)
		damaged[i] ^= 1 << (i % 8)
		check("flip", damaged)
	}
	for _, n := range []int{0, 1, 8, 9, 100, header, len(good) / 2, len(good) - 1} {
		check("cut", good[:n])
	}
	check("zeros", make([]byte, len(good)))
	check("longer", append(slices.Clone(good), 0))

	// If the last one left is damaged too, that is the error.
	first := filepath.Join(dir, stateName(2))
	if err := os.WriteFile(first, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, found, err := RestoreState(dir, b.trainer(), run, func(string, error) {}); found || !errors.Is(err, checkpoint.Corrupt) || !strings.Contains(err.Error(), first) {
		t.Errorf("%v, %v", found, err)
	}
}

// A checkpoint of another run is refused with the names of what differs, and nothing of it is used.
func TestOtherRun(t *testing.T) {
	dir, b := t.TempDir(), newBench(t, "cpu")
	if err := SaveState(dir, stepped(t, b, 3), Position{}, Progress{}, map[string]string{"lr": "1", "seed": "2", "old": "3", "esc": "\x1b[2J" + strings.Repeat("x", 500)}); err != nil {
		t.Fatal(err)
	}
	c := b.trainer()
	before := values(c)
	_, found, err := RestoreState(dir, c, map[string]string{"lr": "1", "seed": "5", "new": "4"}, none(t))
	if found || !errors.Is(err, ErrOtherRun) || !slices.Equal(values(c), before) || c.Steps() != 0 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, want := range []string{stateName(3), `seed was 2 and is 5`, `old was 3 and is not there`, `new was not there and is 4`, `esc was "\x1b[2Jxxx`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "lr was") || strings.ContainsRune(err.Error(), '\x1b') || len(err.Error()) > 700 {
		t.Error(err)
	}
	// Of the same settings but of other tensors.
	b.name = "renamed"
	other := b.trainer()
	if err := SaveState(dir, other, Position{Epoch: 9}, Progress{}, map[string]string{"x": "y"}); err != nil {
		t.Fatal(err)
	}
	other.setSteps(10)
	if err := SaveState(dir, other, Position{Epoch: 9}, Progress{}, map[string]string{"x": "y"}); err != nil {
		t.Fatal(err)
	}
	b.name = "weight"
	if _, _, err := RestoreState(dir, c, map[string]string{"x": "y"}, none(t)); !errors.Is(err, checkpoint.Mismatch) || !slices.Equal(values(c), before) {
		t.Errorf("%v", err)
	}
}

// A checkpoint of the same run, from a version of the program that kept less of it or more, is refused in a line that
// names the file, the tensor and what to do, and nothing of it is used.
func TestStateOfAnotherVersion(t *testing.T) {
	b := newBench(t, "cpu")
	c := b.trainer()
	before := values(c)
	of := func(name string, shape ...int) checkpoint.Entry {
		return checkpoint.Entry{Name: name, DType: checkpoint.F32, Shape: shape, Data: checkpoint.Float32s(make([]float32, tensor.Len(shape)), checkpoint.F32)}
	}
	var whole []checkpoint.Entry
	for _, s := range c.state() {
		whole = append(whole, of(s.Name, s.Tensor.Shape()...))
	}
	last := whole[len(whole)-1]
	less := whole[:len(whole)-1]
	for want, entries := range map[string][]checkpoint.Entry{
		"\"" + last.Name + "\": mismatch: the training checkpoint lacks what":                 less,
		"\"state/gradient-sums\": mismatch: the training checkpoint has what":                 append(slices.Clone(whole), of("state/gradient-sums", 2)),
		"\"" + last.Name + "\": mismatch: the training checkpoint has it as F32 of shape [7]": append(slices.Clone(less), of(last.Name, 7)),
	} {
		dir := t.TempDir()
		meta := map[string]string{"format": StateFormat, "version": stateVersion, "steps": "3", "position": `{}`, "progress": `{}`}
		if err := os.WriteFile(filepath.Join(dir, stateName(3)), sealedState(t, meta, entries...), 0o666); err != nil {
			t.Fatal(err)
		}
		_, found, err := RestoreState(dir, c, nil, none(t))
		if found || !errors.Is(err, checkpoint.Mismatch) || !slices.Equal(values(c), before) || c.Steps() != 0 {
			t.Fatalf("%v, %v", found, err)
		}
		if s := err.Error(); !strings.Contains(s, filepath.Join(dir, stateName(3))+": ") || !strings.Contains(s, want) || !strings.Contains(s, "remove the folder's training-*.safetensors to begin anew") || strings.Contains(s, "\n") {
			t.Errorf("%s\nwant %s", s, want)
		}
	}
}

// sealedState is a training checkpoint with a right seal and any metadata.
func sealedState(t testing.TB, meta map[string]string, entries ...checkpoint.Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := checkpoint.WriteSealed(&b, meta, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestResealedState(t *testing.T) {
	good := map[string]string{"format": StateFormat, "version": stateVersion, "steps": "3", "position": `{"epoch":1}`, "progress": `{}`}
	for _, c := range []struct {
		key, value string
		kind       checkpoint.Kind
	}{
		{"format", "fewshot-mask", checkpoint.Unsupported},
		{"version", "1", checkpoint.Unsupported},
		{"steps", "", checkpoint.Corrupt},
		{"steps", "-1", checkpoint.Corrupt},
		{"steps", "1e3", checkpoint.Corrupt},
		{"steps", "99999999999999999999", checkpoint.Corrupt},
		{"position", "", checkpoint.Corrupt},
		{"position", `{"epoch":-1}`, checkpoint.Corrupt},
		{"position", `{"batch":-1}`, checkpoint.Corrupt},
		{"position", `{"loss":"NaN"}`, checkpoint.Corrupt},
		{"progress", "", checkpoint.Corrupt},
		{"progress", `{"images":-1}`, checkpoint.Corrupt},
		{"progress", `{"whole":{"nanoseconds":-1}}`, checkpoint.Corrupt},
		{"progress", `{"whole":{"nanoseconds":2,"cpu_nanoseconds":-1}}`, checkpoint.Corrupt},
	} {
		meta := map[string]string{}
		for k, v := range good {
			meta[k] = v
		}
		meta[c.key] = c.value
		path := filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, sealedState(t, meta), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadState(path); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s %q: %v, want %v", c.key, c.value, err, c.kind)
		}
	}
}

// FuzzState seals any bytes anew and reads them as a training checkpoint.
func FuzzState(f *testing.F) {
	for _, b := range [][]byte{
		sealedState(f, map[string]string{"format": StateFormat, "version": stateVersion, "steps": "3", "position": `{"epoch":1,"batch":2}`, "progress": `{"epochs":[{"epoch":1,"lr":0.1,"loss":2,"distill":null,"train_accuracy":50,"images":4}],"images":4,"nanoseconds":9}`, "run/lr": "1"}),
		sealedState(f, map[string]string{"format": StateFormat, "version": stateVersion, "steps": "x"}),
	} {
		f.Add(b[:len(b)-32])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := reseal(b)
		file, err := checkpoint.NewFile("state", bytes.NewReader(sum), int64(len(sum)))
		if err != nil {
			return
		}
		s, err := readState(file)
		if err == nil && (s.Steps < 0 || s.At.Epoch < 0 || s.At.Batch < 0) {
			t.Fatalf("%+v", s)
		}
	})
}
