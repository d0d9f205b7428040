//go:build !purego

package widen

var halves, brains, floats kernel = halvesNEON, brainsNEON, floatsNEON

// bytes is the reverse of floats, of any numbers.
var bytes = bytesNEON

//go:noescape
func halvesNEON(n int, dst *float32, src *byte) int

//go:noescape
func brainsNEON(n int, dst *float32, src *byte) int

//go:noescape
func floatsNEON(n int, dst *float32, src *byte) int

//go:noescape
func bytesNEON(n int, dst *byte, src *float32)
