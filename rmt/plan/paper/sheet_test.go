package paper

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fewshot/rmt"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// invented is a number from 0 to 1 that depends on words alone.
func invented(words ...string) float64 {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
}

// inventedResults are outcomes of MADE-UP NUMBERS, to see where they are put. No run has ever had them.
func inventedResults(t *testing.T, p *plan.Plan) Results {
	t.Helper()
	var all []*plan.Outcome
	for i, r := range p.All() {
		id := p.ID(i)
		percent := 5 * invented(id, "sparsity")
		o := &plan.Outcome{ID: id, Run: r, State: plan.Done, Evaluations: map[string]*plan.Evaluated{}}
		o.Result = &run.Result{Test: &run.Accuracy{Accuracy: 20 + 75*invented(id)}, TrainRate: 10 + 90*invented(id, "train"), EvalRate: 100 + 900*invented(id, "eval"),
			FileBytes: int64(1e6 * invented(id, "bytes")), Seconds: 1000 * invented(id, "clock"), CPU: 100 * invented(id, "seconds"), Device: "made-up numbers", Program: "no run"}
		if isMask(r.Method) {
			o.Result.Percent = &percent
			for l := range 4 {
				for _, w := range []string{"attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight"} {
					name := "visual.transformer.resblocks." + string(rune('0'+l)) + "." + w
					o.Result.Tensors = append(o.Result.Tensors, rmt.TensorSparsity{Name: name, Sparsity: rmt.Sparsity{Off: int(40 * invented(id, name)), Total: 1000}})
				}
			}
		}
		for _, e := range r.Evaluate {
			o.Evaluations[e.Key()] = &plan.Evaluated{Test: &run.Accuracy{Accuracy: 20 + 75*invented(id, e.Key())}}
		}
		all = append(all, o)
	}
	return Collect(all)
}

// golden compares with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-recorded +made):\n%s", path, diff)
	}
}

