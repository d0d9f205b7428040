//go:build cuda

#include "shim.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef struct handle *H; /* any handle of the driver's */

/* F(name, parameters): the driver's functions, under the names it exports them by. */
#define FUNCTIONS(F) \
	F(cuDriverGetVersion, (int *)) \
	F(cuGetErrorName, (int, const char **)) \
	F(cuGetErrorString, (int, const char **)) \
	F(cuDevicePrimaryCtxRetain, (H *, int)) \
	F(cuDevicePrimaryCtxRelease_v2, (int)) \
	F(cuCtxSetCurrent, (H)) \
	F(cuStreamCreate, (H *, unsigned)) \
	F(cuStreamDestroy_v2, (H)) \
	F(cuStreamSynchronize, (H)) \
	F(cuModuleLoadDataEx, (H *, const void *, unsigned, int *, void **)) \
	F(cuModuleUnload, (H)) \
	F(cuModuleGetFunction, (H *, H, const char *)) \
	F(cuFuncGetAttribute, (int *, int, H)) \
	F(cuFuncSetAttribute, (H, int, int)) \
	F(cuLaunchKernel, (H, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, H, void **, void **)) \
	F(cuEventCreate, (H *, unsigned)) \
	F(cuEventRecord, (H, H)) \
	F(cuEventSynchronize, (H)) \
	F(cuEventElapsedTime, (float *, H, H)) \
	F(cuEventDestroy_v2, (H)) \
	F(cuStreamBeginCapture_v2, (H, int)) \
	F(cuStreamEndCapture, (H, H *)) \
	F(cuGraphInstantiateWithFlags, (H *, H, unsigned long long)) \
	F(cuGraphDestroy, (H)) \
	F(cuGraphLaunch, (H, H)) \
	F(cuGraphExecDestroy, (H))

#define MEMBER(name, parameters) int(*name) parameters;
static struct { FUNCTIONS(MEMBER) } cu;

int shim_load(char *why, size_t n) {
	static void *library;
	if (library) return 1;
	void *l = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
	if (!l) {
		snprintf(why, n, "%s", dlerror());
		return 0;
	}
#define LOOK_UP(name, parameters)                                      \
	if (!(cu.name = (int(*) parameters)dlsym(l, #name))) {             \
		snprintf(why, n, "libcuda.so.1 has no function " #name);      \
		return 0;                                                      \
	}
	FUNCTIONS(LOOK_UP)
	library = l;
	return 1;
}

const char *shim_error_name(int status) {
	const char *s = 0;
	return cu.cuGetErrorName && cu.cuGetErrorName(status, &s) == 0 && s ? s : "unknown error";
}

const char *shim_error_text(int status) {
	const char *s = 0;
	return cu.cuGetErrorString && cu.cuGetErrorString(status, &s) == 0 && s ? s : "no description";
}

int shim_driver_version(int *version) { return cu.cuDriverGetVersion(version); }

int shim_retain(int device, uintptr_t *context) { return cu.cuDevicePrimaryCtxRetain((H *)context, device); }
int shim_release(int device) { return cu.cuDevicePrimaryCtxRelease_v2(device); }
int shim_set_current(uintptr_t context) { return cu.cuCtxSetCurrent((H)context); }

/* IN makes the context current and then returns what the call returns. */
#define IN(call)                                     \
	do {                                             \
		int status_ = cu.cuCtxSetCurrent((H)context); \
		return status_ ? status_ : (call);           \
	} while (0)

enum { NON_BLOCKING = 1, DISABLE_TIMING = 2, BLOCKING_SYNC = 1, CAPTURE_THREAD_LOCAL = 1 };

int shim_stream(uintptr_t context, uintptr_t *stream) { IN(cu.cuStreamCreate((H *)stream, NON_BLOCKING)); }
int shim_stream_destroy(uintptr_t context, uintptr_t stream) { IN(cu.cuStreamDestroy_v2((H)stream)); }
int shim_stream_wait(uintptr_t context, uintptr_t stream) { IN(cu.cuStreamSynchronize((H)stream)); }

int shim_module(uintptr_t context, const char *ptx, uintptr_t *module, char *log, size_t n) {
	enum { ERROR_LOG_BUFFER = 5, ERROR_LOG_BUFFER_SIZE_BYTES = 6 };
	int options[] = {ERROR_LOG_BUFFER, ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)(n - 1)};
	memset(log, 0, n);
	IN(cu.cuModuleLoadDataEx((H *)module, ptx, 2, options, values));
}

int shim_module_unload(uintptr_t context, uintptr_t module) { IN(cu.cuModuleUnload((H)module)); }

int shim_function(uintptr_t context, uintptr_t module, const char *name, uintptr_t *function) {
	IN(cu.cuModuleGetFunction((H *)function, (H)module, name));
}

int shim_function_attribute(uintptr_t context, uintptr_t function, int attribute, int *value) {
	IN(cu.cuFuncGetAttribute(value, attribute, (H)function));
}

int shim_function_set(uintptr_t context, uintptr_t function, int attribute, int value) {
	IN(cu.cuFuncSetAttribute((H)function, attribute, value));
}

int shim_launch(uintptr_t context, uintptr_t stream, uintptr_t function, uint32_t blocks, uint32_t threads, uint32_t shared, const void *args, size_t n) {
	/* The driver's way to take all arguments as one buffer. */
	void *extra[] = {(void *)1, (void *)args, (void *)2, &n, (void *)0};
	IN(cu.cuLaunchKernel((H)function, blocks, 1, 1, threads, 1, 1, shared, (H)stream, 0, extra));
}

int shim_event(uintptr_t context, int timed, uintptr_t *event) {
	IN(cu.cuEventCreate((H *)event, timed ? 0 : DISABLE_TIMING | BLOCKING_SYNC));
}
int shim_event_record(uintptr_t context, uintptr_t stream, uintptr_t event) { IN(cu.cuEventRecord((H)event, (H)stream)); }
int shim_event_wait(uintptr_t context, uintptr_t event) { IN(cu.cuEventSynchronize((H)event)); }
int shim_event_elapsed(uintptr_t context, uintptr_t from, uintptr_t to, float *ms) { IN(cu.cuEventElapsedTime(ms, (H)from, (H)to)); }
int shim_event_destroy(uintptr_t context, uintptr_t event) { IN(cu.cuEventDestroy_v2((H)event)); }

int shim_capture(uintptr_t context, uintptr_t stream) { IN(cu.cuStreamBeginCapture_v2((H)stream, CAPTURE_THREAD_LOCAL)); }

void shim_capture_drop(uintptr_t context, uintptr_t stream) {
	H graph = 0;
	cu.cuCtxSetCurrent((H)context);
	cu.cuStreamEndCapture((H)stream, &graph);
	if (graph) cu.cuGraphDestroy(graph);
}

int shim_capture_end(uintptr_t context, uintptr_t stream, uintptr_t *exec) {
	H graph = 0;
	int status = cu.cuCtxSetCurrent((H)context);
	if (!status) status = cu.cuStreamEndCapture((H)stream, &graph);
	if (!status) status = cu.cuGraphInstantiateWithFlags((H *)exec, graph, 0);
	if (graph) cu.cuGraphDestroy(graph);
	return status;
}

int shim_graph_launch(uintptr_t context, uintptr_t stream, uintptr_t exec) { IN(cu.cuGraphLaunch((H)exec, (H)stream)); }
int shim_graph_destroy(uintptr_t context, uintptr_t exec) { IN(cu.cuGraphExecDestroy((H)exec)); }
