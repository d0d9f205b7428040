package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"fewshot/tensor"
	"fewshot/vit"
)

// scalingBatch is the number of images in a step where something else is varied.
const scalingBatch = 4

// workersCases are steps of R-AMT with one worker, two, one a core, and eight a core. All must find the same losses, to
// the bit.
func workersCases(b *bench) (*benchGroup, error) {
	var devices []*tensor.Device
	g := &benchGroup{
		relative: func(c, first *measurement) float64 { return c.Rate / first.Rate },
		close: func() {
			for _, d := range devices {
				_ = d.Close() // a processor has no resources that can fail to be given back
			}
		},
	}
	cores := runtime.GOMAXPROCS(0)
	counts := []int{1, 2, cores, 8 * cores}
	slices.Sort(counts)
	var losses []float64 // of the first step
	for _, workers := range slices.Compact(counts) {
		flags := b.device
		flags.workers = workers
		dev, err := flags.open()
		if err != nil {
			return nil, err
		}
		devices = append(devices, dev)
		c, err := b.encoder(dev)
		if err != nil {
			return nil, err
		}
		s := stepper{dev: dev, clip: c, method: "r-" + placement(b.clip.Arch), off: true, batch: scalingBatch, micro: b.micro}
		m := s.stepCase("scaling", fmt.Sprintf("%s, batch %d, workers %d", strings.ToUpper(s.method), s.batch, workers))
		m.Workers = workers
		m.open = func() (func() error, func(), error) {
			step, close, err := s.open()
			return func() error {
				stats, err := step()
				if err != nil {
					return err
				}
				found := []float64{stats.Loss, stats.Distill}
				if losses == nil {
					losses = found
				}
				if !slices.Equal(found, losses) {
					return fmt.Errorf("with %d workers the losses are %v, before they were %v: please report this", workers, found, losses)
				}
				return nil
			}, close, err
		}
		g.cases = append(g.cases, m)
	}
	return g, nil
}

// batchCases are steps of R-AMT on more and more images.
func batchCases(b *bench) (*benchGroup, error) {
	g := &benchGroup{relative: func(c, first *measurement) float64 { return first.Rate / c.Rate }}
	for batch := 1; batch <= 32; batch *= 2 {
		s := stepper{dev: b.dev, clip: b.clip, method: "r-" + placement(b.clip.Arch), off: true, batch: batch, micro: b.micro}
		g.cases = append(g.cases, s.stepCase("scaling", fmt.Sprintf("%s, batch %d", strings.ToUpper(s.method), batch)))
	}
	return g, nil
}

// tokensCases are steps of R-AMT with random encoders of the model's width, for images with half as many patches a side,
// as many, and half as many again: at ViT-B/16 50 tokens, which is the work of ViT-B/32, 197 and 442.
func tokensCases(b *bench) (*benchGroup, error) {
	g := &benchGroup{relative: func(c, first *measurement) float64 {
		perToken := func(m *measurement) float64 { return m.Median / float64(m.Images*m.Tokens) }
		return perToken(c) / perToken(first)
	}}
	config, transformer := b.clip.Arch.(vit.Config)
	for _, halves := range []int{1, 2, 3} {
		if !transformer { // whose work is not by tokens
			break
		}
		config := config
		config.ImageSize = config.ImageSize / config.Patch * halves / 2 * config.Patch
		c, err := randomEncoder(b.dev, config)
		if err != nil {
			return nil, err
		}
		s := stepper{dev: b.dev, clip: c, method: "r-" + placement(b.clip.Arch), off: true, batch: scalingBatch, micro: b.micro}
		m := s.stepCase("scaling", fmt.Sprintf("%s, batch %d, tokens %d", strings.ToUpper(s.method), s.batch, config.Tokens()))
		m.Tokens = config.Tokens()
		g.cases = append(g.cases, m)
	}
	return g, nil
}
