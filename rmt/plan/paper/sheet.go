package paper

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/words"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// Sheet is a table that was filled.
type Sheet struct {
	Kind    string   `json:"kind"` // "result"
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Heads   []string `json:"heads"` // of the labels, and "figures" where there are some of the paper
	Columns []Column `json:"columns"`
	Lines   []Line   `json:"lines"`
	Notes   []string `json:"notes"`
	Runs    int      `json:"runs"` // that the table needs
	Done    int      `json:"done"` // of them
}

// Line is a row: of here, or of the paper.
type Line struct {
	Labels []string `json:"labels"`
	Paper  bool     `json:"paper"`
	Cells  []*Shown `json:"cells"` // nil where there is nothing
}

// Shown is a figure.
type Shown struct {
	Mean   float64 `json:"mean"`
	SD     float64 `json:"sd,omitempty"`
	HasSD  bool    `json:"has_sd,omitempty"`
	Digits int     `json:"digits"` // behind the point
	Signed bool    `json:"signed,omitempty"`
	Best   bool    `json:"best,omitempty"` // of its column, and of its data set or number of shots where rows are of several
}

// rounded is the figure as it is written, in units of its last digit.
func (s *Shown) rounded() float64 { return math.Round(s.Mean * math.Pow10(s.Digits)) }

// String is the figure as it is printed, 83.96±0.30.
func (s *Shown) String() string {
	if s == nil {
		return ""
	}
	v := strconv.FormatFloat(s.Mean, 'f', s.Digits, 64)
	if s.Signed && s.Mean >= 0 {
		v = "+" + v
	}
	if s.HasSD {
		v += "±" + strconv.FormatFloat(s.SD, 'f', s.Digits, 64)
	}
	return v
}

// Fill lays the table out with what results there are.
func (t *Table) Fill(results Results) (*Sheet, error) {
	p, err := t.Plan()
	if err != nil {
		return nil, err
	}
	stats, err := t.stats(results)
	if err != nil {
		return nil, err
	}
	s := &Sheet{Kind: "result", Name: t.Name, Title: t.Title, Heads: t.Heads, Columns: t.Columns, Runs: p.Len()}
	beside := t.besidePaper()
	if beside {
		s.Heads = append(slices.Clone(t.Heads), "figures")
	}
	measured := make([][]*Shown, len(t.Rows))
	for i, r := range t.Rows {
		here, paper := make([]*Shown, len(t.Columns)), make([]*Shown, len(t.Columns))
		printed := false
		for j, c := range r.Cells {
			column := t.Columns[j]
			if st := stats[i][j]; st.known() {
				here[j] = &Shown{Mean: st.Mean, Digits: column.Digits, Signed: column.Signed || c.Signed}
				if st.N > 1 && len(c.Measures) == 1 && !c.Plain {
					here[j].SD, here[j].HasSD = st.SD, true
				}
			}
			if f := c.Paper; f != nil {
				printed = true
				paper[j] = &Shown{Mean: f.Mean, SD: f.SD, HasSD: f.HasSD && !c.Plain, Digits: f.Digits, Signed: column.Signed || c.Signed}
			}
		}
		labels := func(of string) []string {
			if !beside {
				return r.Labels
			}
			return append(slices.Clone(r.Labels), of)
		}
		measured[i] = here
		s.Lines = append(s.Lines, Line{Labels: labels("here"), Cells: here})
		if printed {
			s.Lines = append(s.Lines, Line{Labels: labels("paper"), Paper: true, Cells: paper})
		}
	}
	t.markBest(measured)
	var done []*plan.Outcome
	for i := range p.Len() {
		if o := results[p.ID(i)]; o != nil && o.State == plan.Done {
			done = append(done, o)
		}
	}
	s.Done = len(done)
	s.Notes = t.notes(p, done)
	s.settleNotes()
	return s, nil
}

// markBest marks the best of each column among rows that compare: all, or those of a data set or a number of shots where labels begin with
// one. Figures that are written alike are equally good, one alone is not the best of anything, and what chose by test images is not in it.
func (t *Table) markBest(measured [][]*Shown) {
	groups := map[string][]int{}
	for i, r := range t.Rows {
		group := ""
		if len(t.Heads) > 1 {
			group = r.Labels[0]
		}
		groups[group] = append(groups[group], i)
	}
	for j, column := range t.Columns {
		if !column.Best {
			continue
		}
		for _, rows := range groups {
			var among []*Shown
			best := math.Inf(-1)
			for _, i := range rows {
				if v := measured[i][j]; v != nil && !v.Signed && !t.Rows[i].Cells[j].peeks() {
					among, best = append(among, v), max(best, v.rounded())
				}
			}
			for _, v := range among {
				v.Best = len(among) > 1 && v.rounded() == best
			}
		}
	}
}

