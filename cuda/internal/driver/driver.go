//go:build cuda

package driver

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/mumax/3/cuda/cu"
)

// Error is a call of the driver or of cuBLASLt that failed.
type Error struct {
	Call   string // as "cuMemAlloc"
	Status int    // the driver's CUresult
	Detail string // what else is known; may be empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s (%d): %s", e.Call, C.GoString(C.shim_error_name(C.int(e.Status))), e.Status, C.GoString(C.shim_error_text(C.int(e.Status))))
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// OutOfMemory is the status of an allocation that does not fit.
const OutOfMemory = 2

func failed(call string, status C.int) error {
	if status == 0 {
		return nil
	}
	return &Error{Call: call, Status: int(status)}
}

// Device is an opened GPU: its primary context and one stream, on which all work is done in order.
type Device struct {
	ordinal   int
	context   C.uintptr_t
	stream    C.uintptr_t
	modules   []C.uintptr_t
	lt        C.uintptr_t
	workspace uintptr // of cuBLASLt
	capturing bool    // what is queued is recorded
	about     About
}

// About describes a device.
type About struct {
	Name            string
	Capability      [2]int // as 9, 0
	Multiprocessors int
	Memory          int64
	BlockShared     int    // bytes of shared memory that a block may have, if its kernel asks
	Driver          int    // CUDA version the driver implements, as 13000
	CuBLASLt        int    // version, 0 if not in use
	Searched        string // where cuBLASLt was looked for
}

// workspaceBytes is what NVIDIA recommends for Hopper.
const workspaceBytes = 32 << 20

// Open opens the GPU of this number: the primary context, which libraries share, and a stream that
// does not wait for the legacy stream.
func Open(ordinal int) (*Device, error) {
	var why [512]C.char
	if C.shim_load(&why[0], C.size_t(len(why))) == 0 {
		return nil, fmt.Errorf("no NVIDIA driver: %s", C.GoString(&why[0]))
	}
	d := &Device{ordinal: ordinal}
	if err := d.query(); err != nil {
		return nil, err
	}
	if err := failed("cuDevicePrimaryCtxRetain", C.shim_retain(C.int(ordinal), &d.context)); err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Device) prepare() (err error) {
	if err := failed("cuStreamCreate", C.shim_stream(d.context, &d.stream)); err != nil {
		return err
	}
	var log [4096]C.char
	if err := failed("cuCtxSetCurrent", C.lt_open(d.context, &d.lt, &log[0], C.size_t(len(log)))); err != nil {
		return err
	}
	d.about.Searched = C.GoString(&log[0])
	if d.lt != 0 {
		d.about.CuBLASLt = int(C.lt_version(d.lt))
		d.workspace, err = d.Alloc(workspaceBytes)
	}
	return err
}

// sharedPerBlockOptIn is CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN.
const sharedPerBlockOptIn = 97

func (d *Device) query() error {
	if err := caught("cuInit", func() { cu.Init(0) }); err != nil {
		return err
	}
	return caught("cuDeviceGet", func() {
		if n := cu.DeviceGetCount(); d.ordinal >= n {
			panic(fmt.Errorf("GPU %d does not exist: the driver shows %d", d.ordinal, n))
		}
		g := cu.DeviceGet(d.ordinal)
		major, minor := g.ComputeCapability()
		var version C.int
		C.shim_driver_version(&version)
		d.about = About{Name: g.Name(), Capability: [2]int{major, minor}, Multiprocessors: g.Attribute(cu.MULTIPROCESSOR_COUNT),
			Memory: g.TotalMem(), BlockShared: g.Attribute(sharedPerBlockOptIn), Driver: int(version)}
	})
}

// caught turns a panic of package cu into an error that names the call.
func caught(call string, f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case cu.Result:
			err = &Error{Call: call, Status: int(p)}
		case error:
			if _, isBug := p.(runtime.Error); isBug {
				panic(p)
			}
			err = p
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

// in calls functions of package cu with the device's context current.
func (d *Device) in(call string, f func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return caught(call, func() {
		cu.CtxSetCurrent(cu.Context(d.context))
		f()
	})
}

// Setting is an environment variable.
func Setting(name string) string {
	n := append([]byte(name), 0)
	return C.GoString(C.getenv((*C.char)(unsafe.Pointer(&n[0]))))
}

// About describes the device.
func (d *Device) About() About { return d.about }

// Close waits for all work and gives everything back, in the opposite order.
func (d *Device) Close() error {
	var errs []error
	if d.stream != 0 {
		errs = append(errs, d.Sync())
	}
	if d.workspace != 0 {
		errs = append(errs, d.Free(d.workspace))
	}
	if d.lt != 0 {
		errs = append(errs, failed("cublasLtDestroy", C.lt_close(d.context, d.lt)))
	}
	for _, m := range d.modules {
		errs = append(errs, failed("cuModuleUnload", C.shim_module_unload(d.context, m)))
	}
	if d.stream != 0 {
		errs = append(errs, failed("cuStreamDestroy", C.shim_stream_destroy(d.context, d.stream)))
	}
	errs = append(errs, failed("cuDevicePrimaryCtxRelease", C.shim_release(C.int(d.ordinal))))
	*d = Device{}
	return errors.Join(errs...)
}

// Sync waits for all work. An error of an earlier call may turn up only here.
func (d *Device) Sync() error {
	return failed("cuStreamSynchronize", C.shim_stream_wait(d.context, d.stream))
}

// Function is a kernel on a device.
type Function C.uintptr_t

// Load compiles PTX, which ends in a zero byte, and returns the functions of these names.
func (d *Device) Load(ptx []byte, names []string) ([]Function, error) {
	var log [8192]C.char
	var m C.uintptr_t
	if s := C.shim_module(d.context, (*C.char)(unsafe.Pointer(&ptx[0])), &m, &log[0], C.size_t(len(log))); s != 0 {
		return nil, &Error{Call: "cuModuleLoadDataEx", Status: int(s), Detail: C.GoString(&log[0])}
	}
	d.modules = append(d.modules, m)
	functions := make([]Function, len(names))
	for i, n := range names {
		name := append([]byte(n), 0)
		var f C.uintptr_t
		if err := failed("cuModuleGetFunction "+n, C.shim_function(d.context, m, (*C.char)(unsafe.Pointer(&name[0])), &f)); err != nil {
			return nil, err
		}
		functions[i] = Function(f)
	}
	return functions, nil
}

// LocalBytes is the memory that each thread of f keeps outside its registers.
func (d *Device) LocalBytes(f Function) (int, error) {
	const localSize = 3
	var v C.int
	err := failed("cuFuncGetAttribute", C.shim_function_attribute(d.context, C.uintptr_t(f), localSize, &v))
	return int(v), err
}

// AllowShared lets f be launched with so many bytes of dynamic shared memory. Up to 48 KiB need no permission.
func (d *Device) AllowShared(f Function, bytes int) error {
	const maxDynamicShared = 8
	return failed("cuFuncSetAttribute", C.shim_function_set(d.context, C.uintptr_t(f), maxDynamicShared, C.int(bytes)))
}

// Launch queues a kernel on blocks × threads, with so many bytes of dynamic shared memory and its one argument, a
// structure of the given size.
func (d *Device) Launch(f Function, blocks, threads, shared int, args unsafe.Pointer, size uintptr) error {
	return failed("cuLaunchKernel", C.shim_launch(d.context, d.stream, C.uintptr_t(f), C.uint32_t(blocks), C.uint32_t(threads), C.uint32_t(shared),
		args, C.size_t(size)))
}
