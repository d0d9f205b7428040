package datasets

import (
	"fmt"
	"math"
	"slices"

	"fewshot/datasets/internal/pyrand"
)

// FewShotOfProbe returns the data set with the images that CoOp's linear probe (lpclip) draws: shots training images
// and min(shots, 4) validation images per class, in the order of the labels. They are not those of [Dataset.FewShot],
// as lpclip draws by numpy.random.seed(seed). It cannot draw from fewer images than it wants, and no more can this.
func (d *Dataset) FewShotOfProbe(shots int, seed uint64) (*Dataset, error) {
	train, val, err := DrawProbe(labelsOf(d.Train), labelsOf(d.Val), shots, seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name, err)
	}
	out := *d
	out.Train, out.Val = pick(d.Train, train), pick(d.Val, val)
	return &out, nil
}

// DrawProbe is the draw of FewShotOfProbe from images with these labels: indices into train and into val. Without
// validation images none are drawn.
func DrawProbe(train, val []int32, shots int, seed uint64) (ofTrain, ofVal []int, err error) {
	if seed > math.MaxUint32 {
		return nil, nil, fmt.Errorf("seed %d: numpy takes seeds up to %d", seed, uint32(math.MaxUint32))
	}
	if shots < 1 {
		return nil, nil, fmt.Errorf("%d shots: the linear probe draws at least 1", shots)
	}
	classes := slices.Compact(slices.Sorted(slices.Values(train)))
	rng := pyrand.NewNumPy(uint32(seed))
	draw := func(what string, labels []int32, n int) (drawn []int, err error) {
		byLabel := make(map[int32][]int)
		for i, l := range labels {
			byLabel[l] = append(byLabel[l], i)
		}
		for _, c := range classes {
			of := byLabel[c]
			if len(of) < n {
				return nil, fmt.Errorf("class %d has %d %s images; the linear probe draws %d of each class", c, len(of), what, n)
			}
			for _, j := range rng.Choice(len(of), n) {
				drawn = append(drawn, of[j])
			}
		}
		return drawn, nil
	}
	if ofTrain, err = draw("training", train, shots); err != nil || len(val) == 0 {
		return ofTrain, nil, err
	}
	ofVal, err = draw("validation", val, min(shots, maxValShots))
	return ofTrain, ofVal, err
}

func labelsOf(items []Item) []int32 {
	labels := make([]int32, len(items))
	for i, it := range items {
		labels[i] = it.Label
	}
	return labels
}

func pick(items []Item, at []int) []Item {
	picked := make([]Item, len(at))
	for i, j := range at {
		picked[i] = items[j]
	}
	return picked
}