// The layout of every table, of made-up numbers.
func TestLayout(t *testing.T) {
	for _, name := range Numbers() {
		table, err := New(name, Options{World: drawnWorld()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.Plan()
		if err != nil {
			t.Fatal(err)
		}
		results := inventedResults(t, p)
		if name == "2" { // one run is not done
			for i, r := range p.All() {
				if r.Method == "coop" {
					delete(results, p.ID(i))
					break
				}
			}
		}
		s, err := table.Fill(results)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		text.WriteString("MADE-UP NUMBERS of a test of the layout.\n\n")
		if err := s.Write(&text, "text"); err != nil {
			t.Fatal(err)
		}
		golden(t, "table"+name+".txt", text.String())
		if strings.Contains(text.String(), "tip-adapter-f-test-selected") && !strings.Contains(text.String(), "tip-adapter-f-test-selected (CHOSEN ON TEST IMAGES)") {
			t.Errorf("table %s does not say what was chosen on test images", name)
		}
		if p.Len() > 0 && !strings.Contains(text.String(), "Selection: ") {
			t.Errorf("table %s does not say how anything was selected", name)
		}
	}
}

// The other formats, of a reduced table with ± and gaps; and the paper's own world.
func TestFormats(t *testing.T) {
	for file, o := range map[string]Options{
		"drawn": {World: drawnWorld(), Seeds: []uint64{1, 2}, Only: []string{"zero-shot", "tip", "r-amt"}, Budget: 500},
		"paper": {World: realWorld(), Seeds: []uint64{1, 2, 3}},
	} {
		table, err := New("2", o)
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.Plan()
		if err != nil {
			t.Fatal(err)
		}
		s, err := table.Fill(inventedResults(t, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range Formats() {
			var b strings.Builder
			if err := s.Write(&b, format); err != nil {
				t.Fatal(err)
			}
			golden(t, file+"."+format+".txt", b.String())
		}
		if err := s.Write(&strings.Builder{}, "html"); err == nil {
			t.Error("a format html is known")
		}
	}
}

// asPrinted are outcomes that have the paper's own figures, where a table has them of a run.
func asPrinted(t *testing.T, table *Table) Results {
	t.Helper()
	results := Results{}
	for _, r := range table.Rows {
		for _, c := range r.Cells {
			if len(c.Measures) != 1 || c.Paper == nil || c.Measures[0].Quantity != Accuracy {
				continue
			}
			m := c.Measures[0]
			for _, seed := range table.options.seedsOf(m.Setup) {
				runs, err := table.options.runs(m.Setup, seed)
				if err != nil {
					t.Fatal(err)
				}
				last := runs[len(runs)-1]
				o := results[last.ID()]
				if o == nil {
					o = &plan.Outcome{ID: last.ID(), Run: last, State: plan.Done, Result: &run.Result{}, Evaluations: map[string]*plan.Evaluated{}}
					results[o.ID] = o
				}
				test := &run.Accuracy{Accuracy: c.Paper.Mean}
				if e, other := table.options.evaluation(m.Test); other {
					o.Evaluations[e.Key()] = &plan.Evaluated{Test: test}
				} else {
					o.Result.Test = test
				}
			}
		}
	}
	return results
}

// Where runs have the paper's figures, the paper's averages, H and gains come out: they are computed alike, of the same rows and columns.
func TestFillsThePapersAverages(t *testing.T) {
	for _, c := range []struct {
		name, of string // the table whose figures runs have
		slack    float64
		computed int // figures that both have
	}{
		{"1", "16", 0.0101, 18}, {"16", "16", 0.0151, 18 + 66}, {"2", "2", 0.0101, 7}, {"3", "3", 0.0101, 6 + 3}, {"4", "15", 0.0101, 4}, {"5", "5", 0.0101, 8}, {"9", "9", 0.0101, 4},
		{"10", "10", 0.0101, 4}, {"12", "12", 0.0101, 5}, {"17", "17", 0.0101, 41},
	} {
		table, err := New(c.name, Options{World: drawnWorld()})
		if err != nil {
			t.Fatal(err)
		}
		of, err := New(c.of, Options{World: drawnWorld()})
		if err != nil {
			t.Fatal(err)
		}
		s, err := table.Fill(asPrinted(t, of))
		if err != nil {
			t.Fatal(err)
		}
		n, line := 0, 0
		for _, r := range table.Rows {
			for j, cell := range r.Cells {
				if derived := cell.Derive != nil || len(cell.Measures) > 1; !derived || cell.Paper == nil || table.Columns[j].Title == "MB stored" {
					continue
				}
				n++
				if here := s.Lines[line].Cells[j]; here == nil || math.Abs(here.Mean-cell.Paper.Mean) > c.slack {
					t.Errorf("table %s, %v, %s: %v, the paper has %v", c.name, r.Labels, table.Columns[j].Title, here, cell.Paper.Mean)
				}
			}
			if line++; line < len(s.Lines) && s.Lines[line].Paper {
				line++
			}
		}
		if n != c.computed {
			t.Errorf("table %s: %d figures are computed of others, want %d", c.name, n, c.computed)
		}
	}
}

// The best of a column is marked where there are others: in its data set, or at its number of shots; equal ones both; and never one that was
// chosen on test images.
func TestBest(t *testing.T) {
	best := func(s *Sheet, label, column int) (all []string) {
		for _, l := range s.Lines {
			if c := l.Cells[column]; c != nil && c.Best {
				if l.Paper {
					t.Errorf("%s: a figure of the paper is the best of ours", s.Name)
				}
				all = append(all, l.Labels[label])
			}
		}
		return all
	}
	fill := func(name string, change func(r plan.Run, o *plan.Outcome)) *Sheet {
		table, err := New(name, Options{World: drawnWorld(), Seeds: []uint64{1}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.Plan()
		if err != nil {
			t.Fatal(err)
		}
		results := asPrinted(t, table)
		for i, r := range p.All() {
			if o := results[p.ID(i)]; o == nil {
				results[p.ID(i)] = &plan.Outcome{ID: p.ID(i), Run: r, State: plan.Done, Result: &run.Result{Test: &run.Accuracy{}}}
			}
			change(r, results[p.ID(i)])
		}
		s, err := table.Fill(results)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	asIs := func(plan.Run, *plan.Outcome) {}
	for _, c := range []struct {
		name          string
		label, column int
		want          []string
	}{
		{"2", 0, 0, []string{"TIP-Adapter"}}, {"2", 0, 3, []string{"R-AMT"}}, {"14", 0, 0, []string{"weight"}},
		{"10", 0, 0, []string{"R-PMT"}},                                     // and not its gain
		{"17", 1, 0, []string{"AMT", "AMT", "AMT", "TIP-Adapter", "R-AMT"}}, // at 16, 8, 4, 2 shots and at 1
		{"8", 0, 0, nil}, // rates of a machine
	} {
		if got := best(fill(c.name, asIs), c.label, c.column); !slices.Equal(got, c.want) {
			t.Errorf("table %s, column %d: the best is %q, want %q", c.name, c.column, got, c.want)
		}
	}
	peeks := fill(Methods, func(r plan.Run, o *plan.Outcome) {
		if r.Below == "" {
			o.Result.Test.Accuracy = map[string]float64{"tip-adapter-f-test-selected": 99, "coop": 80.04, "maple": 79.96}[r.Method]
		}
	})
	got := best(peeks, 0, 0)
	slices.Sort(got)
	if !slices.Equal(got, []string{"coop", "maple"}) {
		t.Errorf("of methods the best is %q", got)
	}
}

// What is written of every table and figure, of both worlds, is what readers of its format take: columns enough in every row, and for LaTeX
// nothing that pdflatex has no character for.
func TestFormatsOfAll(t *testing.T) {
	for world, w := range map[string]World{"drawn": drawnWorld(), "paper": realWorld()} {
		for _, s := range sheetsOf(t, w) {
			width := len(s.Heads) + len(s.Columns)
			write := func(format string) string {
				var b strings.Builder
				if err := s.Write(&b, format); err != nil {
					t.Fatal(err)
				}
				return b.String()
			}
			of := world + ", " + s.Name
			r := csv.NewReader(strings.NewReader(write("csv")))
			r.Comment = '#'
			if rows, err := r.ReadAll(); err != nil || len(rows) != 1+len(s.Lines) || len(rows[0]) != width+len(s.Columns) {
				t.Errorf("%s, CSV: %d rows, %v", of, len(rows), err)
			}
			rows := 0
			for line := range strings.Lines(write("markdown")) {
				if !strings.HasPrefix(line, "|") {
					continue
				}
				rows++
				if n := strings.Count(line, "|") - strings.Count(line, `\|`); n != width+1 {
					t.Errorf("%s, Markdown: %d bars for %d columns in %s", of, n, width, line)
				}
			}
			if rows != 2+len(s.Lines) {
				t.Errorf("%s, Markdown: %d rows", of, rows)
			}
			latex := write("latex")
			if i := strings.IndexFunc(latex, func(r rune) bool { return r > '~' }); i >= 0 {
				t.Errorf("%s, LaTeX: %q", of, latex[i:min(i+20, len(latex))])
			}
			body, _, _ := strings.Cut(latex[strings.Index(latex, `\toprule`):], `\bottomrule`)
			for line := range strings.Lines(body) {
				if n := strings.Count(line, "&") - strings.Count(line, `\&`); strings.HasSuffix(line, `\\`+"\n") && n != width-1 {
					t.Errorf("%s, LaTeX: %d columns of %d in %s", of, n+1, width, line)
				}
			}
			if n := strings.Count(latex, "$"); n%2 != 0 {
				t.Errorf("%s, LaTeX: %d dollars", of, n)
			}
		}
	}
}

// sheetsOf are all tables and figures, of made-up numbers.
func sheetsOf(t *testing.T, w World) (all []*Sheet) {
	t.Helper()
	fill := func(table *Table, err error) Results {
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.Plan()
		if err != nil {
			t.Fatal(err)
		}
		return inventedResults(t, p)
	}
	o := Options{World: w, Seeds: []uint64{1, 2}}
	for _, name := range Numbers() {
		table, err := New(name, o)
		s, err := table.Fill(fill(table, err))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for number := range graphs {
		g, err := NewFigure(number, false, o)
		if err != nil {
			t.Fatal(err)
		}
		results := fill(&g.Table, nil)
		g.Masks = func(*plan.Outcome) (map[string]Zeros, error) { return map[string]Zeros{"w": {[]int{1}, 2}}, nil }
		d, err := g.Draw(results)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &d.Sheet)
	}
	return all
}

// Shots are refused where a table has one number of them: it would say that it is reduced, and be whole.
func TestShotsOfTables(t *testing.T) {
	for _, name := range Numbers() {
		_, err := New(name, Options{World: drawnWorld(), Shots: []int{4}})
		if several := name == "17" || name == Methods; several != (err == nil) {
			t.Errorf("table %s: %v", name, err)
		}
	}
}
