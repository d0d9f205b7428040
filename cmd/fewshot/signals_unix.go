//go:build unix

package main

import (
	"os"
	"syscall"
)

// batchSignals are those by which batch systems announce the end of a job; SIGTERM, which main knows, is the other.
var batchSignals = []os.Signal{syscall.SIGUSR1}
