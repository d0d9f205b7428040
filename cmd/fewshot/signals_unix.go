//go:build unix

package main

import (
	"os"
	"syscall"
)

// batchSignals are those by which batch systems announce the end of a job; SIGTERM is the other. Go
// ignores them unless they are asked for.
var batchSignals = []os.Signal{syscall.SIGUSR1}
