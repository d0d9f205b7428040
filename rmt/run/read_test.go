package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/rmt"
)

func sampleResult(t testing.TB) *Result {
	t.Helper()
	c, err := rmt.Defaults("r-amt", "paper", "dtd", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := settingsJSON(&c)
	if err != nil {
		t.Fatal(err)
	}
	s := Spec{Method: "r-amt", Settings: settings, Data: DataSpec{Title: "T", Templates: []string{"a <b> & {}."}}}
	return &Result{Kind: "result", Spec: s, SpecHash: s.Hash(), Model: "embedded", Dataset: "synth:things", Method: "r-amt", File: `C:\runs\mask.safetensors`}
}

// What was written is read, indented or not; what is no result, or was changed, is refused for what it is.
func TestReadResult(t *testing.T) {
	dir := t.TempDir()
	b, err := json.MarshalIndent(sampleResult(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ResultName)
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, path} {
		r, folder, err := ReadResult(p)
		if err != nil || folder != dir || r.Spec.Method != "r-amt" {
			t.Fatalf("%v, %s", err, folder)
		}
		m, s, err := r.Again()
		if err != nil || m.Name != "r-amt" || s.(*rmt.Config).Leak != 0.3 {
			t.Errorf("%v, %+v", err, s)
		}
	}
	// Another program writes the same otherwise.
	other := strings.NewReplacer(`"lr": 0.00008`, `"lr":8e-05`, `"r-amt"`, `"\u0072-amt"`, "\n", "\r\n\t").Replace(string(b))
	if r, err := ParseResult([]byte(other)); err != nil || r.Spec.Hash() != r.SpecHash {
		t.Errorf("%v", err)
	}
	possible := func(test string) string { return strings.Replace(string(b), `"test": null`, `"test": `+test, 1) }
	if _, err := ParseResult([]byte(possible(`{"accuracy":33.33333333333333,"correct":1,"images":3,"macro_f1":50}`))); err != nil {
		t.Error(err)
	}
	for in, want := range map[string]string{
		"": "is no result", "{}": "is no result", `{"kind":"result","dataset":"a","model":"b"}`: "has no spec",
		strings.Replace(string(b), `"lr": 0.00008`, `"lr": 0.0008`, 1): "changed since it was written",
		strings.Replace(string(b), `"title"`, `"titel"`, 1):            `unknown field "titel"`,
		string(b[:len(b)/2]): "is no result",
		possible(`{"accuracy":400,"correct":4,"images":10}`):                 "test.accuracy is 400, and 4 of 10 images are 40 %",
		possible(`{"accuracy":7.5,"correct":187,"images":400}`):              "test.accuracy is 7.5",
		possible(`{"accuracy":100,"correct":999999,"images":400}`):           "test.correct is 999999 of 400 images",
		possible(`{"accuracy":-1,"correct":-4,"images":400}`):                "test.correct is -4",
		possible(`{"accuracy":0,"correct":0,"images":-1}`):                   "test.images is -1",
		possible(`{"accuracy":40,"correct":4,"images":10,"macro_f1":101}`):   "test.macro_f1 is 101",
		possible(`null, "zeroshot":{"accuracy":41,"correct":4,"images":10}`): "zeroshot.accuracy is 41",
		possible(`null, "sparsity":{"off":3,"total":2}`):                     "sparsity.off is 3 of 2",
		possible(`null, "sparsity_percent":3`):                               "sparsity_percent is 3",
		possible(`null, "choice":{"accuracy":300,"images":4}`):               "choice.accuracy is 300",
	} {
		if _, err := ParseResult([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v", in, err)
		}
	}
	if _, _, err := ReadResult(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no finished run") {
		t.Errorf("%v", err)
	}
}

func FuzzResult(f *testing.F) {
	b, err := json.Marshal(sampleResult(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"kind":"result","model":"m","dataset":"d","spec":{"method":"amt","settings":{}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseResult(b)
		if err != nil {
			return
		}
		r.Again()
		r.Variants()
		r.Learned("x")
	})
}
