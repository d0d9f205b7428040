//go:build !purego

package par

// pause tells the processor n times that this is a spin loop, which leaves its resources to the
// sibling thread and saves power.
//
//go:noescape
func pause(n int)