// peeks reports whether a figure was chosen by the images that it is of.
func (c Cell) peeks() bool {
	return slices.ContainsFunc(c.Measures, func(m Measure) bool {
		of, err := run.Lookup(m.Setup.Method)
		return err == nil && of.Peeks
	})
}

// besidePaper reports whether the paper printed any of it.
func (t *Table) besidePaper() bool {
	for _, r := range t.Rows {
		if slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Paper != nil }) {
			return true
		}
	}
	return false
}

// notes are what has to be known to read the sheet.
func (t *Table) notes(p *plan.Plan, done []*plan.Outcome) (all []string) {
	o := t.options
	if o.World.Synthetic {
		all = append(all, "SYNTHETIC: a world of drawings and a small CLIP of this program's own, with drawn tasks in the places of the paper's data sets ("+standIns()+"). "+
			"The two share nothing but these places, and no figure of here compares with one of the paper.")
	} else if t.besidePaper() {
		all = append(all, "Lines \"here\" were measured by this program, lines \"paper\" are printed in the paper.")
	}
	if p.Len() > 0 {
		all = append(all, t.selection()...)
		all = append(all, t.settingsNotes(p)...)
		all = append(all, t.reduced(p)...)
	}
	all = append(all, slices.Sorted(maps.Keys(t.barred))...)
	all = append(all, t.Notes...)
	if n := idle(done); n > 0 {
		all = append(all, fmt.Sprintf("%s of masks switched off no weight, as so few steps cannot at these settings: their accuracy is the untouched model's.", words.Count(n, "run")))
	}
	if missing := p.Len() - len(done); missing > 0 {
		all = append(all, fmt.Sprintf("%d of %d runs are not done; what depends on them is left empty.", missing, p.Len()))
	}
	if machines := machinesOf(done); machines != "" {
		all = append(all, "Made on "+machines+".")
	}
	return all
}

// standIns says which task stands for which data set.
func standIns() string {
	var all []string
	for _, s := range slices.Concat(Sets(), shifted) {
		all = append(all, s.Synth+" for "+s.Title)
	}
	return strings.Join(all, ", ")
}

