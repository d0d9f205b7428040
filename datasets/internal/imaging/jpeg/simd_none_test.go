//go:build purego || !amd64

package jpeg

func portable(f func()) { f() }
