package report

import (
	"math"
	"regexp"
	"slices"

	"fewshot/cmd/fewshot/internal/draw"
	"fewshot/rmt"
)

// layer is the name of a masked parameter as layer and what it is there.
var layer = regexp.MustCompile(`^(visual\.)?(?:transformer\.resblocks\.(\d+)|layer(\d+\.\d+))\.(.+)$`)

// sparsity shows what share of each layer's masked weights is off.
func sparsity(tensors []rmt.TensorSparsity) draw.Bars {
	f := draw.Bars{Y: "masked weights that are off, %"}
	place := func(list *[]string, s string) int {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
		return slices.Index(*list, s)
	}
	var kinds []string
	at := make([][2]int, len(tensors))
	for i, t := range tensors {
		group, kind := t.Name, "whole"
		if m := layer.FindStringSubmatch(t.Name); m != nil {
			group, kind = m[2]+m[3], m[4]
			if m[1] == "" {
				group = "text " + group
			}
		}
		at[i] = [2]int{place(&f.Groups, group), place(&kinds, kind)}
	}
	for _, k := range kinds {
		b := draw.Bar{Name: k, Values: make([]float64, len(f.Groups))}
		for g := range b.Values {
			b.Values[g] = math.NaN()
		}
		f.Series = append(f.Series, b)
	}
	for i, t := range tensors {
		f.Series[at[i][1]].Values[at[i][0]] = t.Percent()
	}
	f.Across = len(f.Groups) > 16
	return f
}
