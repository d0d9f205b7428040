package main

import (
	"flag"
	"fmt"
	"strconv"

	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// microBatch is the flag -micro-batch: how many images of a step are computed at a time.
type microBatch struct {
	given  bool // rather than auto
	images int  // 0 for all of a batch
}

func (m *microBatch) declare(fs *flag.FlagSet) {
	fs.Var(m, "micro-batch", fmt.Sprintf("`images` of a step that are computed at a time, which bounds memory: a number, 0 for all, or auto: on a processor in parts of at least about %d tokens, elsewhere all (default auto)", rmt.LeastTokens))
}

func (m *microBatch) String() string {
	if !m.given {
		return ""
	}
	return strconv.Itoa(m.images)
}

// Set makes m a flag.Value.
func (m *microBatch) Set(s string) error {
	if s == "auto" {
		*m = microBatch{}
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > rmt.MaxBatch {
		return fmt.Errorf("want a number of images, 0 for all of a batch, or auto")
	}
	*m = microBatch{true, n}
	return nil
}

// of is the number for a batch of images of so many tokens. A device with memory of its own gains more by large products than
// parts would save.
func (m *microBatch) of(dev *tensor.Device, tokens, batch int) int {
	switch {
	case m.given:
		return m.images
	case dev.OwnMemory() > 0:
		return 0
	}
	return rmt.AutoMicroBatch(batch, tokens)
}

// on is of for a model's images.
func (m *microBatch) on(dev *tensor.Device, c *clip.Model) func(batch int) int {
	return func(batch int) int { return m.of(dev, c.Image.Sizes().Tokens, batch) }
}
