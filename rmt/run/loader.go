package run

import (
	"fmt"
	"slices"

	"fewshot/autograd"
	"fewshot/datasets"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// Loader says how images are read; it has no influence on results.
type Loader struct {
	Workers  int    // images decoded at the same time, 0 for one a core
	CacheMiB int64  // memory for decoded training images
	Store    string // where decoded images are kept and cropped: host, device or auto
	Batch    int    // images a batch in evaluation, at most: see EvalBatch
}

// The most of what a user may ask for: beyond them nothing gets faster, and memory ends.
const (
	MaxDecoders  = 1024
	MaxCacheMiB  = 16 << 20 // 16 TiB
	MaxEvalBatch = 4096
)

// Validate reports what cannot be, by the command's flags.
func (l Loader) Validate() error {
	switch {
	case l.Workers < 0 || l.Workers > MaxDecoders:
		return fmt.Errorf("-decoders %d: 0 for one a core, or up to %d", l.Workers, MaxDecoders)
	case l.CacheMiB < 0 || l.CacheMiB > MaxCacheMiB:
		return fmt.Errorf("-cache %d: MiB of memory, 0 to %d", l.CacheMiB, MaxCacheMiB)
	case l.Batch < 1 || l.Batch > MaxEvalBatch:
		return fmt.Errorf("-eval-batch %d: 1 to %d images; larger batches gain nothing", l.Batch, MaxEvalBatch)
	case !slices.Contains([]string{"auto", "host", "device"}, l.Store):
		return fmt.Errorf("-store %q: there are auto, host and device", l.Store)
	}
	return nil
}

// evalRoom is the memory, in bytes, that images being evaluated may take in the process: as pixels, and as what the encoder makes of them. As
// many as fit have some thousand tokens, of which products gain nothing more.
const evalRoom = 192 << 20

// EvalBatch is how many images are evaluated at a time: Batch, or fewer where these would take more than a bounded memory. It depends on the
// model's sizes alone. A device with memory of its own has room for more, and gains by it.
func (l Loader) EvalBatch(dev *tensor.Device, m *clip.Model) int {
	if dev.OwnMemory() > 0 {
		return l.Batch
	}
	measure := func(images int) int64 { return encoding(dev, m, images) }
	one := measure(1)
	each := max(measure(2)-one, 1) // without what weights need, which a mask may hide
	each += datasets.BatchesHeld * 4 * int64(3*m.Transform.Size*m.Transform.Size)
	return int(min(max(evalRoom/each, 1), int64(l.Batch)))
}

// encoding is how many bytes the encoder takes for a number of images.
func encoding(dev *tensor.Device, m *clip.Model, images int) int64 {
	return dev.Measure(func() {
		t := autograd.NoGrad(dev)
		defer t.Release()
		x := dev.New(tensor.Compute, images, 3, m.Transform.Size, m.Transform.Size)
		defer x.Release()
		t.Scope(func() *autograd.Var { return m.Image.Encode(t.Const(x)) })
	})
}
