package main

import (
	"math"
	"time"

	"fewshot/rmt/cputime"
	"fewshot/tensor"
)

// enough is how long a method's steps, or the encoding of images, are measured at most, but for those that they are measured by at least.
const enough = 300 * time.Millisecond

// stopwatch measures work on a machine that may do other work, too, or stop this process for a while.
type stopwatch struct {
	clock     func() time.Duration
	processor func() time.Duration // that all processors have spent on this process; nil where that says nothing of the work
}

// newStopwatch measures work on a device. Of one with memory of its own, processors do but a part of it.
func newStopwatch(dev *tensor.Device) stopwatch {
	began := time.Now()
	w := stopwatch{clock: func() time.Duration { return time.Since(began) }}
	if dev.OwnMemory() == 0 && cputime.Used() > 0 {
		w.processor = cputime.Used
	}
	return w
}

// lap is a piece of work.
type lap struct {
	took  time.Duration // by the clock
	costs time.Duration // at most what it takes where nothing holds it up: not more than processors have spent on it
}

// start begins a piece of work; what it returns ends it, and begins the next.
func (w stopwatch) start() func() lap {
	clock, processor := w.clock(), time.Duration(0)
	if w.processor != nil {
		processor = w.processor()
	}
	return func() lap {
		l := lap{took: w.clock() - clock}
		l.costs = l.took
		clock += l.took
		if w.processor != nil {
			spent := w.processor() - processor
			l.costs = min(l.costs, spent)
			processor += spent
		}
		return l
	}
}

// pace is how fast pieces of one kind of work go: as the quickest of them, as what else differs is what held the others up.
type pace struct {
	pieces int
	took   time.Duration // all of them, by the clock
	images int           // in all of them
	image  float64       // seconds for an image, in the quickest
}

// add counts a piece, of so many images.
func (p *pace) add(l lap, images int) {
	images = max(images, 1)
	if s := l.costs.Seconds() / float64(images); p.pieces == 0 || s < p.image {
		p.image = s
	}
	p.pieces++
	p.took += l.took
	p.images += images
}

// known reports whether the pieces will do: for long enough, and so many that not all were held up. Of slow ones that are two.
func (p *pace) known() bool {
	return p.pieces >= 2 && p.took > enough && (p.pieces >= 4 || p.image*float64(p.images) > float64(p.pieces)*enough.Seconds())
}

// slowed is how many times as long the pieces took as if all had been as quick as the quickest; 1 where that is not known.
func (p *pace) slowed() float64 {
	if s := p.took.Seconds() / (p.image * float64(p.images)); p.pieces >= 2 && !math.IsNaN(s) && !math.IsInf(s, 0) {
		return s
	}
	return 1
}
