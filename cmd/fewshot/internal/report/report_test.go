package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image"
	"io"
	"strings"
	"testing"

	"fewshot/rmt"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

const nasty = "</td><script>alert(1)</script> \"a' & b \x1b[31m\u202e"

func ptr[T any](v T) *T { return &v }

func sample() *Run {
	spec := run.Spec{Method: "r-amt", Settings: json.RawMessage(`{"note":"</script>"}`), Data: run.DataSpec{Title: nasty}}
	r := &run.Result{Kind: "result", Method: "r-amt", Dataset: nasty, Model: nasty, Spec: spec, SpecHash: spec.Hash(), Classes: "all", NumClass: 3, Shots: 16, Seed: 1,
		Test: &run.Accuracy{Accuracy: 50, Correct: 3, Images: 6}, ZeroShot: &run.Accuracy{Accuracy: 33.3}, Synthetic: true, Remarks: []string{nasty},
		Sparsity: &rmt.Sparsity{Off: 10, Total: 1000}, FileBytes: 1234,
		Epochs: []train.Epoch{{Epoch: 1, Loss: 3, Accuracy: 20}, {Epoch: 2, Loss: 2, Distill: ptr(0.5), Accuracy: 40}}}
	for _, name := range []string{"visual.transformer.resblocks.0.attn.in_proj_weight", "visual.transformer.resblocks.0.attn.out_proj.weight", "visual.transformer.resblocks.1.attn.in_proj_weight",
		"visual.layer1.0.conv1.weight", "transformer.resblocks.0.mlp.c_fc.weight", "visual.conv1.weight", nasty} {
		r.Tensors = append(r.Tensors, rmt.TensorSparsity{Name: name, Sparsity: rmt.Sparsity{Off: 3, Total: 100}})
	}
	all := []run.Prediction{{Label: 0, Predicted: 0, Confidence: 0.9}, {Label: 0, Predicted: 1, Confidence: 0.8}, {Label: 0, Predicted: 1, Confidence: 0.95},
		{Label: 1, Predicted: 1, Confidence: 0.7}, {Label: 1, Predicted: 0, Confidence: 0.4}, {Label: 1, Predicted: 1, Confidence: 1}}
	picture := image.NewRGBA(image.Rect(0, 0, 8, 8))
	return &Run{Result: r, Folder: nasty, Program: "fewshot", Commands: []Command{{Does: "again", Line: "fewshot '" + nasty + "'"}},
		Tested: &Tested{Dataset: nasty, Classes: []string{"cat", nasty, "never seen"}, Predictions: all, Mistakes: []Mistake{{all[2], nasty, picture}, {all[1], "", picture}}}}
}

// The page is well-formed, in the bytes of every time, and nothing of what strangers wrote is markup in it; headings,
// tables and pictures say what they are to those who do not see them, and nothing is fetched.
func TestPage(t *testing.T) {
	for name, make := range map[string]func() *Run{
		"all": sample,
		"nothing more": func() *Run {
			s := sample()
			s.Tested, s.Result.Epochs, s.Result.Tensors, s.Result.Test = nil, nil, nil, nil
			return s
		},
		"all right": func() *Run {
			s := sample()
			s.Tested.Predictions, s.Tested.Mistakes = s.Tested.Predictions[:1], nil
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a, b bytes.Buffer
			if err := make().HTML(&a); err != nil {
				t.Fatal(err)
			}
			if err := make().HTML(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Errorf("made again it has other bytes (%v)", err)
			}
			check(t, a.Bytes())
		})
	}
}

