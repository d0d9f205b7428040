package plan

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

// Figures of R 4.2: x <- c(83.2, 84.1, 82.9); mean(x); sd(x); qt(0.975, 2)*sd(x)/sqrt(3).
func TestSample(t *testing.T) {
	s := Sample{83.2, 84.1, 82.9}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"mean", s.Mean(), 83.4},
		{"std", s.Std(), 0.6244997998398398},
		// The quantile of Student's t at 2 degrees of freedom is 4.302652729911275.
		{"ci95", s.CI95(), 4.302652729911275 * 0.6244997998398398 / math.Sqrt(3)},
	} {
		if math.Abs(c.got-c.want) > 1e-9*c.want {
			t.Errorf("%s %.16g, want %.16g", c.what, c.got, c.want)
		}
	}
	if one := (Sample{1}); !math.IsNaN(one.Std()) || !math.IsNaN(one.CI95()) || !math.IsNaN(Sample{}.Mean()) {
		t.Error("one value has no deviation, and none no mean")
	}
}

// measured are outcomes of two methods on two data sets with two seeds; one run is missing, and names are hostile.
func measured() (all []*Outcome) {
	for i, m := range []string{ZeroShot, "r-amt", "tip-adapter"} {
		for j, d := range []string{"dtd", "my_50%|set"} {
			for seed := range uint64(2) {
				r := Run{Method: m, Model: Model{Name: "embedded"}, Data: Data{Name: d, Classes: "all", Shots: 4, Seed: seed + 1}}
				if m == ZeroShot {
					if r.Data.Shots, r.Data.Seed = 0, 0; seed > 0 {
						continue
					}
				}
				if m == "r-amt" {
					r.Settings = map[string]string{"leak": "0.5"}
				}
				o := &Outcome{ID: r.ID(), Run: r, State: Done, Evaluations: map[string]*Evaluated{}}
				if !(m == "tip-adapter" && j == 1 && seed == 1) {
					o.Result = &run.Result{Test: &run.Accuracy{Accuracy: 50 + 10*float64(min(i, 1)) + float64(j) + 2*float64(seed)}}
				}
				all = append(all, o)
			}
		}
	}
	return all
}

// Each format is as the file in testdata has it; FEWSHOT_UPDATE=1 writes these.
func TestFormats(t *testing.T) {
	table := Tabulate(measured())
	for _, format := range Formats() {
		var b bytes.Buffer
		if err := table.Write(&b, format, true); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "table."+format)
		if os.Getenv("FEWSHOT_UPDATE") != "" {
			if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s:\n%s", format, b.String())
		}
	}
	if err := table.Write(&bytes.Buffer{}, "html", false); err == nil || !strings.Contains(err.Error(), "there are text") {
		t.Errorf("%v", err)
	}
}

// The best are those that are written with the largest figure, however their means round otherwise: 0.125 is written as
// 0.12, and 100 times it rounded is 13.
func TestBest(t *testing.T) {
	for _, c := range []struct {
		means []float64
		want  []int
	}{
		{[]float64{0.125, 0.13}, []int{1}},
		{[]float64{0.12, 0.125}, []int{0, 1}},
		{[]float64{0.12, 0.125, math.NaN()}, []int{0, 1}},
		{[]float64{72.3, 72.29999}, []int{0, 1}},
	} {
		table := &Table{Columns: []string{"a"}}
		for _, m := range c.means {
			table.Rows = append(table.Rows, Row{Cells: []Cell{{Seeds: []uint64{1}, Values: Sample{m}}}})
		}
		if got := table.Best(0); !slices.Equal(got, c.want) {
			t.Errorf("of %v the best are %v, want %v", c.means, got, c.want)
		}
	}
}

// Differences are by data and seed; a run that is missing leaves its pair out, and the untouched model is compared with every seed.
func TestCompare(t *testing.T) {
	table := Tabulate(measured())
	p, err := table.Compare("tip-adapter", "r-amt leak=0.5")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	// qt(0.975, 2) is 4.302652729911275, and the three differences are 0.
	want := `        data  seed  tip-adapter  r-amt leak=0.5  difference
         dtd     1        60.00           60.00       +0.00
         dtd     2        62.00           62.00       +0.00
  my_50%|set     1        61.00           61.00       +0.00
tip-adapter less r-amt leak=0.5 on dtd: +0.00, 95 % interval +0.00 to +0.00 (2 pairs)
tip-adapter less r-amt leak=0.5 on my_50%|set: +0.00 (1 pair)
tip-adapter less r-amt leak=0.5: +0.00, 95 % interval +0.00 to +0.00 (3 pairs)
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	if p, err = table.Compare("r-amt leak=0.5", ZeroShot); err != nil || len(p.Pairs) != 4 || p.Differences().Mean() != 11 {
		t.Errorf("%+v, %v", p, err)
	}
	// A method will do where one row is its own.
	if p, err = table.Compare("r-amt", ZeroShot); err != nil || p.A != "r-amt leak=0.5" || len(p.Pairs) != 4 {
		t.Errorf("%+v, %v", p, err)
	}
	table.Rows = append(table.Rows, Row{Name: "r-amt leak=1"})
	for _, name := range []string{"r-amt", "r"} {
		if _, err := table.Compare(name, ZeroShot); err == nil || !strings.Contains(err.Error(), `there are zero-shot; r-amt leak=0.5; tip-adapter; r-amt leak=1`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The logs are those that CoOp's parse_test_res.py reads.
func TestWriteCoOp(t *testing.T) {
	dir := t.TempDir()
	all := measured()
	all[0].Result.Test.Images, all[0].Result.Test.Correct, all[0].Result.Test.MacroF1 = 1234567, 617283, 49.5
	n, err := WriteCoOp(dir, all)
	if err != nil || n != 9 {
		t.Fatalf("%d files, %v", n, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, ZeroShot, "dtd", "seed0", "log.txt"))
	want := "Finish training\nFinished training\n=> result\n* total: 1,234,567\n* correct: 617,283\n* accuracy: 50.00%\n* error: 50.00%\n* macro_f1: 49.50%\n"
	if err != nil || string(b) != want {
		t.Errorf("%v, %s", err, b)
	}
	for _, name := range []string{"r-amt_leak=0.5/my_50__set/seed2", "tip-adapter/dtd/seed1"} {
		if _, err := os.Stat(filepath.Join(dir, name, "log.txt")); err != nil {
			t.Error(err)
		}
	}
}
