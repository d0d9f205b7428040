package method

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// most is how large a setting of a name may be, whatever the method: beyond it memory ends before anything is gained. Attention takes
// the square of what is put among tokens, a grid of a search is kept whole.
var most = map[string]float64{
	"context": 1024, "contexts": 1024, "prompts": 1024, "sets": 1024, "tokens": 1024, "vectors": 1024, "depth": 1024,
	"text_depth": 1024, "image_depth": 1024, "rank": 4096, "passes": maxPasses, "alpha_steps": 10_000, "beta_steps": 10_000, "rounds": 1000,
}

// mostOf is how large any other setting may be: a larger number is a mistake.
const mostOf = 1e6

// Check is Validate, and refuses numbers that are too large for what they count.
func Check(s Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("a setting is not a finite number")
	}
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return err
	}
	return bounded(all)
}

// bounded looks at all numbers, but for seeds, which may be anything.
func bounded(all map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch v := all[name].(type) {
		case map[string]any:
			if err := bounded(v); err != nil {
				return err
			}
		case json.Number:
			limit, ok := most[name]
			if !ok {
				limit = mostOf
			}
			if x, err := v.Float64(); name != "seed" && (err != nil || math.Abs(x) > limit) {
				return fmt.Errorf("%s %s: at most %g", name, v, limit)
			}
		}
	}
	return nil
}
