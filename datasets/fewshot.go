package datasets

import (
	"fmt"

	"fewshot/datasets/internal/pyrand"
)

// maxValShots is the most validation images a class has in the few-shot protocol.
const maxValShots = 4

// FewShot returns the data set with shots training images and min(shots, 4) validation images per
// class, all of a class where it has no more. Test images stay as they are. With shots ≤ 0 nothing
// is left out.
//
// The choice is the one that CoOp and Dassl make with random.seed(seed), image for image and in the
// same order: classes come in the order in which the split names them first, each contributes one
// random.sample, and validation images are drawn after training images from the same stream. It
// needs the published split file; see the package comment for the data sets that have none. (CoOp
// itself takes seed 0 to mean "no seed"; here it is a seed like any other.)
func (d *Dataset) FewShot(shots int, seed uint64) (*Dataset, error) {
	out := *d
	if shots <= 0 {
		return &out, nil
	}
	if len(d.Train) == 0 {
		return nil, fmt.Errorf("%s has no training images to draw %d shots from", d.Name, shots)
	}
	rng := pyrand.New(seed)
	out.Train = draw(rng, d.Train, shots)
	out.Val = draw(rng, d.Val, min(shots, maxValShots))

	var short tally
	for _, g := range groupByLabel(d.Train) {
		if len(g) < shots {
			short.add(d.Train[g[0]].Class)
		}
	}
	if short.total > 0 {
		// A fresh slice: the original may have room behind its warnings.
		out.Warnings = append(append([]string(nil), d.Warnings...),
			fmt.Sprintf("classes with fewer than %d training images: %s", shots, &short))
	}
	return &out, nil
}

// draw samples up to n items of every label.
func draw(rng *pyrand.Rand, items []Item, n int) []Item {
	var drawn []Item
	for _, group := range groupByLabel(items) {
		if len(group) < n {
			for _, i := range group {
				drawn = append(drawn, items[i])
			}
			continue
		}
		for _, j := range rng.Sample(len(group), n) {
			drawn = append(drawn, items[group[j]])
		}
	}
	return drawn
}

// groupByLabel returns the indices of the items of each label, labels in order of first appearance.
func groupByLabel(items []Item) [][]int {
	var groups [][]int
	at := make(map[int32]int)
	for i, it := range items {
		g, ok := at[it.Label]
		if !ok {
			g = len(groups)
			at[it.Label] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}
