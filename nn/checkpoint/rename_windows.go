package checkpoint

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// rename is os.Rename with patience: a file that somebody has open, as virus scanners, indexers and another process that
// replaces the same file do for a moment, cannot be replaced here until they close it.
func rename(from, to string) error {
	const tries = 9 // a quarter of a second in all
	for wait, n := time.Millisecond, 1; ; wait, n = 2*wait, n+1 {
		err := os.Rename(from, to)
		if n == tries || !errors.Is(err, windows.ERROR_ACCESS_DENIED) && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			return err
		}
		time.Sleep(wait)
	}
}
