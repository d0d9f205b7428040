package run

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
)

// Selection says by what a run chooses its epoch, and its settings among some that are given. Nothing of it looks at a test image.
type Selection struct {
	On   string `json:"on"`             // val: the accuracy on validation images
	Grid []Axis `json:"grid,omitempty"` // settings by all combinations of these, the last one's values alternating fastest
	// Among are the settings of these combinations as they were in the end; nil before.
	Among []json.RawMessage `json:"among,omitempty"`
}

// Axis is values of a setting, by the flag of the method that sets it.
type Axis struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// MaxGrid is more combinations of settings than a few validation images can tell apart.
const MaxGrid = 1000

// Choice is what was chosen, and among what. Equal accuracies go to the earlier epoch, and before that to the earlier settings.
type Choice struct {
	On       string  `json:"on"`
	Images   int     `json:"images"` // that it was chosen by
	Accuracy float64 `json:"accuracy"`
	Tried
	Table []Tried `json:"table"` // all that it was chosen among, settings by settings
}

// Tried are settings, and what came of them.
type Tried struct {
	Settings map[string]string `json:"settings,omitempty"` // of the grid, by flag
	Epoch    int               `json:"epoch,omitempty"`    // the best, from 1; 0 where there is nothing to choose among
	Val      []float64         `json:"val_accuracy"`       // by epoch, in percent; one figure where epochs are not chosen among
}

// best is the accuracy of the epoch.
func (t Tried) best() float64 { return t.Val[max(t.Epoch-1, 0)] }

func (t Tried) words() string {
	var words []string
	if t.Epoch > 0 {
		words = append(words, fmt.Sprintf("epoch %d of %d", t.Epoch, len(t.Val)))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
		words = append(words, fmt.Sprintf("-%s %s", name, t.Settings[name]))
	}
	return strings.Join(words, ", ")
}

// For refuses a choice that a method with some settings leaves nothing of.
func (s *Selection) For(m *method.Method, settings method.Settings) error {
	if s == nil {
		return nil
	}
	why := ""
	switch epochs := m.EpochsWith(settings); {
	case m.Peeks:
		return &clip.OptionError{Problem: m.Name + " chooses by the test images itself, so that -select val would say nothing"}
	case len(s.Grid) > 0:
		return nil
	case epochs == method.NoEpochs:
		why = "has no epochs to choose among"
	case epochs == method.LastEpoch:
		why = "is done after its last epoch alone, so that none before can be chosen"
	default:
		return nil
	}
	return &clip.OptionError{Problem: m.Name + " " + why + "; -grid gives it settings to choose among"}
}

// selectable refuses a choice that there are no images for.
func (r *Request) selectable(ctx context.Context) error {
	switch {
	case r.Select == nil:
		return nil
	case len(r.Data.Val) == 0:
		return fmt.Errorf("-select val chooses by validation images, and %s has none: give it a val part, or -split one off, as by -split 0.7,0.1", quote.Plain(r.Data.Name))
	}
	if err := r.Select.For(r.Method, r.Settings); err != nil {
		return err
	}
	return r.Data.Inspect(ctx, r.Data.Val)
}

// epochs reports whether epochs are chosen among.
func (r *Request) epochs() bool {
	return r.Select != nil && r.Method.EpochsWith(r.Settings) == method.AnyEpoch
}

// validation evaluates what was learned on the validation images.
func (r *Request) validation(ctx context.Context, t *method.Training, images *Source) (float64, error) {
	if f, ok := t.Learned.(interface{ Forget() }); ok {
		defer f.Forget()
	}
	c, err := t.Learned.Classifier(ctx, r.Data.Classes)
	if err != nil {
		return 0, err
	}
	a, err := Evaluate(ctx, r.UI, "validation", r.Dev, c, images)
	return a.Accuracy, err
}