// methods are those that are trained for the table, in the order of its rows.
func (t *Table) methods() (all []string) {
	add := func(name string) {
		if name != "" && name != plan.ZeroShot && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, r := range t.Rows {
		for _, c := range r.Cells {
			for _, m := range c.Measures {
				if t.options.possible(m.Setup) == "" {
					add(m.Setup.Method)
					add(m.Setup.Below)
				}
			}
		}
	}
	return all
}

// selection says by which images anything was chosen.
func (t *Table) selection() (all []string) {
	var last, val, test []string
	for _, name := range t.methods() {
		m, err := run.Lookup(name)
		switch {
		case err != nil:
		case m.Peeks:
			test = append(test, name)
		case m.Validates:
			val = append(val, name)
		default:
			last = append(last, name)
		}
	}
	if len(last) > 0 {
		all = append(all, "Selection: "+strings.Join(last, ", ")+": the state after the last epoch; nothing is chosen by its accuracy.")
	}
	if len(val) > 0 {
		all = append(all, "Selection: "+strings.Join(val, ", ")+": chosen on validation images, at most four a class.")
	}
	if len(test) > 0 {
		all = append(all, "Selection: "+strings.Join(test, ", ")+": CHOSEN ON TEST IMAGES, as released; such an accuracy is no estimate of anything.")
	}
	return append(all, deviationNote)
}

const deviationNote = "± is the standard deviation over seeds, dividing by their number, as CoOp's scripts do."

// settleNotes takes the note about ± away where there is none.
func (s *Sheet) settleNotes() {
	for _, l := range s.Lines {
		if slices.ContainsFunc(l.Cells, func(c *Shown) bool { return c != nil && c.HasSD }) {
			return
		}
	}
	s.Notes = slices.DeleteFunc(s.Notes, func(n string) bool { return n == deviationNote })
}

// settingsNotes say with what the runs are made.
func (t *Table) settingsNotes(p *plan.Plan) (all []string) {
	o := t.options
	methods := t.methods()
	masks := slices.ContainsFunc(methods, isMask)
	if o.World.Synthetic && masks {
		all = append(all, fmt.Sprintf("Masks are trained for as many steps as %d epochs of 16 shots have, in batches of %d, at a learning rate that lets scores travel %d times the way to the threshold on each task: chosen on validation images of the drawn tasks. "+
			"The paper has 30 epochs, batches of 32 and 8e-5 (ImageNet: 10 and 3e-5).", synthEpochs, synthBatch, synthTravel))
	}
	if slices.ContainsFunc(methods, func(m string) bool { return !isMask(m) }) || !o.World.Synthetic && masks {
		all = append(all, "Settings of the other methods, where nothing else is said, are those published for the method.")
		if !o.World.Synthetic {
			all[len(all)-1] = "Settings, where nothing else is said, are those published for the method and the data set."
		}
	}
	if slices.Contains(methods, "tip-adapter-f") {
		all = append(all, "TIP-Adapter is Tip-Adapter-F with its epoch, α and β chosen on validation images; the paper's was chosen on test images.")
	}
	if o.World.Layers > 0 && (slices.Contains(methods, "maple") || slices.Contains(methods, "promptsrc")) {
		all = append(all, fmt.Sprintf("maple and promptsrc have prompts in %d layers, all that the small model's text encoder has, rather than 9.", o.World.Layers))
	}
	models := map[string]bool{}
	for _, r := range p.All() {
		models[r.Model.Name] = true
	}
	return append(all, "Backbone: "+strings.Join(slices.Sorted(maps.Keys(models)), ", ")+".")
}

// reduced says what is less than in the paper.
func (t *Table) reduced(p *plan.Plan) (notes []string) {
	o := t.options
	if n := len(o.seeds()); !slices.Equal(o.seeds(), []uint64{1, 2, 3}) {
		notes = append(notes, fmt.Sprintf("REDUCED: %s (%s); the paper has three.", words.Count(n, "seed"), numbered(o.seeds())))
	}
	if all := t.shots; all != nil && !slices.Equal(o.shots(all), all) {
		notes = append(notes, fmt.Sprintf("REDUCED: of %s shots, %s.", numbered(all), numbered(o.shots(all))))
	}
	if o.Sets != nil {
		notes = append(notes, fmt.Sprintf("REDUCED: of %d data sets, %s. Means are of these; the paper's are of all, and left out.", len(t.several), strings.Join(titles(o.World, o.sets(t.several)), ", ")))
	}
	if o.Only != nil {
		notes = append(notes, "REDUCED: rows that were not asked for are left out.")
	}
	var cut []string
	for _, r := range p.All() {
		for _, name := range []string{"epochs", "iterations"} {
			v, ok := r.Settings[name]
			if o.World.Synthetic && isMask(r.Method) {
				ok = v != strconv.Itoa(synthEpochs*max(16/max(r.Data.Shots, 1), 1))
			}
			if ok && o.Budget > 0 && !slices.Contains(cut, r.Method) {
				cut = append(cut, r.Method)
			}
		}
	}
	if len(cut) > 0 {
		notes = append(notes, fmt.Sprintf("REDUCED: a run sees at most %d training images, so that %s have fewer epochs or steps than said or published, where these would see more.", o.Budget, strings.Join(cut, ", ")))
	}
	return notes
}

// numbered is numbers as people list them: 1, 2 and 4.
func numbered[T int | uint64](all []T) string {
	var b strings.Builder
	for i, n := range all {
		switch {
		case i == 0:
		case i == len(all)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}

// idle counts masks that hide nothing.
func idle(done []*plan.Outcome) (n int) {
	for _, o := range done {
		if o.Result != nil && o.Result.Sparsity != nil && o.Result.Sparsity.Off == 0 {
			n++
		}
	}
	return n
}

// machinesOf are what the results were made on.
func machinesOf(done []*plan.Outcome) string {
	all := map[string]bool{}
	for _, o := range done {
		if o.Result != nil {
			all[o.Result.Device+", "+o.Result.Program] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), "; ")
}
