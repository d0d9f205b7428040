package tests

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/nn/checkpoint"
	"fewshot/tensor"
)

// TestGoldenVectors runs every case of the folders below testdata/golden, and of those that the environment variable
// FEWSHOT_GOLDEN lists, separated by ':' (from the module's root, unless they are absolute). With -v it says what
// every quantity is off by, and sums that up in a table. A case that no function was registered for fails, and so
// does one that compares nothing.
//
// A folder has one of three forms:
//
//	files       each .json and each .pt is a case; its kind is its name
//	golden.json each entry of "cases" is a case; its kind is "method " and what it has as "method"
//	cases/      each folder below with a case.json is a case; its kind is "family " and what it has as "family"; each folder of
//	            tokenizers/ is one of kind "tokenizer"
//
// Whoever adds a family of cases adds a file golden_NAME_test.go with a line
//
//	var _ = onGolden("kind", func(g *goldenCase) { … })
//
// and nothing else.
func TestGoldenVectors(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "golden", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range filepath.SplitList(os.Getenv("FEWSHOT_GOLDEN")) {
		if f == "" {
			continue
		}
		if !filepath.IsAbs(f) {
			f = filepath.Join("..", f) // tests run in their package's folder
		}
		folders = append(folders, f)
	}
	table := &goldenTable{}
	for _, f := range folders {
		t.Run(filepath.Base(f), func(t *testing.T) { runGolden(t, f, table) })
	}
	table.log(t)
}

// goldenKinds are the functions by kind of case, a pattern of path.Match.
var goldenKinds = map[string]func(*goldenCase){}

// onGolden registers what runs the cases of a kind.
func onGolden(kind string, run func(*goldenCase)) bool {
	if goldenKinds[kind] != nil {
		panic("golden: two functions for " + kind)
	}
	goldenKinds[kind] = run
	return true
}

// goldenRun finds the function for a kind: the one of the longest pattern that fits.
func goldenRun(kind string) (run func(*goldenCase)) {
	longest := -1
	for pattern, f := range goldenKinds {
		if ok, err := path.Match(pattern, kind); err != nil {
			panic(fmt.Sprintf("golden: pattern %q: %v", pattern, err))
		} else if ok && len(pattern) > longest {
			run, longest = f, len(pattern)
		}
	}
	return run
}

// goldenDocuments are the endings of files that are no cases themselves.
var goldenDocuments = []string{".md", ".py", ".txt", ".safetensors"}

// runGolden runs the cases of a folder.
func runGolden(t *testing.T, dir string, table *goldenTable) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := &goldenFolder{dir: dir, read: map[string]bool{}, table: table}
	before := table.cases
	parts := func(of ...string) { // what else there is was meant to be run
		for _, e := range entries {
			if name := e.Name(); !slices.Contains(of, name) && (e.IsDir() || !slices.Contains(goldenDocuments, filepath.Ext(name))) {
				t.Errorf("%s: %s is no part of a folder with %s", dir, name, of[0])
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "golden.json")); err == nil {
		parts("golden.json")
		folder.methods(t)
	} else if _, err := os.Stat(filepath.Join(dir, "cases")); err == nil {
		parts("cases", "tokenizers", "images", "pixels")
		folder.families(t)
	} else {
		for _, e := range entries {
			switch name := e.Name(); {
			case e.IsDir():
				t.Errorf("%s: a folder %s, in a folder of files", dir, name)
			case slices.Contains(goldenDocuments, filepath.Ext(name)):
			default:
				folder.run(t, name, name, func() json.RawMessage {
					if filepath.Ext(name) != ".json" {
						return nil
					}
					return folder.bytes(t, name)
				})
			}
		}
	}
	if folder.cases == 0 {
		t.Errorf("%s: there is no case in it", dir)
	} else if table.cases == before {
		t.Logf("%s: no case ran", dir) // all of them were deselected, or failed
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".safetensors" && !folder.read[e.Name()] {
			t.Logf("%s: no case that ran read %s", dir, e.Name())
		}
	}
}

