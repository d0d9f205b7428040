package paper

var comparedBaseToNew = []string{"zero-shot", "cocoop", "prograd", "clip-adapter", "amt", "r-amt"}

// halves are a method's accuracies on base and on new classes of a data set.
func (b *builder) halves(name, set string) (base, fresh Cell) {
	s := b.options.setup(name, set, 16)
	s.Base = true
	base = of(Accuracy, s)
	fresh = Cell{Measures: []Measure{{Setup: s, Test: Test{set, "new"}}}}
	return base, fresh
}

func baseToNew(b *builder) {
	b.Heads = []string{"method"}
	b.accuracies("base", "new", "H")
	b.averageHalves(func(name string) (labels, at []string) { return []string{titleOf(name)}, []string{name} })
	b.noteBaseToNew()
}

// averageHalves are a row a method, of averages over the data sets.
func (b *builder) averageHalves(row func(name string) (labels, at []string)) {
	for _, name := range comparedBaseToNew {
		var base, fresh []Cell
		for _, s := range b.sets(Sets()) {
			x, y := b.halves(name, s.ID)
			base, fresh = append(base, x), append(fresh, y)
		}
		labels, at := row(name)
		b.row(name, labels, at, []string{b.ofSets("base"), b.ofSets("new"), b.ofSets("h")}, mean(base...), mean(fresh...), h(len(b.Rows), 0, 1))
	}
	b.note("H of the averages is their harmonic mean, as in the paper, not the average of H.")
}

func baseToNewBySet(b *builder) {
	b.Heads = []string{"data set", "method"}
	b.accuracies("base", "new", "H")
	b.averageHalves(func(name string) (labels, at []string) {
		return []string{"average", titleOf(name)}, []string{"average", name}
	})
	for _, s := range b.sets(Sets()) {
		for _, name := range comparedBaseToNew {
			base, fresh := b.halves(name, s.ID)
			b.row(name, []string{b.options.World.title(s), titleOf(name)}, []string{s.ID, name}, []string{"base", "new", "h"}, base, fresh, h(len(b.Rows), 0, 1))
		}
	}
	b.noteBaseToNew()
}

func (b *builder) noteBaseToNew() {
	b.note("Trained on the first half of the classes, tested on these alone, and on the others alone. The leak is 1.")
	b.note("The paper's rows of zero-shot CLIP and CoCoOp are those that CoCoOp published.")
	b.noteTravel()
}
