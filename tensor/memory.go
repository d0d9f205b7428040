package tensor

import "fmt"

// OutOfMemory is the error of a device that memory was asked of which it does not have. In bytes.
type OutOfMemory struct {
	Asked int64
	Free  int64 // of the device
	Total int64
	Held  int64 // by this program's tensors
	Err   error // the driver's
}

func (e *OutOfMemory) Error() string {
	mib := func(bytes int64) float64 { return float64(bytes) / (1 << 20) }
	return fmt.Sprintf("%.1f MiB were asked for, but only %.1f of %.1f MiB are free, and this program's tensors hold %.1f MiB; a smaller batch takes less: %v",
		mib(e.Asked), mib(e.Free), mib(e.Total), mib(e.Held), e.Err)
}

func (e *OutOfMemory) Unwrap() error { return e.Err }
