//go:build !unix

package main

import "os"

// batchSignals are none where there is but SIGTERM.
var batchSignals []os.Signal