// goldenFolder is a folder of cases.
type goldenFolder struct {
	dir   string
	read  map[string]bool // files that were asked for
	set   map[string]json.RawMessage
	table *goldenTable
	cases int              // those that are there, whether they are run or not
	leads map[string]*lead // by case, see golden_follow_test.go
}

func (f *goldenFolder) bytes(t testing.TB, name string) []byte {
	t.Helper()
	f.read[name] = true
	b, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// methods runs the cases of a golden.json.
func (f *goldenFolder) methods(t *testing.T) {
	if err := json.Unmarshal(f.bytes(t, "golden.json"), &f.set); err != nil {
		t.Fatalf("%s: golden.json: %v", f.dir, err)
	}
	var cases map[string]json.RawMessage
	if err := json.Unmarshal(f.set["cases"], &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%s: golden.json: %d cases, %v", f.dir, len(cases), err)
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		var kind struct{ Method string }
		if err := json.Unmarshal(cases[name], &kind); err != nil {
			t.Errorf("%s: golden.json: %s: %v", f.dir, name, err)
			continue
		}
		f.run(t, name, "method "+kind.Method, func() json.RawMessage { return cases[name] })
	}
}

// families runs the cases below cases/ and tokenizers/.
func (f *goldenFolder) families(t *testing.T) {
	for _, sub := range []string{"cases", "tokenizers"} {
		entries, err := os.ReadDir(filepath.Join(f.dir, sub))
		if err != nil && sub == "cases" {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := path.Join(sub, e.Name())
			if sub == "tokenizers" {
				if !e.IsDir() {
					continue // differences.json counts what is in the folders
				}
				f.run(t, name, "tokenizer", func() json.RawMessage { return nil })
				continue
			}
			raw := f.bytes(t, path.Join(name, "case.json"))
			var kind struct{ Family string }
			if err := json.Unmarshal(raw, &kind); err != nil {
				t.Errorf("%s: %s: %v", f.dir, name, err)
				continue
			}
			f.run(t, name, "family "+kind.Family, func() json.RawMessage { return raw })
		}
	}
}

// run runs a case on both devices of full precision.
func (f *goldenFolder) run(t *testing.T, name, kind string, raw func() json.RawMessage) {
	f.cases++
	t.Run(name, func(t *testing.T) {
		do := goldenRun(kind)
		if do == nil {
			t.Fatalf("%s: %s: nothing is registered that runs cases of kind %q", f.dir, name, kind)
		}
		f.table.cases++
		for _, device := range []string{"ref", "cpu"} {
			t.Run(device, func(t *testing.T) {
				g := &goldenCase{T: t, Folder: f, Name: name, Raw: raw(), Device: device, Dev: open(t, device, 1), checks: new(int)}
				do(g)
				if *g.checks == 0 && !t.Failed() {
					t.Errorf("%s: %s: nothing was compared", f.dir, name)
				}
			})
		}
	})
}

// goldenCase is a case on a device.
type goldenCase struct {
	*testing.T
	Folder *goldenFolder
	Name   string          // of the case in its folder
	Raw    json.RawMessage // the case itself, where it is JSON
	Device string          // ref, cpu
	Dev    *tensor.Device
	checks *int
}

// Path is where a file of the folder lies.
func (g *goldenCase) Path(name string) string {
	g.Folder.read[name] = true
	return filepath.Join(g.Folder.dir, name)
}

// Decode reads the case into v, which must have a field for all there is: what a runner does not know it would leave
// out.
func (g *goldenCase) Decode(v any) {
	g.Helper()
	g.decode(g.Raw, v)
}

// DecodeSet reads an entry of golden.json that stands beside its cases.
func (g *goldenCase) DecodeSet(name string, v any) {
	g.Helper()
	g.decode(g.Folder.set[name], v)
}

func (g *goldenCase) decode(raw json.RawMessage, v any) {
	g.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		g.Fatalf("%s: %s: %v", g.Folder.dir, g.Name, err)
	}
}

// Model opens a checkpoint of the folder.
func (g *goldenCase) Model(name string) *checkpoint.Model {
	g.Helper()
	m, err := checkpoint.OpenModel(g.Path(name))
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { m.Close() })
	return m
}

