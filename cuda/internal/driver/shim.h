/* See doc.go. Handles of the driver are passed as uintptr_t, which Go's collector does not mistake for
   pointers. Functions return the driver's status, 0 for success. */
#ifndef FEWSHOT_SHIM_H
#define FEWSHOT_SHIM_H
#include <stddef.h>
#include <stdint.h>

/* shim_load finds the driver's functions; if it returns 0, why says what is missing. */
int shim_load(char *why, size_t n);
const char *shim_error_name(int status);
const char *shim_error_text(int status);
int shim_driver_version(int *version);

int shim_retain(int device, uintptr_t *context);
int shim_release(int device);
int shim_set_current(uintptr_t context);

int shim_stream(uintptr_t context, uintptr_t *stream);
int shim_stream_destroy(uintptr_t context, uintptr_t stream);
int shim_stream_wait(uintptr_t context, uintptr_t stream);

/* shim_module compiles PTX, a C string; log receives the compiler's errors. */
int shim_module(uintptr_t context, const char *ptx, uintptr_t *module, char *log, size_t n);
int shim_module_unload(uintptr_t context, uintptr_t module);
int shim_function(uintptr_t context, uintptr_t module, const char *name, uintptr_t *function);
int shim_function_attribute(uintptr_t context, uintptr_t function, int attribute, int *value);
int shim_function_set(uintptr_t context, uintptr_t function, int attribute, int value);

/* shim_launch starts a kernel on blocks × threads, with so many bytes of dynamic shared memory and its one argument, n bytes
   at args, which the driver copies. */
int shim_launch(uintptr_t context, uintptr_t stream, uintptr_t function, uint32_t blocks, uint32_t threads, uint32_t shared, const void *args, size_t n);

int shim_event(uintptr_t context, int timed, uintptr_t *event);
int shim_event_record(uintptr_t context, uintptr_t stream, uintptr_t event);
int shim_event_wait(uintptr_t context, uintptr_t event);
int shim_event_elapsed(uintptr_t context, uintptr_t from, uintptr_t to, float *milliseconds);
int shim_event_destroy(uintptr_t context, uintptr_t event);

/* What is queued on the stream between the first and one of the others is recorded, not run; drop forgets it. */
int shim_capture(uintptr_t context, uintptr_t stream);
int shim_capture_end(uintptr_t context, uintptr_t stream, uintptr_t *graph);
void shim_capture_drop(uintptr_t context, uintptr_t stream);
int shim_graph_launch(uintptr_t context, uintptr_t stream, uintptr_t graph);
int shim_graph_destroy(uintptr_t context, uintptr_t graph);

/* cuBLASLt. lt_open tries the places it knows; log says which, and how it went. */
int lt_open(uintptr_t context, uintptr_t *handle, char *log, size_t n);
int lt_close(uintptr_t context, uintptr_t handle);
size_t lt_version(uintptr_t handle);

enum { LT_FLOAT32 = 0, LT_BFLOAT16 = 14 };

/* One product, in row-major terms: d[i] = op(a[i])·op(b[i]) (+ c[i]) (+ bias), where c is like d. All members are integers, so that
   plans can be compared as memory. */
typedef struct {
	int64_t m, n, k, lda, ldb, ldd, batch, stride_a, stride_b, stride_d;
	int32_t trans_a, trans_b, type_ab, type_d, has_bias;
	int32_t align_a, align_b, align_c, align_d, align_bias; /* filled in by lt_matmul, 0 for what is not there */
} lt_shape;

/* lt_matmul multiplies; c is 0 for none. It returns 0 if the product is under way, LT_REFUSED if the library has no algorithm for it,
   or a status. While a stream is captured the library must not be asked for algorithms: may_plan is 0 then, and for a shape that
   was never multiplied before LT_UNPLANNED is returned. */
enum { LT_REFUSED = -1, LT_UNPLANNED = -2 };
int lt_matmul(uintptr_t context, uintptr_t handle, uintptr_t stream, const lt_shape *shape, uint64_t a, uint64_t b, uint64_t c,
	uint64_t d, uint64_t bias, uint64_t workspace, size_t workspace_bytes, int may_plan);

#endif
