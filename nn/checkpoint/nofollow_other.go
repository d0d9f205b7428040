//go:build !unix

package checkpoint

// noFollow is nothing here: such a system makes symbolic links for administrators only, and os.Lstat has looked.
const noFollow = 0
