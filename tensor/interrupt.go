package tensor

import (
	"context"
	"sync"
)

// Interruptible lets what is computed from now on be cut short when ctx ends: loops then do nothing, so that even a step that takes
// a minute is over at once, and leaves anything in its results. end ends this, and reports whether it happened; then whatever was
// computed since is to be thrown away. Devices that are done soon in any case, as GPUs, take no notice.
func (d *Device) Interruptible(ctx context.Context) (end func() (interrupted bool)) {
	h, ok := d.backend.(interface{ halt(on bool) })
	if !ok || ctx.Done() == nil {
		return notInterrupted
	}
	var mu sync.Mutex
	var halted, over bool
	halt := func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			halted = true
			h.halt(true)
		}
	}
	if ctx.Err() != nil {
		halt() // not some time later, as below
	}
	stop := context.AfterFunc(ctx, halt)
	return func() bool {
		stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
		h.halt(false)
		return halted
	}
}

func notInterrupted() bool { return false }
