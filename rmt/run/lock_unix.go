//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package run

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errLocked says that another process holds the lock.
var errLocked error = unix.EWOULDBLOCK

// lockFile takes an exclusive lock on the whole file, or fails at once. It belongs to the open file and goes with it.
func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// unlockFile removes the file while it is locked, so that nobody can take a lock on a file without a name.
func unlockFile(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}
