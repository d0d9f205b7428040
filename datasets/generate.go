package datasets

import (
	"math"

	"fewshot/datasets/internal/pyrand"
	"fewshot/nn/words"
)

// Shares of CoOp's generated splits.
const (
	trainShare = 0.5
	valShare   = 0.2
)

// share is Python's round(n·p), which takes halves to the even neighbour.
func share(n int, p float64) int { return int(math.RoundToEven(float64(n) * p)) }

func appendItems(items []Item, label int, paths []string) []Item {
	for _, p := range paths {
		items = append(items, Item{Path: p, Label: int32(label)})
	}
	return items
}

// divideTrainVal moves 20 % of every class from an official training list to validation. where
// names the list for messages.
func divideTrainVal(where string, trainval []Item) (train, val []Item, err error) {
	p := problems{file: where}
	rng := pyrand.New(splitSeed)
	for _, group := range groupByLabel(trainval) {
		n := share(len(group), valShare)
		if n == 0 {
			p.add("label %d: has %s, too few to take one for validation", trainval[group[0]].Label, words.Count(len(group), "training image"))
			continue
		}
		rng.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		for i, index := range group {
			if i < n {
				val = append(val, trainval[index])
			} else {
				train = append(train, trainval[index])
			}
		}
	}
	return train, val, p.err("")
}
