package plan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

// The files that these begin with are small. Of each input that reaches new code the fuzzer looks for the smallest one which does, by leaving
// out all parts of it: of thousands of bytes that takes a minute, in which nothing else is tried.

// seeds are runs of all kinds.
func seeds() []Run {
	m, d := Model{Name: "m", Digest: "d"}, Data{Name: "dtd", Classes: "all", Shots: 1, Seed: 1}
	probe, prompts := d, d
	probe.Sample = OfProbe
	prompts.Prompts = &PromptsFile{"p", "x"}
	return []Run{
		{Method: "lp++", Model: m, Data: d},
		{Method: "taskres", Settings: map[string]string{"epochs": "3"}, Model: m, Data: probe,
			Select: &run.Selection{On: "val", Grid: []run.Axis{{Name: "lr", Values: []string{"1", "2"}}}}},
		{Method: "r-amt", Settings: map[string]string{"leak": "0.5"}, Model: m, Data: prompts, Evaluate: []Evaluation{{Data: "dtd", Classes: "new"}}},
		{Method: "gda", Model: m, Data: d, Mask: &MaskFile{"k", "y"}},
		{Method: ZeroShot, Model: Model{Name: "m"}, Data: Data{Name: "f", Classes: "base", Templates: []string{"a {}"}, Reading: Reading{Division: "1/5", DivisionSeed: 2}}},
	}
}

// fuzzRead reads a plan's file: what is taken is written again to the byte.
func fuzzRead(t *testing.T, b []byte) *Plan {
	p, err := read(bytes.NewReader(b), bytes.NewReader(b), "v1")
	if err != nil {
		if len(err.Error()) > 1<<16 {
			t.Fatalf("%d bytes of error", len(err.Error()))
		}
		return nil
	}
	for range p.All() {
	}
	var again bytes.Buffer
	if err := p.Write(&again, "v1"); err != nil || p.Len() > 0 && !bytes.HasSuffix(b, again.Bytes()[bytes.IndexByte(again.Bytes(), '\n'):]) {
		t.Fatalf("written again it is another, %v", err)
	}
	return p
}

// FuzzRead reads anything as a plan.
func FuzzRead(f *testing.F) {
	for _, r := range seeds() {
		p, err := New([]Run{r})
		var b bytes.Buffer
		if err == nil {
			err = p.Write(&b, "v1")
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(`{"format":"fewshot-plan","version":1,"program":"v1","runs":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, b) })
}

// FuzzRun makes a plan of anything that is runs in JSON: it gives its own file, and what is not taken is refused in one line. Hashes, which the fuzzer
// would never guess, are made here.
func FuzzRun(f *testing.F) {
	for _, r := range seeds() {
		f.Add(canonical(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var runs []Run
		for d := json.NewDecoder(bytes.NewReader(b)); len(runs) < 3; {
			var r Run
			if d.Decode(&r) != nil {
				break
			}
			runs = append(runs, r)
		}
		if n := len(runs); n == 2 { // trained under the mask of the other
			runs[1].Below = runs[0].ID()
		}
		p, err := New(runs)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || strings.ContainsRune(err.Error(), '\x1b') {
				t.Fatalf("%q", err)
			}
			return
		}
		var file bytes.Buffer
		if err := p.Write(&file, "v1"); err != nil {
			t.Fatal(err)
		}
		got := fuzzRead(t, file.Bytes())
		if got == nil || got.Hash() != p.Hash() {
			t.Fatalf("its own plan is not read: %s", file.Bytes())
		}
		var all []int
		for i, r := range got.All() {
			all = append(all, i)
			r.Chosen() // no panic
			r.variants()
			_, _ = r.String(), rowName(&Outcome{Run: r}, varying{})
		}
		if order, err := got.order(all); err != nil || len(order) != len(all) {
			t.Fatalf("%v, %v", order, err)
		}
	})
}

// FuzzEvaluated reads anything as the file of a further evaluation, as it is and with the seal that belongs to it: what is taken is written again to
// the byte, and says nothing that cannot be.
func FuzzEvaluated(f *testing.F) {
	e := Evaluated{Kind: evaluatedKind, Run: "0123456789abcdef", Evaluation: Evaluation{Data: "dtd", Classes: "new"}, Refused: "no"}
	tested := e
	tested.Refused, tested.Test = "", &run.Accuracy{Accuracy: 50, MacroF1: 40, Correct: 1, Images: 2}
	f.Add(e.sealed())
	f.Add(tested.sealed())
	f.Add([]byte(`{"kind":"evaluation"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		try := func(b []byte) {
			got, err := parseEvaluated(b, e.Run, e.Evaluation.Key())
			if err != nil {
				return
			}
			if !bytes.Equal(got.sealed(), b) {
				t.Fatalf("%q was taken", b)
			}
			if a := got.Test; a != nil && !(a.Correct >= 0 && a.Correct <= a.Images && a.Accuracy > -0.01 && a.Accuracy < 100.01) {
				t.Fatalf("%+v was taken", a)
			}
		}
		try(b)
		var any Evaluated
		if strict(b, &any) == nil {
			try(any.sealed())
		}
	})
}