// Sub runs a part of the case under a name of its own, as one of several runs in a file.
func (g *goldenCase) Sub(name string, f func(g *goldenCase)) {
	g.Run(name, func(t *testing.T) {
		sub := *g
		sub.T, sub.Name = t, g.Name+"/"+name
		f(&sub)
	})
}

// Refuse is for what a runner cannot do: the case fails.
func (g *goldenCase) Refuse(format string, args ...any) {
	g.Helper()
	g.Fatalf("%s: %s: cannot run this case: %s", g.Folder.dir, g.Name, fmt.Sprintf(format, args...))
}

// Check compares a deviation, in units of the root mean square, with slack yardsticks on cpu, and on ref with slack
// yardsticks of float64, which rounds 2²⁹ times finer. floor is what the formats can do at all, in their unit
// roundoffs: a yardstick of a few numbers may by luck be better.
func (g *goldenCase) Check(what string, off, yardstick, floor float64) {
	g.Helper()
	unit := unitRoundoff(g.Device)
	g.Within(what, off, slack*max(yardstick*(unit/0x1p-24), floor*unit))
}

// Within compares a deviation with what is allowed.
func (g *goldenCase) Within(what string, off, allowed float64) {
	g.Helper()
	*g.checks++
	g.Folder.table.add(goldenRow{g.Folder.dir + ": " + g.Name, what, g.Device, off, allowed})
	if !(off <= allowed) {
		g.Errorf("%s: %s: %s: off by %.3g, allowed %.3g", g.Folder.dir, g.Name, what, off, allowed)
	}
}

// goldenTable is what everything was off by.
type goldenTable struct {
	cases int
	rows  []goldenRow
}

type goldenRow struct {
	where, what, device string
	off, allowed        float64
}

func (b *goldenTable) add(r goldenRow) { b.rows = append(b.rows, r) }

// log prints the worst of each quantity of each case, for each device. Quantities that are named by tensor, as
// "gradient visual.conv1.weight", are one by their first word.
func (b *goldenTable) log(t *testing.T) {
	type key struct{ where, what, device string }
	worst := map[key]goldenRow{}
	for _, r := range b.rows {
		r.what, _, _ = strings.Cut(r.what, " ")
		k := key{r.where, r.what, r.device}
		if w, ok := worst[k]; !ok || !(r.off/r.allowed <= w.off/w.allowed) {
			worst[k] = r
		}
	}
	rows := slices.SortedFunc(maps.Values(worst), func(a, b goldenRow) int {
		return cmp.Or(strings.Compare(a.where, b.where), strings.Compare(a.what, b.what), -strings.Compare(a.device, b.device))
	})
	for _, r := range rows {
		t.Logf("%-60s %-28s %-4s off by %.1e, allowed %.1e", r.where, r.what, r.device, r.off, r.allowed)
	}
	t.Logf("%d cases, %d quantities", b.cases, len(b.rows))
}

// expected are numbers of a golden file: nested lists, one number, or a sketch of a large tensor.
type expected struct {
	Shape  []int // of a sketch
	All    []float64
	Sketch *sketch
}

// UnmarshalJSON takes either form.
func (e *expected) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		var s struct {
			Shape []int
			RMS   float64
			All   []float64
			sketch
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return err
		}
		e.Shape, e.All = s.Shape, s.All
		if s.sketch.RMS = s.RMS; s.All == nil {
			e.Sketch = &s.sketch
		}
		return nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	e.All = []float64{}
	return e.flatten(v)
}

func (e *expected) flatten(v any) error {
	switch v := v.(type) {
	case float64:
		e.All = append(e.All, v)
	case []any:
		for _, x := range v {
			if err := e.flatten(x); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%T where numbers were expected", v)
	}
	return nil
}

// Apart is the largest deviation, in units of the root mean square of what is wanted; of zeros, as it is.
func (e expected) Apart(got []float64) float64 {
	if e.Sketch != nil {
		if len(got) != tensor.Len(e.Shape) {
			return math.Inf(1)
		}
		return e.Sketch.apart(got)
	}
	if len(got) != len(e.All) {
		return math.Inf(1)
	}
	return farthest(got, e.All) / cmp.Or(norm(e.All)/math.Sqrt(float64(len(e.All))), 1)
}