// check reads a page as XML, which is stricter than any browser: each element is closed, each attribute quoted.
func check(t *testing.T, page []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	ids, named := map[string]bool{}, map[string]bool{}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			if s, ok := tok.(xml.CharData); ok && strings.ContainsAny(string(s), "\x1b\u202e") {
				t.Errorf("a control character in %q", s)
			}
			continue
		}
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Name.Local] = a.Value
			for _, kind := range []string{"src", "href"} {
				if a.Name.Local == kind && !strings.HasPrefix(a.Value, "data:image/") {
					t.Errorf("%s is loaded", a.Value)
				}
			}
			if strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("a handler: %s", a.Name.Local)
			}
		}
		if id := attr["id"]; id != "" {
			if ids[id] {
				t.Errorf("two elements are called %s", id)
			}
			ids[id] = true
		}
		switch e.Name.Local {
		case "script", "iframe", "object", "link":
			t.Errorf("an element %s", e.Name.Local)
		case "img":
			if attr["alt"] == "" {
				t.Error("a picture without alt")
			}
		case "svg":
			if attr["role"] != "img" || attr["aria-label"] == "" {
				t.Error("a figure without a label")
			}
		case "th":
			if attr["scope"] == "" {
				t.Error("a header without scope")
			}
		case "section":
			named[attr["aria-labelledby"]] = true
		}
	}
	for id := range named {
		if !ids[id] {
			t.Errorf("no heading %s", id)
		}
	}
}

func TestClasses(t *testing.T) {
	s := sample().Tested
	c := byClass(s.Predictions, s.Classes)
	if len(c) != 3 || c[0].Class != "cat" || c[0].Confused != nasty || c[0].Times != 2 || c[2].Accuracy != nil || c[2].Times != 0 {
		t.Errorf("%+v", c)
	}
	if m := Mistakes(s.Predictions, 2); len(m) != 2 || m[0] != 2 || m[1] != 1 {
		t.Errorf("%v", m)
	}
	if f := sparsity(sample().Result.Tensors); len(f.Groups) != 6 || f.Groups[0] != "0" || f.Groups[2] != "1.0" || f.Groups[3] != "text 0" || len(f.Series) != 5 || f.Series[0].Values[1] != 3 {
		t.Errorf("%+v", f)
	}
}

// A plan's page has every run, the best of each column, and is as well-formed as a run's.
func TestPlanPage(t *testing.T) {
	p := &Plan{Name: nasty, Folder: nasty, Program: "fewshot", Commands: []Command{{Does: "again", Line: nasty}}}
	for _, method := range []string{"coop", "r-amt"} {
		for _, shots := range []int{1, 4} {
			for seed := range uint64(2) {
				r := plan.Run{Method: method, Settings: map[string]string{"lr": nasty}, Model: plan.Model{Name: "embedded"}, Data: plan.Data{Name: nasty, Classes: "all", Shots: shots, Seed: seed}}
				o := &plan.Outcome{ID: r.ID(), Run: r, State: plan.Done, Result: &run.Result{Test: &run.Accuracy{Accuracy: 50 + 5*float64(shots) + float64(seed), Images: 10}, Synthetic: true, Device: "a processor"}}
				p.Outcomes = append(p.Outcomes, o)
			}
		}
	}
	p.Outcomes[0].Result, p.Outcomes[0].State, p.Outcomes[0].Problem = nil, plan.Failed, nasty
	p.Table = plan.Tabulate(p.Outcomes)
	var a, b bytes.Buffer
	if err := p.HTML(&a); err != nil {
		t.Fatal(err)
	}
	if err := p.HTML(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("made again it has other bytes (%v)", err)
	}
	check(t, a.Bytes())
	for want, n := range map[string]int{"; model embedded; made on a processor</p>": 1, `<span class="hidden"> best</span>`: 3, "<svg ": 2, "<code>": 9, "*</td>": 1} {
		if got := strings.Count(a.String(), want); got != n {
			t.Errorf("%s comes %d times, want %d", want, got, n)
		}
	}
}