// validateEpochs has every epoch of a run evaluated on the validation images, and the best kept. end gives their memory back.
func (r *Request) validateEpochs(ctx context.Context, t *method.Training) (end func()) {
	images := r.Loader.InOrder(r.Dev, r.UI, r.Model, r.Data, r.Data.Val, false)
	t.Run.Trainer.KeepBest()
	t.Run.Validate = func() (float64, error) { return r.validation(ctx, t, images) }
	return images.Close
}

// choose puts the best epoch in the place of the last, and says so.
func (r *Request) choose(ctx context.Context, t *method.Training, result *Result) error {
	c := &Choice{On: r.Select.On, Images: len(r.Data.Val)}
	if r.epochs() {
		t.Run.Trainer.TakeBest()
		for _, e := range result.Epochs {
			c.Val = append(c.Val, *e.Val)
		}
		c.Epoch = t.Run.Done.Best().Epoch
	} else {
		images := r.Loader.InOrder(r.Dev, r.UI, r.Model, r.Data, r.Data.Val, true)
		defer images.Close()
		v, err := r.validation(ctx, t, images)
		if err != nil {
			return err
		}
		c.Val = []float64{v}
	}
	c.Accuracy, c.Table = c.best(), []Tried{c.Tried}
	result.Choice = c
	return r.chosen(c)
}

// chosen tells of a choice before any test image is looked at.
func (r *Request) chosen(c *Choice) error {
	if r.part {
		return nil
	}
	r.UI.Note("chosen: %s, %.2f %% of %s", c.words(), c.Accuracy, words.Count(c.Images, "validation image"))
	return r.UI.Event(struct {
		Kind string `json:"kind"`
		*Choice
	}{"choice", c})
}

// ParseAxis reads values of a setting, as lr=1e-3,1e-4.
func ParseAxis(s string) (Axis, error) {
	name, values, ok := strings.Cut(s, "=")
	a := Axis{Name: strings.TrimLeft(strings.TrimSpace(name), "-")}
	for v := range strings.SplitSeq(values, ",") {
		a.Values = append(a.Values, strings.TrimSpace(v))
	}
	switch {
	case !ok || a.Name == "" || slices.Contains(a.Values, ""):
		return a, fmt.Errorf("%s: want a setting and its values, as lr=1e-3,1e-4", quote.String(s))
	case len(a.Values) != len(slices.Compact(slices.Sorted(slices.Values(a.Values)))):
		return a, fmt.Errorf("%s: a value stands there twice", quote.String(s))
	}
	return a, nil
}

// Combinations are those of the grid: each has a value of every setting.
func (s *Selection) Combinations() ([]map[string]string, error) {
	all := []map[string]string{{}}
	seen := map[string]bool{}
	for _, a := range s.Grid {
		if seen[a.Name] {
			return nil, fmt.Errorf("the grid has %s twice", quote.String(a.Name))
		}
		seen[a.Name] = true
		if len(all)*len(a.Values) > MaxGrid {
			return nil, fmt.Errorf("the grid has more than %d combinations", MaxGrid)
		}
		var next []map[string]string
		for _, c := range all {
			for _, v := range a.Values {
				more := maps.Clone(c)
				more[a.Name] = v
				next = append(next, more)
			}
		}
		all = next
	}
	return all, nil
}

// Variant is settings of a grid.
type Variant struct {
	Set      map[string]string // by the grid
	Settings method.Settings
}

// Variants are those that the settings of a run were chosen among, as it had them in the end; nil where there was no grid.
func (r *Result) Variants() (all []Variant, err error) {
	s := r.Spec.Select
	if s == nil || len(s.Grid) == 0 {
		return nil, nil
	}
	m, err := Lookup(r.Spec.Method)
	if err != nil {
		return nil, err
	}
	sets, err := s.Combinations()
	if err != nil {
		return nil, err
	}
	if len(sets) != len(s.Among) {
		return nil, fmt.Errorf("%d settings are kept of a grid of %d", len(s.Among), len(sets))
	}
	for i, b := range s.Among {
		settings, err := m.Settings(b)
		if err != nil {
			return nil, fmt.Errorf("settings of %s: %w", m.Name, err)
		}
		all = append(all, Variant{sets[i], settings})
	}
	return all, nil
}
