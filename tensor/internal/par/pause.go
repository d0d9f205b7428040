//go:build !amd64 || purego

package par

// pause lets n moments pass. The loop has no effect that the compiler must keep, which at worst makes
// the moments short.
func pause(n int) {
	for range n {
	}
}
