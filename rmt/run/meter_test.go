package run

import (
	"testing"
	"time"

	"fewshot/rmt/train"
)

// Far more than this test takes, so that what was spent before is told from what is spent now.
const aDay = 24 * time.Hour

// A run costs what all its processes and parts have spent; one that did not say what processors spent makes the sum unknown, not smaller.
func TestMeter(t *testing.T) {
	day := &train.Cost{Wall: 2 * aDay, Processor: aDay}
	for _, c := range []struct {
		name               string
		parts              []*train.Cost
		seconds, processor time.Duration // in days; -1 is unknown
	}{
		{"alone", nil, 0, 0},
		{"resumed", []*train.Cost{day}, 2, 1},
		{"of parts", []*train.Cost{day, day, day}, 6, 3},
		{"a checkpoint that does not say", []*train.Cost{nil}, 0, -1},
		{"a part that does not know", []*train.Cost{day, {Wall: aDay}}, 3, -1},
		{"a result", []*train.Cost{(&Result{Seconds: 2 * 86400, CPU: 86400}).cost()}, 2, 1},
		{"an older result", []*train.Cost{(&Result{Seconds: 2 * 86400}).cost()}, 2, -1},
	} {
		m := startMeter()
		for _, p := range c.parts {
			m.add(p)
		}
		var r Result
		m.seconds(&r)
		if got := m.cost(); got.Wall.Round(aDay) != c.seconds*aDay || r.Seconds < (c.seconds*aDay).Seconds() {
			t.Errorf("%s: %v, and %g s in the result", c.name, got.Wall, r.Seconds)
		}
		switch got := m.cost().Processor; {
		case c.processor < 0 && (got != 0 || r.CPU != 0):
			t.Errorf("%s: %v, and %g s in the result, of what is not known", c.name, got, r.CPU)
		case c.processor >= 0 && (got.Round(aDay) != c.processor*aDay || r.CPU < (c.processor*aDay).Seconds()):
			t.Errorf("%s: %v, and %g s in the result", c.name, got, r.CPU)
		}
	}
}
