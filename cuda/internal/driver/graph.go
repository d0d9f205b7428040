//go:build cuda

package driver

// #include "shim.h"
import "C"

// Graph is recorded work.
type Graph struct {
	d    *Device
	exec C.uintptr_t
}

// Capture records what f queues, without running it. f must have run before, so that nothing is allocated or
// planned in it, and must not wait for the device; the calling goroutine must be locked to its thread. Where f
// fails or panics, what was recorded is dropped, and the stream is as before.
func (d *Device) Capture(f func() error) (g *Graph, err error) {
	if err := failed("cuStreamBeginCapture", C.shim_capture(d.context, d.stream)); err != nil {
		return nil, err
	}
	d.capturing = true
	defer func() {
		d.capturing = false
		if g == nil {
			C.shim_capture_drop(d.context, d.stream)
			return
		}
		if err = failed("cuGraphInstantiate", C.shim_capture_end(d.context, d.stream, &g.exec)); err != nil {
			g = nil
		}
	}()
	if err := f(); err != nil {
		return nil, err
	}
	return &Graph{d: d}, nil
}

// Launch queues the recorded work.
func (g *Graph) Launch() error {
	return failed("cuGraphLaunch", C.shim_graph_launch(g.d.context, g.d.stream, g.exec))
}

// Close gives the graph back; a launch that is under way ends as it would.
func (g *Graph) Close() error {
	return failed("cuGraphExecDestroy", C.shim_graph_destroy(g.d.context, g.exec))
}
