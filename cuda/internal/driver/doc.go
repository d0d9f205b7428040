// Package driver is what the backend needs of the CUDA driver and of cuBLASLt. Device query, memory, copies
// and current contexts come from github.com/mumax/3/cuda/cu. What that package lacks is in shim.c: primary context,
// non-blocking streams, modules with the compiler's messages, launches with packed arguments, function
// attributes, events and graphs; and in cublaslt.c products of matrices.
//
// The shim includes no header of NVIDIA's and links nothing: it looks its functions up in libcuda.so.1 at run
// time. A driver exports each function under a name that carries the version of its signature, which never changes
// again, so the declarations hold for every driver.
//
// The driver's current context belongs to the thread of the operating system, and goroutines move between
// threads. So every call sets it first: within one call of C in the shim, and with the goroutine locked
// to its thread around calls of cu. Setting what is set already costs some nanoseconds.
//
// All of it is behind the build tag cuda.
package driver
