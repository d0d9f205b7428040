//go:build !purego

package widen

var (
	halves, brains, floats kernel = halvesNEON, brainsNEON, floatsNEON
	bytes                         = bytesNEON
	finite                        = finiteNEON
)

//go:noescape
func halvesNEON(n int, dst *float32, src *byte) int

//go:noescape
func brainsNEON(n int, dst *float32, src *byte) int

//go:noescape
func floatsNEON(n int, dst *float32, src *byte) int

// finiteNEON is how many of the first n numbers, a multiple of block, lie in whole blocks without one that is not finite.
//
//go:noescape
func finiteNEON(n int, x *float32) int

// bytesNEON is the reverse of floatsNEON.
//
//go:noescape
func bytesNEON(n int, dst *byte, src *float32) int
