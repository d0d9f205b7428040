package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"fewshot/rmt/cputime"
	"fewshot/tensor"
)

// measurement is a case, with its figures once it has been measured.
type measurement struct {
	Kind    string   `json:"kind"` // gemm, inference, step, scaling or data
	Name    string   `json:"name"`
	Product *product `json:"product,omitempty"` // of gemm
	Images  int      `json:"images,omitempty"`  // a call
	Tokens  int      `json:"tokens,omitempty"`  // of an image, where they vary
	Workers int      `json:"workers,omitempty"` // where they vary
	// MicroBatch is how many images a step computes at a time; all if 0.
	MicroBatch int     `json:"micro_batch,omitempty"`
	FLOP       float64 `json:"flop,omitempty"` // of a call, counted from sizes
	// Times of a call, in seconds.
	Median float64 `json:"median_seconds"`
	Min    float64 `json:"min_seconds"`
	Max    float64 `json:"max_seconds"`
	// CPU is the time of all processors that a call takes, a median, where the system says it and the clock of that is
	// fine enough: what other programs on the machine disturb least, as long as there is one worker. More of them watch
	// for work meanwhile.
	CPU float64 `json:"cpu_seconds,omitempty"`
	// By the median time.
	GFLOPS float64 `json:"gflops,omitempty"`
	Share  float64 `json:"share_of_peak,omitempty"` // of the median peak in the same rounds; 1 is all of it
	Rate   float64 `json:"images_per_second,omitempty"`
	// Relative compares with the first case of a group. Scaling with workers: images a second, over one worker's. With
	// images or tokens: seconds an image or a token, over those of the fewest; 1 is linear growth. Data: seconds
	// an image, over the training step's, which is the share of the processors' time that the data takes.
	Relative float64 `json:"relative,omitempty"`
	// Peak is the most memory the device has held for tensors up to then, RSS what the process has had of the machine's,
	// 0 where the system does not say.
	Peak int64 `json:"peak_bytes"`
	RSS  int64 `json:"peak_rss_bytes,omitempty"`
	// What a call takes from the garbage collected memory, medians.
	Mallocs   float64 `json:"mallocs"`
	Allocated float64 `json:"allocated_bytes"`
}

// benchCase is a case in the making.
type benchCase struct {
	measurement
	dev    *tensor.Device
	open   func() (call func() error, close func(), err error)
	repeat int // calls in a timing, after one more that is not timed; 0 for one alone

	call    func() error
	samples []sample
}

// sample is what one timing found for a call.
type sample struct{ seconds, cpu, mallocs, allocated float64 }

// benchGroup is cases that are measured in the same rounds, with what belongs to all of them.
type benchGroup struct {
	cases []*benchCase
	close func() // may be nil
	// relative, if not nil, compares a case with the first one.
	relative func(c, first *measurement) float64
}

// keep leaves the cases whose names match.
func (g *benchGroup) keep(match *regexp.Regexp) {
	first := g.cases[0]
	g.cases = slices.DeleteFunc(g.cases, func(c *benchCase) bool { return !match.MatchString(c.Name) })
	if len(g.cases) == 0 || g.cases[0] != first {
		g.relative = nil
	}
}

// measure times all cases once a round, so that a slow spell of the machine hits all alike. The meters of b's device,
// whose readings are added to those there are, run in each round too, as do those of the other devices of the cases.
func (g *benchGroup) measure(ctx context.Context, b *bench, meters []*peakMeter) error {
	if g.close != nil {
		defer g.close()
	}
	peaks := map[*tensor.Device][]*peakMeter{b.dev: metersOf(b.dev)}
	for _, c := range g.cases {
		call, done, err := c.open()
		if err != nil {
			return err
		}
		defer done()
		c.call = call
		if peaks[c.dev] == nil {
			peaks[c.dev] = metersOf(c.dev)
		}
	}
	if len(g.cases) == 0 {
		return nil
	}
	advance, finish := b.ui.Progress(g.cases[0].Kind, (b.rounds+1)*len(g.cases))
	defer finish()
	for round := range b.rounds + 1 {
		b.trip.read()
		for _, ms := range peaks {
			for _, p := range ms {
				p.read()
			}
		}
		for i, c := range g.cases {
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := c.sample()
			if err != nil {
				return err
			}
			if round > 0 { // the first fills the pool of memory
				c.samples = append(c.samples, s)
			}
			c.Peak, c.RSS = c.dev.PeakBytes(), peakRSS()
			advance(round*len(g.cases)+i+1, c.Name)
		}
	}
	for _, c := range g.cases {
		c.sum(peaks[c.dev], b.device.precision)
		if g.relative != nil {
			c.Relative = g.relative(&c.measurement, &g.cases[0].measurement)
		}
	}
	for i, p := range peaks[b.dev] {
		meters[i].add(p)
	}
	return nil
}

