package run

import (
	"os"

	"golang.org/x/sys/windows"
)

// errLocked says that another process holds the lock.
var errLocked error = windows.ERROR_LOCK_VIOLATION

// lockFile takes an exclusive lock on a byte far behind the file's end, or fails at once. Locks are mandatory here: the
// bytes before it, which say whose it is, stay readable.
func lockFile(f *os.File) error {
	at := windows.Overlapped{OffsetHigh: 1}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

// unlockFile closes the file first, because an open one cannot be removed. If somebody else has opened it by then it is
// theirs, and stays.
func unlockFile(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}
