//go:build cuda

package driver

// #include "shim.h"
import "C"

import "time"

// Event is a mark in the stream.
type Event C.uintptr_t

// NewEvent makes an event to wait for, or one to take times with.
func (d *Device) NewEvent(timed bool) (Event, error) {
	var e C.uintptr_t
	flag := C.int(0)
	if timed {
		flag = 1
	}
	err := failed("cuEventCreate", C.shim_event(d.context, flag, &e))
	return Event(e), err
}

// Record puts the mark behind all that is queued.
func (d *Device) Record(e Event) error {
	return failed("cuEventRecord", C.shim_event_record(d.context, d.stream, C.uintptr_t(e)))
}

// Wait waits until the mark is reached.
func (d *Device) Wait(e Event) error {
	return failed("cuEventSynchronize", C.shim_event_wait(d.context, C.uintptr_t(e)))
}

// DestroyEvent gives an event back.
func (d *Device) DestroyEvent(e Event) error {
	return failed("cuEventDestroy", C.shim_event_destroy(d.context, C.uintptr_t(e)))
}

// Elapsed is the device's time between two marks that have been reached.
func (d *Device) Elapsed(from, to Event) (time.Duration, error) {
	var ms C.float
	err := failed("cuEventElapsedTime", C.shim_event_elapsed(d.context, C.uintptr_t(from), C.uintptr_t(to), &ms))
	return time.Duration(float64(ms) * 1e6), err
}