// The untouched model's accuracy is the plan's, where a run has not measured it: on the same images alone, and not under a mask.
func TestPlanPageZeroShot(t *testing.T) {
	outcome := func(method, below, classes string, accuracy float64) *plan.Outcome {
		r := plan.Run{Method: method, Below: below, Data: plan.Data{Name: "d", Split: "all", Classes: classes}}
		result := &run.Result{Classes: classes, Split: "all", Test: &run.Accuracy{Accuracy: accuracy}}
		if method != plan.ZeroShot {
			r.Data.Shots, result.Split = 4, "all's test images, and four a class"
		}
		return &plan.Outcome{ID: method, Run: r, State: plan.Done, Result: result}
	}
	q := &planPage{Plan: &Plan{Outcomes: []*plan.Outcome{outcome(plan.ZeroShot, "", "all", 40), outcome("coop", "", "all", 50), outcome("coop", "m", "all", 60), outcome("coop", "", "base", 70)}}}
	if a := q.Untouched(q.Outcomes[1]); a == nil || a.Accuracy != 40 {
		t.Errorf("%+v", a)
	}
	for _, o := range q.Outcomes[2:] {
		if a := q.Untouched(o); a != nil {
			t.Errorf("%s: %+v", &o.Run, a)
		}
	}
	own := q.Outcomes[3]
	if own.Result.ZeroShot = own.Result.Test; q.Untouched(own) != own.Result.Test {
		t.Error("a run's own figure is not taken")
	}
	q.Table = plan.Tabulate(q.Outcomes)
	var b bytes.Buffer
	if err := q.HTML(&b); err != nil || strings.Count(b.String(), `<td class="n">40.00`) != 4 { // in the table, twice in its own row, and in that of coop
		t.Errorf("%v, %d", err, strings.Count(b.String(), `<td class="n">40.00`))
	}
}

// What differs among runs makes lines of their own, as it makes rows: models, masks below, settings. Two of them in one
// line would be averaged.
func TestPlanPageLines(t *testing.T) {
	p := &Plan{Name: "p"}
	add := func(method, model, below string, shots int, accuracy float64) {
		r := plan.Run{Method: method, Below: below, Model: plan.Model{Name: model}, Data: plan.Data{Name: "d", Classes: "all", Shots: shots}}
		p.Outcomes = append(p.Outcomes, &plan.Outcome{ID: r.ID(), Run: r, State: plan.Done, Result: &run.Result{Test: &run.Accuracy{Accuracy: accuracy, Images: 10}}})
	}
	for i, model := range []string{"ViT-B/16", "ViT-B/32"} {
		add(plan.ZeroShot, model, "", 0, 40+float64(i))
		for _, shots := range []int{1, 4} {
			add("coop", model, "", shots, 50+10*float64(i))
		}
	}
	for i, mask := range []string{"first", "second"} {
		for _, shots := range []int{1, 4} {
			add("coop", "ViT-B/16", mask, shots, 70+10*float64(i))
		}
	}
	p.Table = plan.Tabulate(p.Outcomes)
	var b bytes.Buffer
	if err := p.HTML(&b); err != nil {
		t.Fatal(err)
	}
	_, curves, _ := strings.Cut(b.String(), `<h2 id="shots">`)
	curves, _, _ = strings.Cut(curves, "<section")
	for _, r := range p.Table.Rows {
		if !strings.Contains(curves, ">"+r.Name+"<") {
			t.Errorf("the row %s has no line", r.Name)
		}
	}
	if len(p.Table.Rows) != 6 {
		t.Errorf("%d rows", len(p.Table.Rows))
	}
}

// Where no weight is off there is nothing to draw by layer.
func TestNothingOff(t *testing.T) {
	for i, want := range []int{1, 0} {
		r := sample()
		if i == 1 {
			for j := range r.Result.Tensors {
				r.Result.Tensors[j].Off = 0
			}
		}
		var b bytes.Buffer
		if err := r.HTML(&b); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), `id="sparsity"`); n != want {
			t.Errorf("%d sections of sparsity, want %d", n, want)
		}
	}
}
