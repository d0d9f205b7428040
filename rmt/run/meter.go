package run

import (
	"time"

	"fewshot/rmt/cputime"
	"fewshot/rmt/train"
)

// meter measures what a run costs: in this process since its start, on top of what came before.
type meter struct {
	before    train.Cost
	start     time.Time
	processor time.Duration
	unknown   bool // what processors spent before is
}

func startMeter() *meter { return &meter{start: time.Now(), processor: cputime.Used()} }

// add counts what another process, or another part of the run, has spent; nil is one that did not say.
func (m *meter) add(c *train.Cost) {
	if c == nil {
		c = new(train.Cost)
	}
	m.before.Wall += c.Wall
	m.before.Processor += c.Processor
	m.unknown = m.unknown || c.Processor == 0
}

// cost is what the run has cost until now.
func (m *meter) cost() train.Cost {
	c := train.Cost{Wall: m.before.Wall + time.Since(m.start)}
	if now := cputime.Used(); now > 0 && !m.unknown {
		c.Processor = m.before.Processor + now - m.processor
	}
	return c
}

// seconds writes what the run has cost into its result.
func (m *meter) seconds(r *Result) {
	c := m.cost()
	r.Seconds, r.CPU = c.Wall.Seconds(), c.Processor.Seconds()
}

// cost is what a result says that its run has cost.
func (r *Result) cost() *train.Cost {
	of := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	return &train.Cost{Wall: of(r.Seconds), Processor: of(r.CPU)}
}
