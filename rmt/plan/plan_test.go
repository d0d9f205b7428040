package plan

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fewshot/rmt/run"
)

// grid is one of several runs, of data that need not be there.
func grid() Grid {
	return Grid{Methods: []string{ZeroShot, "coop", "tip-adapter"}, Models: []Model{{Name: "embedded", Digest: "d"}}, Data: []string{"dtd", "synth:things"},
		Shots: []int{1, 4}, Seeds: []uint64{1, 2}, Below: []string{"", "r-amt"}, Evaluate: []Evaluation{{Classes: "new"}}}
}

func planOf(t *testing.T, g Grid) *Plan {
	t.Helper()
	p, err := g.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// runsOf are the runs of a plan.
func runsOf(p *Plan) (all []Run) {
	for _, r := range p.All() {
		all = append(all, r)
	}
	return all
}

func file(t *testing.T, p *Plan, program string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b, program); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The ids of runs outlive versions of the program: results are kept under them.
func TestIDsStay(t *testing.T) {
	r := Run{Method: "r-amt", Settings: map[string]string{"leak": "0.5", "epochs": "3"}, Model: Model{Name: "ViT-B/16", Digest: "00ff"},
		Data: Data{Name: "oxford_pets", Split: "ab", Classes: "all", Shots: 16, Seed: 1}}
	under := Run{Method: "coop", Model: Model{Name: "a.pt"}, Data: Data{Name: "my/folder", Classes: "base", Templates: []string{"a photo of a {}."}}, Below: r.ID()}
	for _, c := range []struct {
		r    Run
		want string
	}{{r, "fb5a64322648fc99"}, {under, "d38af74e9edbb796"}} {
		if got := c.r.ID(); got != c.want {
			t.Errorf("%s: id %s, was %s", &c.r, got, c.want)
		}
	}
}

// What determines a result changes the id; where things lie, and what else is tested, does not.
func TestID(t *testing.T) {
	base := Run{Method: "coop", Settings: map[string]string{"epochs": "2"}, Model: Model{Name: "a.pt", Digest: "d"},
		Data: Data{Name: "my/pets", Split: "s", Classes: "all", Shots: 4, Seed: 1, Reading: Reading{Division: "0.8"}}}
	seen := map[string]string{base.ID(): "base"}
	for what, change := range map[string]func(*Run){
		"method":    func(r *Run) { r.Method = "prograd" },
		"setting":   func(r *Run) { r.Settings = map[string]string{"epochs": "3"} },
		"digest":    func(r *Run) { r.Model.Digest = "e" },
		"pixels":    func(r *Run) { r.Model.ImageSize = 64 },
		"pillow":    func(r *Run) { r.Model.Pillow = 12 },
		"precision": func(r *Run) { r.Model.Precision = "bf16" },
		"split":     func(r *Run) { r.Data.Split = "t" },
		"classes":   func(r *Run) { r.Data.Classes = "base" },
		"templates": func(r *Run) { r.Data.Templates = []string{"{}"} },
		"shots":     func(r *Run) { r.Data.Shots = 5 },
		"seed":      func(r *Run) { r.Data.Seed = 2 },
		"sample":    func(r *Run) { r.Data.Sample = OfProbe },
		"prompts":   func(r *Run) { r.Data.Prompts = &PromptsFile{"p.json", "x"} },
		"choice":    func(r *Run) { r.Select = &run.Selection{On: "val"} },
		"grid": func(r *Run) {
			r.Select = &run.Selection{On: "val", Grid: []run.Axis{{Name: "lr", Values: []string{"1", "2"}}}}
		},
		"published": func(r *Run) { r.Data.Name = "oxford_pets" },
		"drawn":     func(r *Run) { r.Data.Name = "synth:things" },
		"below":     func(r *Run) { r.Below = "0123456789abcdef" },
		"mask":      func(r *Run) { r.Mask = &MaskFile{"m", "x"} },
	} {
		r := base
		change(&r)
		if was, twice := seen[r.ID()]; twice {
			t.Errorf("%s and %s have one id", what, was)
		}
		seen[r.ID()] = what
	}
	for what, change := range map[string]func(*Run){
		"model's place": func(r *Run) { r.Model.Name = "elsewhere/a.pt" },
		"folder":        func(r *Run) { r.Data.Name = "/data/pets" },
		"reading":       func(r *Run) { r.Data.Reading = Reading{} },
		"evaluations":   func(r *Run) { r.Evaluate = []Evaluation{{Data: "dtd", Classes: "all"}} },
	} {
		r := base
		change(&r)
		if r.ID() != base.ID() {
			t.Errorf("%s changes the id", what)
		}
	}
	prompts, moved := base, base
	prompts.Data.Prompts, moved.Data.Prompts = &PromptsFile{"p.json", "x"}, &PromptsFile{"elsewhere/p.json", "x"}
	if prompts.ID() != moved.ID() {
		t.Error("the place of prompts changes the id")
	}
	pets, spelt := base, base
	pets.Data.Name, spelt.Data.Name = "oxford_pets", "OxfordPets"
	if pets.ID() != spelt.ID() {
		t.Error("another spelling of a data set of the table changes the id")
	}
}

// A setting that says the default is none, and a number has one form.
func TestSettle(t *testing.T) {
	of := func(method string, settings map[string]string) map[string]string {
		r := Run{Method: method, Settings: settings, Model: Model{Name: "m"}, Data: Data{Name: "dtd", Shots: 16, Seed: 1}}
		if err := r.Settle(); err != nil {
			t.Fatal(err)
		}
		return r.Settings
	}
	for _, c := range []struct {
		method      string
		given, want map[string]string
	}{
		{"r-amt", map[string]string{"leak": "0.30", "threshold": "5e-3"}, nil},
		{"r-amt", map[string]string{"leak": "1.0", "epochs": "auto"}, map[string]string{"leak": "1", "epochs": "auto"}},
		{"r-amt", map[string]string{"recipe": "paper"}, nil},
		{"r-amt", map[string]string{"recipe": "released"}, map[string]string{"recipe": "released"}},
		{"r-amt", map[string]string{"encoder": "text", "lr": "0.001"}, map[string]string{"encoder": "text", "lr": "0.001"}},
		{"vpt-deep", map[string]string{"convention": "maple", "batch-size": "32", "prompts": "8"}, map[string]string{"convention": "maple", "batch-size": "32"}},
	} {
		if diff := cmp.Diff(c.want, of(c.method, c.given)); diff != "" {
			t.Errorf("%v: %s", c.given, diff)
		}
	}
	for want, r := range map[string]Run{
		"coop has no setting leak":         {Method: "coop", Settings: map[string]string{"leak": "1"}},
		"leak 7 must lie in":               {Method: "r-amt", Settings: map[string]string{"leak": "7"}},
		"epochs x: want a number, or auto": {Method: "r-amt", Settings: map[string]string{"epochs": "x"}},
		`method "emt" is not known`:        {Method: "emt"},
		"has no settings, no choice":       {Method: ZeroShot, Settings: map[string]string{"leak": "1"}},
	} {
		r.Model.Name, r.Data.Name = "m", "dtd"
		if err := r.Settle(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", r, err, want)
		}
	}
}

// A grid has every combination once, the untouched model once for all shots and seeds, and masks before what is trained under them.
func TestGrid(t *testing.T) {
	p := planOf(t, grid())
	count := map[string]int{}
	for i, r := range p.All() {
		under := ""
		if b := p.Below(i); b >= 0 {
			if b >= i || p.ID(b) != r.Below {
				t.Errorf("run %d is under run %d", i, b)
			}
			under = " under " + runsOf(p)[b].Method
		}
		count[r.Method+under]++
		if len(r.Evaluate) != 1 && r.Method != "r-amt" || r.ID() != p.ID(i) || p.Index(p.ID(i)) != i {
			t.Errorf("run %d: %+v", i, r)
		}
	}
	want := map[string]int{ZeroShot: 2, "coop": 8, "tip-adapter": 8, "r-amt": 8, "coop under r-amt": 8, "tip-adapter under r-amt": 8}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	if p.Index("nothing") != -1 || p.Index("0000000000000000") != -1 {
		t.Error("there is a run of an id that is none")
	}
}

// Runs that two plans share are one, with the evaluations of both.
func TestUnion(t *testing.T) {
	a, b := grid(), grid()
	a.Methods, b.Methods = a.Methods[:2], b.Methods[1:]
	b.Evaluate = []Evaluation{{Data: "synth:things", Classes: "all"}, {Classes: "new"}}
	pa, pb := planOf(t, a), planOf(t, b)
	u, err := Union(pa, pb)
	if err != nil {
		t.Fatal(err)
	}
	if u.Len() != planOf(t, grid()).Len() {
		t.Errorf("%d runs", u.Len())
	}
	for _, r := range u.All() {
		want := 2 // in both, or in b
		switch {
		case r.Method == "r-amt":
			want = 0
		case r.Method == ZeroShot || r.Data.Name == "synth:things": // whose own result is one of them
			want = 1
		}
		if len(r.Evaluate) != want {
			t.Errorf("%s: %d evaluations, want %d", &r, len(r.Evaluate), want)
		}
	}
	twice, err := Union(u, pa, pb, u)
	if err != nil || twice.Hash() != u.Hash() {
		t.Errorf("the union with what is in it is another: %v", err)
	}
}

// A file gives the plan back, and writes itself again.
func TestFile(t *testing.T) {
	p := planOf(t, grid())
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	if err := p.Save(path, "v1"); err != nil {
		t.Fatal(err)
	}
	got, err := Open(path, "v1")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if diff := cmp.Diff(runsOf(p), runsOf(got)); diff != "" {
		t.Error(diff)
	}
	if b := file(t, p, "v1"); got.Hash() != p.Hash() || !bytes.Equal(file(t, got, "v1"), b) {
		t.Error("written again it is another file")
	}
	if n, err := OpenHeader(path); n != p.Len() || err != nil {
		t.Errorf("its header says %d runs, %v", n, err)
	}
	// A file that is changed while it is open is noticed.
	b := file(t, p, "v1")
	if err := os.WriteFile(path, bytes.Replace(b, []byte(`"shots":4`), []byte(`"shots":5`), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	var bad error
	for i := range got.Len() {
		if _, err := got.Run(i); err != nil {
			bad = err
		}
	}
	if bad == nil || !strings.Contains(bad.Error(), "changed meanwhile") {
		t.Errorf("changed under way: %v", bad)
	}
}

// What is no plan, was changed, cut off or made by another version is refused in one line that says what to do.
func TestRefusals(t *testing.T) {
	good := string(file(t, planOf(t, grid()), "v1"))
	lines := strings.SplitAfter(good, "\n")
	lines = lines[:len(lines)-1]
	join := func(l ...[]string) string {
		s := ""
		for _, part := range l {
			s += strings.Join(part, "")
		}
		return s
	}
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the plan has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	under := 0
	for i, l := range lines {
		if strings.Contains(l, `"below"`) {
			under = i
		}
	}
	for want, text := range map[string]string{
		"first line is its header":                                          "",
		"a plan's first line":                                               "method,shots\nr-amt,16\n",
		"plan's first line":                                                 lines[1],
		"of version 2; this program reads version 1":                        replace(`"version":1`, `"version":2`),
		"made by another version of the program, v2":                        replace(`"program":"v1"`, `"program":"v2"`),
		"a plan of -1 runs":                                                 replace(fmt.Sprintf(`"runs":%d`, len(lines)-1), `"runs":-1`),
		"line 3: the run's id is":                                           replace(`"seed":1`, `"seed":3`),
		"line 2: cannot be read: json: unknown field":                       replace(`"method"`, `"colour":"red","method"`),
		"is not written as this program writes it":                          replace(`"id":`, `"id": `),
		"its header says 42 with":                                           replace(`"evaluate":[{"data":"dtd"`, `"evaluate":[{"data":"sun397"`),
		"it holds 1 run with":                                               join(lines[:2]),
		"the line is cut off":                                               good[:len(good)-1],
		fmt.Sprintf("line %d: the plan has", len(lines)+1):                  good + "\n",
		fmt.Sprintf("line %d: the plan has %d", len(lines)+1, len(lines)-1): good + lines[1],
		"is in the plan twice":                                              join(lines[:2], lines[1:2], lines[3:]),
		"was changed or cut off":                                            join(lines[:1], lines[2:3], lines[1:2], lines[3:]),
		"another, which must stand before it":                               join(lines[:1], lines[under:under+1]),
		"is longer than":                                                    lines[0] + strings.Repeat(" ", maxLine+1) + "\n",
	} {
		_, err := read(strings.NewReader(text), strings.NewReader(text), "v1")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%v\nwant %q", err, want)
		}
		if strings.Contains(fmt.Sprint(err), ", line ") && want != "is longer than" && !strings.HasSuffix(err.Error(), "make the plan again") {
			t.Errorf("%v does not say what to do", err)
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := Open(path, ""); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A plan of very many runs takes a few bytes of memory a run, wherever their lines are.
func TestManyRuns(t *testing.T) {
	const n = 5000
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	func() {
		g := Grid{Methods: []string{"coop"}, Models: []Model{{Name: strings.Repeat("m", 300), Digest: "d"}}, Data: []string{"dtd"}, Shots: []int{4}}
		for i := range n {
			g.Seeds = append(g.Seeds, uint64(i))
		}
		if err := planOf(t, g).Save(path, "v1"); err != nil {
			t.Fatal(err)
		}
	}()
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	p, err := Open(path, "v1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if bytes := (int64(held()) - int64(before)) / n; bytes > 150 {
		t.Errorf("%d bytes a run", bytes)
	}
	if r, err := p.Run(n - 1); err != nil || r.Data.Seed != n-1 {
		t.Errorf("%+v, %v", r, err)
	}
	runtime.KeepAlive(p)
}

// Runs on one data set are made together, and of these those of one sample under one mask, wherever the plan has them; none comes before the run whose
// mask it is trained under.
func TestOrder(t *testing.T) {
	m := Model{Name: "m", Digest: "d"}
	of := func(method, data string, seed uint64) Run {
		return Run{Method: method, Model: m, Data: Data{Name: data, Classes: "all", Shots: 1, Seed: seed}}
	}
	mask := of("r-amt", "sun397", 1)
	under := of("gda", "dtd", 1)
	under.Below = mask.ID()
	p, err := New([]Run{of("lp++", "dtd", 1), of("lp++", "dtd", 2), mask, of("gda", "dtd", 2), of("gda", "dtd", 1), under, of("gda", "sun397", 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ selected, want []int }{
		{[]int{0, 1, 2, 3, 4, 5, 6}, []int{0, 4, 1, 3, 2, 5, 6}},
		{[]int{3, 4, 5}, []int{3, 4, 5}},
		{nil, []int{}},
	} {
		if got, err := p.order(c.selected); err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%v: %v, %v, want %v", c.selected, got, err, c.want)
		}
	}
}
