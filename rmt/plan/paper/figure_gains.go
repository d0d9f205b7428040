package paper

// gains is R-AMT's by data set.
func gains(b *builder) {
	b.Heads = []string{"data set"}
	b.columns(2, "zero-shot", "R-AMT", "gain", "sparsity, %")
	b.Columns[2].Signed = true
	var zero, tuned []Cell
	line := func(id, label string, columns []string, z, r Cell) {
		sparsity := Cell{}
		for _, m := range r.Measures {
			m.Quantity = Sparsity
			sparsity.Measures = append(sparsity.Measures, m)
		}
		row := len(b.Rows)
		more := Cell{Derive: func(at func(row, column int) Stat) Stat {
			before, after := at(row, 0), at(row, 1)
			return Stat{Mean: after.Mean - before.Mean}.whole(before, after)
		}}
		b.row(id, []string{label}, []string{id}, columns, z, r, more, sparsity)
	}
	for _, s := range b.sets(Sets()) {
		z, r := of(Accuracy, b.options.setup("zero-shot", s.ID, 16)), of(Accuracy, b.options.setup("r-amt", s.ID, 16))
		zero, tuned = append(zero, z), append(tuned, r)
		line(s.ID, b.options.World.title(s), []string{"", "", "gain", "sparsity"}, z, r)
	}
	line("average", "average", []string{"", "", b.ofSets("gain"), b.ofSets("sparsity")}, mean(zero...), mean(tuned...))
	b.note("Sparsity is the share of the masked weights that is off.")
}

func drawGains(_ *Graph, s *Sheet, _ Results) ([]Panel, error) {
	all := []Panel{{Title: "Gain over zero-shot CLIP", Y: "points", Bars: []Series{{Name: "R-AMT"}}}, {Title: "Sparsity", Y: "% of the masked weights", Bars: []Series{{Name: "R-AMT"}}}}
	for _, l := range s.Lines {
		if l.Paper || l.Cells[2] == nil || l.Cells[3] == nil {
			continue
		}
		for i := range all {
			all[i].Groups = append(all[i].Groups, l.Labels[0])
			all[i].Bars[0].Y = append(all[i].Bars[0].Y, l.Cells[2+i].Mean)
		}
	}
	return all, nil
}
