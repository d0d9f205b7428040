//go:build !purego

package imaging

// portable runs f with the kernels in Go.
func portable(f func()) {
	old := useAVX2
	useAVX2 = false
	defer func() { useAVX2 = old }()
	f()
}
