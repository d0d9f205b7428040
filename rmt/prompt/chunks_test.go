package prompt

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"fewshot/rmt/train"
	"fewshot/tensor"
)

// However many classes are in memory at a time, a step has the same loss and, but for the order in which chunks are
// added up, the same gradients.
func TestChunksOfEveryMethod(t *testing.T) {
	defer func(c []string, rows int) { classes, chunkRows = c, rows }(classes, chunkRows)
	const many = 12
	classes = nil
	for i := range many {
		classes = append(classes, fmt.Sprintf("c%d %s", i, "abcdefg"[:i%7]))
	}
	for name := range methods() {
		if name == "vpt" { // which leaves texts alone
			continue
		}
		for model, m := range map[string]*CLIP{"CLIP": rig(t, "ref"), "SigLIP": siglip(t, "ref")} {
			if model == "SigLIP" && name != "maple" {
				continue
			}
			gradients := func(rows int) (loss float64, all [][]float64) {
				chunkRows = rows
				l, err := methods()[name](m)
				if err != nil {
					t.Fatal(err)
				}
				tr := train.New(m.Device, l, tensor.NewKey(1), 0)
				defer tr.Release()
				x, labels := batch(m.Device)
				s, lanes, err := tr.Gradients(context.Background(), x, labels)
				if err != nil {
					t.Fatal(err)
				}
				for _, pair := range lanes {
					for _, g := range pair {
						if g != nil { // of a loss that there is, by a parameter that does not rest
							all = append(all, g.Float64s())
						}
					}
				}
				return s.Loss, all
			}
			loss, want := gradients(1 << 30)
			for _, rows := range []int{90, 7} {
				l, got := gradients(rows)
				if l != loss {
					t.Errorf("%s of %s, chunks of %d rows: the loss is %.17g, at once %.17g", name, model, rows, l, loss)
				}
				for i := range want {
					// A sum over classes and their tokens, of numbers no larger than the largest, in another order.
					size := max(slices.Max(want[i]), -slices.Min(want[i]))
					for j, w := range want[i] {
						if d := math.Abs(got[i][j] - w); !(d <= many*0x1p-48*size) {
							t.Fatalf("%s of %s, chunks of %d rows: parameter %d, element %d is %g, at once %g", name, model, rows, i, j, got[i][j], w)
						}
					}
				}
			}
		}
	}
}
