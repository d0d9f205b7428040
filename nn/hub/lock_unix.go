//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package hub

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes flock(2) on the file, which is what Python's filelock takes: locks of fcntl are not seen by it. held is
// whether another has it; ok whether it was taken, false also where the file system has no locks.
func tryLock(f *os.File) (ok, held bool) {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return true, false
		case errors.Is(err, unix.EINTR):
		default:
			return false, errors.Is(err, unix.EWOULDBLOCK)
		}
	}
}
