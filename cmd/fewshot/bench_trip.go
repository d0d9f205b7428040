package main

import (
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// tripMeter measures how far apart two processors are, beside what is measured on them. A virtual machine's may be moved, now
// onto cores with one L3 cache and now onto such as have none in common, and all that passes from worker to worker then takes longer.
type tripMeter struct {
	// In nanoseconds, over all rounds; 0 if there was no reading.
	Median float64 `json:"median_ns"`
	Min    float64 `json:"min_ns"`
	Max    float64 `json:"max_ns"`

	readings []float64
}

// read adds the time in which a word of memory goes from this thread to another one and back: the least of some means, as others may
// interrupt either. There is no reading where the two do not run at the same time.
func (m *tripMeter) read() {
	if runtime.GOMAXPROCS(0) < 2 {
		return
	}
	const tries, trips, patience = 5, 1000, 20 * time.Millisecond
	var word, over atomic.Uint32
	go func() {
		for over.Load() == 0 {
			if word.Load()&1 == 1 {
				word.Add(1)
			}
		}
	}()
	defer over.Store(1)
	best, start := time.Duration(math.MaxInt64), time.Now()
	for range tries {
		began := time.Now()
		for range trips {
			word.Add(1)
			for spins := 1; word.Load()&1 == 1; spins++ {
				if spins%1024 == 0 && time.Since(start) > patience {
					return
				}
			}
		}
		best = min(best, time.Since(began))
	}
	m.readings = append(m.readings, float64(best.Nanoseconds())/trips)
}

func (m *tripMeter) sum() {
	if len(m.readings) > 0 {
		m.Median, m.Min, m.Max = median(m.readings), slices.Min(m.readings), slices.Max(m.readings)
	}
}