// sample times the calls of a case.
func (c *benchCase) sample() (sample, error) {
	var before, after runtime.MemStats
	n := max(c.repeat, 1)
	if n > 1 { // so short that it matters whether its operands are in the caches
		if err := c.call(); err != nil {
			return sample{}, err
		}
	}
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), cputime.Used()
	for range n {
		if err := c.call(); err != nil {
			return sample{}, err
		}
	}
	if err := c.dev.Sync(); err != nil {
		return sample{}, err
	}
	took := time.Since(start)
	cpu = cputime.Used() - cpu
	runtime.ReadMemStats(&after)
	return sample{took.Seconds() / float64(n), cpu.Seconds() / float64(n), float64(after.Mallocs-before.Mallocs) / float64(n), float64(after.TotalAlloc-before.TotalAlloc) / float64(n)}, nil
}

// sum computes what is reported from the samples and from the meters of the device.
func (c *benchCase) sum(meters []*peakMeter, format string) {
	column := func(of func(sample) float64) []float64 {
		var v []float64
		for _, s := range c.samples {
			v = append(v, of(s))
		}
		return v
	}
	t := column(func(s sample) float64 { return s.seconds })
	c.Median, c.Min, c.Max = median(t), slices.Min(t), slices.Max(t)
	c.CPU = median(column(func(s sample) float64 { return s.cpu }))
	c.Mallocs = median(column(func(s sample) float64 { return s.mallocs }))
	c.Allocated = median(column(func(s sample) float64 { return s.allocated }))
	c.GFLOPS = c.FLOP / c.Median / 1e9
	c.Rate = float64(c.Images) / c.Median
	if peak := peakFor(meters, format); c.FLOP > 0 && peak != nil {
		c.Share = c.GFLOPS / median(peak.readings)
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// peakMeter measures the multiply-adds of a device in a number format, beside what is measured on it.
type peakMeter struct {
	Format string `json:"format"`
	// Over all rounds.
	GFLOPS float64 `json:"gflops"` // median
	Min    float64 `json:"min_gflops"`
	Max    float64 `json:"max_gflops"`
	// Loop is the median of products' loops, see tensor.Device.Loop, 0 where there is none.
	Loop float64 `json:"loop_gflops,omitempty"`

	flop     float64
	run      func()
	readings []float64 // GFLOP/s
	loop     *peakMeter
}

// metersOf are the meters for the formats that the device has.
func metersOf(dev *tensor.Device) []*peakMeter {
	ms := []*peakMeter{}
	for _, format := range []string{"float32", "bf16"} {
		if flop, run := dev.Peak(format); flop > 0 {
			m := &peakMeter{Format: format, flop: flop, run: run}
			if flop, run := dev.Loop(); flop > 0 && format == "float32" {
				m.loop = &peakMeter{Format: format, flop: flop, run: run}
			}
			ms = append(ms, m)
		}
	}
	return ms
}

// peakFor is the meter of the format that a device multiplies in: float32 where it keeps another one but cannot multiply it.
func peakFor(meters []*peakMeter, format string) *peakMeter {
	for _, f := range []string{format, "float32"} {
		if i := slices.IndexFunc(meters, func(p *peakMeter) bool { return p.Format == f }); i >= 0 {
			return meters[i]
		}
	}
	return nil
}

func (p *peakMeter) read() {
	start := time.Now()
	p.run()
	p.readings = append(p.readings, p.flop/time.Since(start).Seconds()/1e9)
	if p.loop != nil {
		p.loop.read()
	}
}

// add takes the readings of another meter of the same.
func (p *peakMeter) add(other *peakMeter) {
	p.readings = append(p.readings, other.readings...)
	if p.loop != nil {
		p.loop.add(other.loop)
	}
}

func (p *peakMeter) sum() {
	if p.loop != nil {
		p.Loop = median(p.loop.readings)
	}
	p.GFLOPS, p.Min, p.Max = median(p.readings), slices.Min(p.readings), slices.Max(p.readings)
}

// peakRSS is the most memory that the process has had in the machine's, in bytes: 0 where there is no /proc.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	n, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

var measurementHeader = fmt.Sprintf("%-9s %-34s %12s %25s %8s %5s %9s %10s %9s %17s %8s",
	"", "", "median", "range", "GFLOP/s", "peak", "images/s", "tensors", "process", "allocations", "relative")

func (m *measurement) line() string {
	blank := func(show bool, format string, v float64) string {
		if !show {
			return ""
		}
		return fmt.Sprintf(format, v)
	}
	const mib = 1 << 20
	line := fmt.Sprintf("%-9s %-34s %9.2f ms %9.2f .. %9.2f ms %8s %5s %9s %6.0f MiB %9s %7.0f %5.0f KiB %8s", m.Kind, m.Name, 1e3*m.Median, 1e3*m.Min, 1e3*m.Max,
		blank(m.FLOP > 0, "%.1f", m.GFLOPS), blank(m.Share > 0, "%.0f %%", 100*m.Share), blank(m.Images > 0, "%.2f", m.Rate), float64(m.Peak)/mib,
		blank(m.RSS > 0, "%.0f MiB", float64(m.RSS)/mib), m.Mallocs, m.Allocated/(1<<10), blank(m.Relative > 0, "%.3f", m.Relative))
	return strings.TrimRight(line, " ")
}
