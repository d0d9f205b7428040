package main

import (
	"math"
	"testing"
	"time"
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
