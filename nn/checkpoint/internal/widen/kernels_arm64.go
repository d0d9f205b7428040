//go:build !purego

package widen

var (
	halves, brains kernel = halvesNEON, brainsNEON
	finite                = finiteNEON
)

//go:noescape
func halvesNEON(n int, dst *float32, src *byte) int

//go:noescape
func brainsNEON(n int, dst *float32, src *byte) int

//go:noescape
func finiteNEON(n int, x *float32) int
