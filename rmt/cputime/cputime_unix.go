//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Used is what all processors have spent on this process, for itself and for the system on its behalf.
func Used() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
