package philox_test

import (
	"fmt"
	"math"
	"math/bits"
	"testing"

	"fewshot/tensor"
)

// The tests of this file look at the streams that tensor.Key makes of the generator: are they spread as they
// should be, and does no stream know anything of another that is derived beside, above or below it?
// Everything is fixed, so a test that passes once always does. A statistic may be off by far standard
// deviations: of all the statistics here together, good streams would break that for less than one root key in 10,000.
const far = 6.0

// streams are pairs of keys as a program derives them: steps of a run, purposes, runs with near seeds, a
// key and its own child, and children that differ in one bit anywhere.
func streams() []pair {
	root := tensor.NewKey(7)
	pairs := []pair{
		{"steps 0 and 1", root.Fold(0), root.Fold(1)},
		{"a key and its child", root, root.Fold(0)},
		{"child and grandchild", root.Fold(0), root.Fold(0).Fold(0)},
		{"words", root.Name("dropout"), root.Name("augment")},
		{"words of one letter", root.Name("a"), root.Name("b")},
		{"no word and step 0", root.Name(""), root.Fold(0)},
		{"seeds 0 and 1", tensor.NewKey(0), tensor.NewKey(1)},
		{"seeds apart at 2³²", tensor.NewKey(0), tensor.NewKey(1 << 32)},
		{"order of derivation", root.Fold(1).Fold(2), root.Fold(2).Fold(1)},
	}
	for bit := 0; bit < 64; bit += 7 {
		pairs = append(pairs, pair{fmt.Sprintf("steps apart at bit %d", bit), root.Fold(5), root.Fold(5 ^ 1<<bit)})
	}
	return pairs
}

type pair struct {
	name string
	a, b tensor.Key
}

// Between independent streams, words agree in half of their bits, and uniform numbers are uncorrelated at
// every small distance.
func TestStreamsAreIndependent(t *testing.T) {
	const n, lags = 1 << 12, 8
	for _, p := range streams() {
		t.Run(p.name, func(t *testing.T) {
			differing := 0
			var covariance [lags]float64
			for i := range uint64(n) {
				a, b := p.a.Block(i), p.b.Block(i)
				for w := range a {
					differing += bits.OnesCount32(a[w] ^ b[w])
				}
				for lag := range covariance {
					covariance[lag] += (p.a.Uniform(i) - 0.5) * (p.b.Uniform((i+uint64(lag))%n) - 0.5)
				}
			}
			const words = 4 * 32 * n // bits compared: the count is binomial
			if d := math.Abs(float64(differing) - words/2); d > far*math.Sqrt(words)/2 {
				t.Errorf("%d of %d bits differ", differing, words)
			}
			for lag, c := range covariance {
				if c = c / n; math.Abs(c) > far/12/math.Sqrt(n) { // variance 1/12 each
					t.Errorf("the covariance at distance %d is %v", lag, c)
				}
			}
		})
	}
}

// First numbers of consecutive keys are themselves uniform: a step's key may serve for a single number.
func TestFirstNumbersOfConsecutiveKeys(t *testing.T) {
	const n, bins = 1 << 15, 64
	root := tensor.NewKey(1).Name("steps")
	for _, way := range []struct {
		name string
		key  func(i int) tensor.Key
	}{
		{"Fold", func(i int) tensor.Key { return root.Fold(uint64(i)) }},
		{"Name", func(i int) tensor.Key { return root.Name(fmt.Sprint(i)) }},
		{"NewKey", func(i int) tensor.Key { return tensor.NewKey(uint64(i)) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			var count [bins]float64
			sum, product, last := 0.0, 0.0, 0.0
			for i := range n {
				u := way.key(i).Uniform(0)
				count[int(u*bins)]++
				sum += u - 0.5
				product += (u - 0.5) * last
				last = u - 0.5
			}
			chi2 := 0.0
			for _, c := range count {
				chi2 += (c - n/bins) * (c - n/bins) / (n / bins)
			}
			if math.Abs(chi2-(bins-1)) > far*math.Sqrt(2*(bins-1)) {
				t.Errorf("χ² over %d bins is %v", bins, chi2)
			}
			if math.Abs(sum) > far*math.Sqrt(n/12.0) {
				t.Errorf("the mean is off by %v", sum/n)
			}
			if math.Abs(product) > far/12.0*math.Sqrt(n) {
				t.Errorf("the covariance of neighbours is %v", product/n)
			}
		})
	}
}

// No two of many derived keys are equal. The chance that 3·2¹⁴ of 2⁶⁴ keys hold a pair is below 10⁻¹⁰.
func TestKeysDoNotCollide(t *testing.T) {
	seen := map[tensor.Key]string{}
	add := func(k tensor.Key, name string) {
		if before, ok := seen[k]; ok {
			t.Fatalf("%s and %s are one key", before, name)
		}
		seen[k] = name
	}
	root := tensor.NewKey(42)
	for i := range uint64(1 << 14) {
		add(root.Fold(i), fmt.Sprintf("step %d", i))
		add(root.Fold(3).Fold(i), fmt.Sprintf("step 3, %d", i))
		add(root.Name(fmt.Sprint("layer", i)), fmt.Sprintf("layer%d", i))
	}
}

// A derived key is made of a block that the stream itself never uses: otherwise Fold(n) would be two of
// the stream's own words.
func TestKeysAreNotNumbersOfTheirStream(t *testing.T) {
	root := tensor.NewKey(9)
	for i := range uint64(1 << 12) {
		lo, hi := root.Fold(i).Words()
		for j := range uint64(8) {
			if b := root.Block(i + j); b[0] == lo && b[1] == hi {
				t.Fatalf("Fold(%d) is block %d of the stream", i, i+j)
			}
		}
	}
}
