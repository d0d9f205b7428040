package main

import (
	"flag"
	"io"
	"math"
	"testing"
	"time"

	"fewshot/rmt/plan"
)

// What is measured on a machine that is busy, or that stops the program, is what the work takes by itself.
func TestPace(t *testing.T) {
	const ms = time.Millisecond
	type piece struct {
		clock, processor time.Duration
		images           int
	}
	for name, c := range map[string]struct {
		pieces []piece // the last one ends the measurement
		image  time.Duration
		slowed float64
	}{
		"calm":              {[]piece{{110 * ms, 200 * ms, 10}, {100 * ms, 190 * ms, 10}, {120 * ms, 210 * ms, 10}, {110 * ms, 200 * ms, 10}}, 10 * ms, 1.1},
		"stopped once":      {[]piece{{100 * ms, 200 * ms, 10}, {120100 * ms, 200 * ms, 10}, {100 * ms, 200 * ms, 10}, {100 * ms, 200 * ms, 10}}, 10 * ms, 301},
		"stopped at first":  {[]piece{{120 * time.Second, 80 * ms, 8}, {80 * ms, 80 * ms, 8}, {80 * ms, 80 * ms, 8}, {80 * ms, 80 * ms, 8}}, 10 * ms, 375.75},
		"always held up":    {[]piece{{700 * ms, 200 * ms, 10}, {700 * ms, 220 * ms, 10}, {700 * ms, 210 * ms, 10}, {700 * ms, 200 * ms, 10}}, 20 * ms, 3.5},
		"slow":              {[]piece{{4000 * ms, 8000 * ms, 10}, {5000 * ms, 8000 * ms, 10}}, 400 * ms, 1.125},
		"a small batch too": {[]piece{{200 * ms, 400 * ms, 20}, {30 * ms, 60 * ms, 2}, {200 * ms, 400 * ms, 20}, {30 * ms, 60 * ms, 2}}, 10 * ms, 460. / 440},
	} {
		var clock, processor time.Duration
		end := stopwatch{clock: func() time.Duration { return clock }, processor: func() time.Duration { return processor }}.start()
		var p pace
		for i, piece := range c.pieces {
			clock, processor = clock+piece.clock, processor+piece.processor
			p.add(end(), piece.images)
			if last := i == len(c.pieces)-1; p.known() != last {
				t.Errorf("%s: after %d pieces, known is %v", name, i+1, !last)
			}
		}
		if math.Abs(p.image-c.image.Seconds()) > 1e-9 || math.Abs(p.slowed()-c.slowed) > 1e-6 {
			t.Errorf("%s: an image takes %v s, want %v; slowed %v times, want %v", name, p.image, c.image, p.slowed(), c.slowed)
		}
	}
	// Where processors say nothing of the work it is the clock that counts.
	var clock time.Duration
	end := stopwatch{clock: func() time.Duration { return clock }}.start()
	clock = 5 * ms
	if l := end(); l.costs != clock {
		t.Errorf("%+v", l)
	}
	if s := new(pace).slowed(); s != 1 {
		t.Errorf("slowed %v times by nothing", s)
	}
}

// The steps of masks that distil are measured with a teacher, which they have not at first, and have for most of a run.
func TestPaceOfDistillation(t *testing.T) {
	path := planOf(t, "-methods", "r-amt")
	p, err := plan.Open(path, version())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Run(p.Len() - 1)
	if err != nil || r.Method != "r-amt" {
		t.Fatalf("%v, %v", &r, err)
	}
	var f runFlags
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	f.declare(fs)
	if err := fs.Parse([]string{"-data", tinyData(t)}); err != nil {
		t.Fatal(err)
	}
	dev, err := f.device.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	u := newUI(io.Discard, io.Discard, false)
	e := estimator{runFlags: &f, ui: silent{u}, watch: newStopwatch(dev), open: &opener{u: u, dev: dev, root: f.root}}
	if err := e.model(t.Context(), r.Model); err != nil {
		t.Fatal(err)
	}
	q, err := e.request(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	job, release := q.Job(false)
	defer release()
	job.Shared = e.heads
	if job.Settings, err = r.Chosen(); err != nil {
		t.Fatal(err)
	}
	m, err := q.Method.Begin(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	before := m.Run.Trainer.Learner.Plan().Lanes
	distilled(m.Run.Trainer)
	if after := m.Run.Trainer.Learner.Plan().Lanes; before != 1 || after != 2 {
		t.Errorf("%d lanes at first, %d with a teacher", before, after)
	}
}
