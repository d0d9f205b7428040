package paper

import (
	"cmp"
	"strings"

	"fewshot/datasets"
	"fewshot/datasets/synth"
)

func statistics(b *builder) {
	b.Heads = []string{"data set"}
	b.columns(0, "classes", "train", "val", "test")
	sets := b.sets(Sets())
	if b.options.Sets == nil {
		sets = append(sets, shifted...)
	}
	for _, s := range sets {
		spec, ok := datasets.Lookup(s.ID)
		if !ok {
			continue
		}
		counts := []int{spec.Counts.Classes, spec.Counts.Train, spec.Counts.Val, spec.Counts.Test}
		ours := counts
		if b.options.World.Synthetic {
			ours = drawn(s.Synth)
		}
		var cells []Cell
		for i, n := range ours {
			v := float64(n)
			c := Cell{Fixed: &v}
			if b.options.World.Synthetic && counts[i] > 0 {
				c.Paper = &Figure{Mean: float64(counts[i])}
			}
			cells = append(cells, c)
		}
		label := s.Title
		if b.options.World.Synthetic {
			label = s.Synth + " (for " + s.Title + ")"
		}
		b.row(s.ID, []string{label}, nil, make([]string, 4), cells...)
	}
	b.note("No run is needed. ImageNet's validation images are its test images.")
}

// drawn are the sizes of a drawn task: classes, and images of train, val and test.
func drawn(name string) []int {
	of, shift, _ := strings.Cut(name, "-")
	task, _ := synth.Lookup(of)
	return []int{len(task.Classes), task.Len("train"), task.Len("val"), task.Len(cmp.Or(shift, "test"))}
}
