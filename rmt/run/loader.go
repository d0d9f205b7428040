package run

import (
	"fmt"
	"slices"
)

// Loader says how images are read; it has no influence on results.
type Loader struct {
	Workers  int    // images decoded at the same time, 0 for one a core
	CacheMiB int64  // memory for decoded training images
	Store    string // where decoded images are kept and cropped: host, device or auto
	Batch    int    // images a batch in evaluation
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
