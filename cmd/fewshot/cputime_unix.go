//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package main

import "golang.org/x/sys/unix"

// cpuSeconds is the time that all processors have spent on the process.
func cpuSeconds() float64 {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}
