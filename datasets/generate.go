package datasets

import (
	"math"

	"fewshot/datasets/internal/pyrand"
	"fewshot/nn/quote"
)

// Shares of CoOp's generated splits, and the seed for them: a split made here is the same for every
// run and machine, whatever seed draws the shots.
const (
	trainShare = 0.5
	valShare   = 0.2
	splitSeed  = 1
)

// share is Python's round(n·p), which takes halves to the even neighbour.
func share(n int, p float64) int { return int(math.RoundToEven(float64(n) * p)) }

// divideFolders splits every class 50/20/30 into training, validation and test images, after a
// shuffle of the class's images. where names the folder for messages.
func divideFolders(where string, classes []folder) (s split, err error) {
	p := problems{file: where}
	rng := pyrand.New(splitSeed)
	for label, c := range classes {
		paths := append([]string(nil), c.images...)
		rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		train := share(len(paths), trainShare)
		val := train + share(len(paths), valShare)
		if train == 0 || val == train || val >= len(paths) {
			p.add("%s: has %d images, too few for a training, a validation and a test image", quote.String(c.name), len(paths))
			continue
		}
		s.train = appendItems(s.train, label, paths[:train])
		s.val = appendItems(s.val, label, paths[train:val])
		s.test = appendItems(s.test, label, paths[val:])
	}
	return s, p.err("every class needs at least 4 images, or give the images in folders train/ and test/")
}

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
			p.add("label %d: has %d training images, too few to take one for validation", trainval[group[0]].Label, len(group))
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
