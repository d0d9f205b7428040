package cputime

import (
	"time"

	"golang.org/x/sys/windows"
)

// Used is what all processors have spent on this process, for itself and for the system on its behalf.
func Used() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user) != nil {
		return 0
	}
	// These two are durations, in units of 100 ns: no times since 1601, which Filetime.Nanoseconds takes them for.
	ticks := func(t windows.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
	return time.Duration(100 * (ticks(kernel) + ticks(user)))
}
