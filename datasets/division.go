package datasets

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"fewshot/datasets/internal/pyrand"
	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// A Division says how the images of each class are divided where nobody has divided them. The zero value is CoOp's:
// 50 % for training, 20 % for validation, the rest for testing, with seed 1.
//
// Each class's images are sorted by name and shuffled by Python's generator, whichever way they are divided then. So
// a division is the same on every machine, and the same number of shots may be drawn from it by any seed.
type Division struct {
	// Train and Val are the shares of a class for training and validation.
	Train, Val float64
	// Fold of Folds, from 1, is for testing in a cross-validation, and the others are for training.
	Fold, Folds int
	// Seed is that of the shuffle.
	Seed uint64
}

// splitSeed is the seed of CoOp's generated splits, whatever seed draws the shots.
const splitSeed = 1

func (v Division) set() bool { return v != Division{} }

const divisionFix = "give a share for training (0.8), shares for training and validation (0.7,0.1), or a fold of several (1/5)"

// ParseDivision reads "0.8", the share of each class for training, the rest being for testing; "0.7,0.1", shares for
// training and validation; or "2/5", the second of five folds for testing and the others for training.
func ParseDivision(s string, seed uint64) (Division, error) {
	v := Division{Seed: seed}
	bad := func(format string, args ...any) (Division, error) {
		return Division{}, fmt.Errorf("%s: %s; %s", quote.String(s), fmt.Sprintf(format, args...), divisionFix)
	}
	if k, n, ok := strings.Cut(s, "/"); ok {
		var err1, err2 error
		v.Fold, err1 = strconv.Atoi(k)
		v.Folds, err2 = strconv.Atoi(n)
		if err1 != nil || err2 != nil || v.Folds < 2 || v.Folds > 1000 || v.Fold < 1 || v.Fold > v.Folds {
			return bad("not a fold, from the first to the last, of 2 to 1000")
		}
		return v, nil
	}
	train, val, two := strings.Cut(s, ",")
	for _, share := range []struct {
		text string
		to   *float64
		want bool
	}{{train, &v.Train, true}, {val, &v.Val, two}} {
		if !share.want {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(share.text), 64)
		if err != nil || !(f > 0 && f < 1) {
			return bad("%s is no share between 0 and 1", quote.String(share.text))
		}
		*share.to = f
	}
	if v.Train+v.Val >= 1 {
		return bad("nothing is left for testing")
	}
	return v, nil
}

// String says how the division was made.
func (v Division) String() string {
	how := fmt.Sprintf("made here: files sorted by name, Python's shuffle with seed %d, ", v.orDefault().Seed)
	if v.Folds > 0 {
		return how + fmt.Sprintf("fold %d of %d of each class for testing", v.Fold, v.Folds)
	}
	v = v.orDefault()
	percent := func(share float64) string { return strconv.FormatFloat(math.Round(share*1e4)/100, 'f', -1, 64) }
	return how + fmt.Sprintf("%s/%s/%s in each class", percent(v.Train), percent(v.Val), percent(1-v.Train-v.Val))
}

func (v Division) orDefault() Division {
	if !v.set() {
		return Division{Train: trainShare, Val: valShare, Seed: splitSeed}
	}
	return v
}

// folders divides the images of every class. where names the folder for messages.
func (v Division) folders(where string, classes []folder) (s split, err error) {
	v = v.orDefault()
	p := problems{file: where}
	rng := pyrand.New(v.Seed)
	least := 0
	for label, c := range classes {
		paths := append([]string(nil), c.images...)
		rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		train, val, ok := v.cut(len(paths))
		if !ok {
			least = max(least, v.least())
			p.add("%s: has %s, too few for %s", quote.String(c.name), words.Count(len(paths), "image"), v.wants())
			continue
		}
		if v.Folds > 0 { // the fold for testing goes to the end
			lo, hi := v.bounds(len(paths))
			paths = append(append(append([]string(nil), paths[:lo]...), paths[hi:]...), paths[lo:hi]...)
		}
		s.train = appendItems(s.train, label, paths[:train])
		s.val = appendItems(s.val, label, paths[train:val])
		s.test = appendItems(s.test, label, paths[val:])
	}
	return s, p.err(fmt.Sprintf("every class needs at least %d images, or give the images in folders train/ and test/", least))
}

// cut says where the training and the validation images of a class of n end, and whether each part has one.
func (v Division) cut(n int) (train, val int, ok bool) {
	if v.Folds > 0 {
		lo, hi := v.bounds(n)
		return n - (hi - lo), n - (hi - lo), n >= v.Folds
	}
	train = share(n, v.Train)
	val = train + share(n, v.Val)
	return train, val, train > 0 && (v.Val == 0 || val > train) && val < n
}

// bounds are those of the fold for testing among n images: folds differ by one image at most.
func (v Division) bounds(n int) (lo, hi int) { return n * (v.Fold - 1) / v.Folds, n * v.Fold / v.Folds }

// least is the smallest class that can be divided.
func (v Division) least() int {
	for n := 1; n < 1e6; n++ {
		if _, _, ok := v.cut(n); ok {
			return n
		}
	}
	return 1e6
}

func (v Division) wants() string {
	switch {
	case v.Folds > 0:
		return fmt.Sprintf("%d folds", v.Folds)
	case v.Val > 0:
		return "a training, a validation and a test image"
	}
	return "a training and a test image"
}

// divideClasses divides class folders into the parts of d.
func (d *Dataset) divideClasses(where string, classes []folder, by Division) error {
	s, err := by.folders(where, classes)
	if err != nil {
		return err
	}
	d.Train, d.Val, d.Test = s.train, s.val, s.test
	d.Split = by.String()
	d.Generated = true
	return nil
}
