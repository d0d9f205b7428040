package paper

import (
	"slices"
	"strconv"
	"strings"

	"fewshot/rmt/run"
)

// Tasks and shots of the table of methods. The tasks are the ones of about a dozen classes in which one thing each is to be told: a
// surface, a sign, a place.
var (
	methodSets  = []string{"dtd", "oxford_pets", "sun397"}
	methodShots = []int{4, 16}
)

// meanOf begins the heading of an average.
const meanOf = "mean, "

// methodRows are all methods, and two of them on masked encoders.
func methodRows() []string {
	all := []string{"zero-shot"}
	for _, m := range run.Methods() {
		all = append(all, m.Name)
	}
	return append(all, "coop+r-amt", "tip-adapter+r-amt")
}

// methods is every method of the program on three tasks.
func methods(b *builder) {
	b.Heads = []string{"method"}
	b.shots = methodShots
	shots := b.options.shots(b.shots)
	sets := b.sets(Sets())
	if b.options.Sets == nil {
		sets = slices.DeleteFunc(sets, func(s Set) bool { return !slices.Contains(methodSets, s.ID) })
	}
	for _, n := range shots {
		for _, s := range sets {
			b.columns(1, b.options.World.title(s)+", "+strconv.Itoa(n)+" shots")
		}
		b.columns(1, meanOf+strconv.Itoa(n)+" shots")
	}
	for j := range b.Columns {
		b.Columns[j].Best = true
	}
	b.columns(2, "CPU s a run")
	b.columns(1, "kB stored")
	for _, name := range methodRows() {
		var cells, all []Cell
		for _, n := range shots {
			var of []Cell
			for _, s := range sets {
				of = append(of, Cell{Measures: []Measure{{Setup: b.options.setup(name, s.ID, n)}}})
			}
			all = append(all, of...)
			cells = append(append(cells, of...), mean(of...))
		}
		seconds, size := mean(all...), mean(all...)
		for i := range seconds.Measures {
			seconds.Measures[i].Quantity, size.Measures[i].Quantity = Processor, Kilobytes
		}
		if name == "zero-shot" {
			seconds, size = Cell{}, Cell{}
		}
		cells = append(cells, seconds, size)
		b.row(name, []string{b.label(name)}, nil, make([]string, len(cells)), cells...)
	}
	b.note("CPU s are the seconds that all processors together spent on a run, with the evaluation of the test images: the mean over tasks, shots and seeds. Features that several runs of a process need are computed by the first of them, and are in its seconds alone. Bytes are those of the file that is left; of a stack without the mask's.")
}

// drawMethods has a bar of each method's mean, for each number of shots.
func drawMethods(_ *Graph, s *Sheet, _ Results) ([]Panel, error) {
	p := Panel{Y: "accuracy, %, mean of three drawn tasks"}
	var columns []int
	for j, c := range s.Columns {
		if shots, ok := strings.CutPrefix(c.Title, meanOf); ok {
			columns = append(columns, j)
			p.Bars = append(p.Bars, Series{Name: shots})
		}
	}
	for _, l := range s.Lines {
		if slices.ContainsFunc(columns, func(j int) bool { return l.Cells[j] == nil }) {
			continue
		}
		p.Groups = append(p.Groups, l.Labels[0])
		for i, j := range columns {
			p.Bars[i].Y = append(p.Bars[i].Y, l.Cells[j].Mean)
		}
	}
	return []Panel{p}, nil
}

// label is a method's name; one that chose something by the images it is tested on is never named without these words.
func (b *builder) label(row string) string {
	if m, err := run.Lookup(row); err == nil && m.Peeks {
		return row + " (CHOSEN ON TEST IMAGES)"
	}
	return row
}
