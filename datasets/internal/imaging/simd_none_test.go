//go:build purego || !amd64

package imaging

func portable(f func()) { f() }
