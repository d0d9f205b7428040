// A libcuda.so.1 whose device is the CPU, with the kernels compiled in: a module's PTX is not looked at, but its
// kernels' names are found here. The backend's own code for the driver runs on it unchanged, so that it, too,
// is tested where there is no GPU.
//
// Work is queued, and is done as late as the driver may: when someone waits. So memory that is changed or read
// while a copy is still queued gives wrong results here, and errors of kernels turn up late.
//
// The environment steers it while it runs:
//	FEWSHOT_SIM_ORDER   0, 1, 2: threads run forward, backward, shuffled
//	FEWSHOT_SIM_SKIP    "file.cu:line" of a barrier to leave out
//	FEWSHOT_SIM_FAIL    the kernel of this name is found to access an illegal address
//	FEWSHOT_SIM_REFUSE  launches of the kernel of this name cannot be captured; cublasLtMatmul: it takes no product
//	FEWSHOT_SIM_MEMORY  bytes of the device
//	FEWSHOT_SIM_SHARED  bytes of shared memory that a block may ask for
//	FEWSHOT_SIM_LOG     a file that the name of each call is added to, a line each
#include "threads.h"
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719,
	ILLEGAL_STATE = 401, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURED_EVENT = 907, CAPTURE_WRONG_THREAD = 908 };

typedef std::function<void()> Work;

static std::deque<Work> queue;
static uint64_t queued, finished; // how many were
static int failure; // of a kernel; it stays
static thread_local void *context;
static char device_memory; // its address stands for handles

// What is queued while a capture is on becomes its work. It is broken by the first call that cannot be captured.
static struct {
	bool on, broken;
	std::thread::id thread;
	std::vector<Work> work;
} capture;

static void enqueue(Work w) {
	if (capture.on) {
		capture.work.push_back(w);
		return;
	}
	queue.push_back(w);
	queued++;
}

static void work_until(uint64_t mark) {
	while (finished < mark && !queue.empty()) {
		Work w = queue.front();
		queue.pop_front();
		finished++;
		if (!failure) w();
	}
}

static void note(const char *call) {
	const char *name = getenv("FEWSHOT_SIM_LOG");
	FILE *log = name && *name ? fopen(name, "a") : nullptr;
	if (!log) return;
	fprintf(log, "%s\n", call);
	fclose(log);
}

#define API extern "C" __attribute__((visibility("default"))) int

// READY refuses calls where no context is current on this thread.
#define READY \
	note(__func__); \
	if (!context) return INVALID_CONTEXT; \
	if (failure) return failure

// UNSAFE is READY for calls that wait, allocate or load, which end a capture.
#define UNSAFE \
	READY; \
	if (capture.on) return capture.broken = true, CAPTURE_UNSUPPORTED

// QUEUES_ON is READY for calls that queue work, which are refused once a capture is broken. What goes to the legacy stream
// is refused always: it would wait for others' work, and break a capture.
#define QUEUES_ON(stream) \
	READY; \
	if (stream != &device_memory) return capture.broken = true, INVALID_HANDLE; \
	if (capture.on && capture.broken) return CAPTURE_INVALIDATED

// For the library of products beside this one.
extern "C" __attribute__((visibility("default"))) void sim_queue(Work *w) { enqueue(*w); }
extern "C" __attribute__((visibility("default"))) int sim_capturing() { return capture.on; }

API cuInit(unsigned) { return OK; }
API cuDriverGetVersion(int *v) { return *v = 13000, OK; }
API cuDeviceGetCount(int *n) { return *n = 1, OK; }
API cuDeviceGet(int *d, int i) { return *d = i, i == 0 ? OK : INVALID_DEVICE; }
API cuDeviceGetName(char *name, int n, int) { return strncpy(name, "simulated", n), OK; }
static size_t setting(const char *name, size_t otherwise) {
	const char *v = getenv(name);
	return v ? strtoull(v, nullptr, 10) : otherwise;
}

static size_t memory() { return setting("FEWSHOT_SIM_MEMORY", (size_t)4 << 30); }

// As a Hopper has it. Above the first limit a function must have asked.
static constexpr unsigned SHARED_UNASKED = 48 << 10;
static size_t shared_memory() { return setting("FEWSHOT_SIM_SHARED", 227 << 10); }
static std::map<void *, int> shared_asked;

API cuDeviceGetAttribute(int *v, int a, int) { return *v = a == 75 ? 8 : a == 76 ? 0 : a == 16 ? 2 : a == 97 ? (int)shared_memory() : 0, OK; }
API cuDeviceTotalMem_v2(size_t *n, int) { return *n = memory(), OK; }

API cuGetErrorName(int e, const char **s) {
	static const std::map<int, const char *> names = {{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"}, {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
		{INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"}, {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"}, {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
		{LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"}, {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
		{CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}};
	auto at = names.find(e);
	return *s = at == names.end() ? "CUDA_ERROR" : at->second, OK;
}
API cuGetErrorString(int, const char **s) { return *s = "as the simulated device has it", OK; }

API cuCtxSetCurrent(void *c) { return context = c, OK; }

API cuStreamCreate(void **s, unsigned flags) {
	READY;
	return *s = &device_memory, flags == 1 ? OK : INVALID_VALUE;
}
API cuStreamDestroy_v2(void *) { return work_until(queued), OK; }
API cuStreamSynchronize(void *) {
	UNSAFE;
	work_until(queued);
	return failure;
}

// Memory. Each block has an edge behind it that must still be there when it is given back. Blocks that were given back
// are kept for a while, to see whether someone still writes to them.
static constexpr size_t EDGE = 256, MOST_FREED = (size_t)64 << 20;
static constexpr unsigned char SEAL = 0x5a;
static std::map<uint64_t, size_t> blocks;
static std::deque<std::pair<uint64_t, size_t>> freed;
static size_t held, held_freed;

static bool sealed(uint64_t p, size_t n) { return *(unsigned char *)p == SEAL && !memcmp((void *)p, (void *)(p + 1), n - 1); }

// forget lets go of what was given back first, until there is no more than so many bytes of it.
static bool forget(size_t most) {
	bool good = true;
	for (; held_freed > most; freed.pop_front()) {
		auto [p, n] = freed.front();
		good &= sealed(p, n);
		held_freed -= n;
		free((void *)p);
	}
	return good;
}

API cuMemAlloc_v2(uint64_t *p, size_t n) {
	UNSAFE;
	if (n == 0) return INVALID_VALUE;
	if (held + n > memory()) return OUT_OF_MEMORY;
	void *m = aligned_alloc(256, (n + EDGE + 255) / 256 * 256);
	if (!m) return OUT_OF_MEMORY;
	memset(m, 0xff, n);
	memset((char *)m + n, SEAL, EDGE);
	blocks[*p = (uint64_t)m] = n;
	held += n;
	return OK;
}
API cuMemFree_v2(uint64_t p) {
	UNSAFE;
	work_until(queued);
	auto b = blocks.find(p);
	if (b == blocks.end()) return INVALID_VALUE;
	size_t n = b->second;
	if (!sealed(p + n, EDGE)) return failure = ILLEGAL_ADDRESS;
	held -= n;
	blocks.erase(b);
	memset((void *)p, SEAL, n);
	freed.push_back({p, n});
	held_freed += n;
	return forget(MOST_FREED) ? OK : failure = ILLEGAL_ADDRESS;
}
// When the last user gives the context back, its memory goes, and its failure.
static int users;

API cuDevicePrimaryCtxRetain(void **c, int) { return users++, *c = &device_memory, OK; }
API cuDevicePrimaryCtxRelease_v2(int) {
	work_until(queued);
	if (--users > 0) return OK;
	bool good = forget(0) || failure;
	for (auto &b : blocks) free((void *)b.first);
	blocks.clear();
	held = 0, failure = OK;
	return good ? OK : ILLEGAL_ADDRESS;
}

API cuMemGetInfo_v2(size_t *available, size_t *total) {
	READY;
	return *total = memory(), *available = *total - held, OK;
}

// Copies are queued from and to page-locked memory alone: with other memory the driver would make them at once, and wait.
static std::map<uint64_t, size_t> locked;

API cuMemAllocHost_v2(void **p, size_t n) {
	UNSAFE;
	if (!(*p = malloc(n))) return OUT_OF_MEMORY;
	return locked[(uint64_t)*p] = n, OK;
}
API cuMemFreeHost(void *p) {
	UNSAFE;
	if (!locked.erase((uint64_t)p)) return INVALID_VALUE;
	return work_until(queued), free(p), OK;
}

// inside reports whether n bytes from p on belong to one of the blocks.
static bool inside(const std::map<uint64_t, size_t> &blocks, uint64_t p, size_t n) {
	auto b = blocks.upper_bound(p);
	if (b == blocks.begin()) return false;
	--b;
	return p + n <= b->first + b->second;
}

API cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t n, void *stream) {
	QUEUES_ON(stream);
	if (!inside(blocks, dst, n) || !inside(locked, (uint64_t)src, n)) return INVALID_VALUE;
	return enqueue([=] { memcpy((void *)dst, src, n); }), OK;
}
API cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t n, void *stream) {
	QUEUES_ON(stream);
	if (!inside(blocks, src, n) || !inside(locked, (uint64_t)dst, n)) return INVALID_VALUE;
	return enqueue([=] { memcpy(dst, (const void *)src, n); }), OK;
}

API cuModuleLoadDataEx(void **m, const void *, unsigned, int *, void **) {
	UNSAFE;
	return *m = &device_memory, OK;
}
API cuModuleUnload(void *) { return OK; }
API cuModuleGetFunction(void **f, void *, const char *name) {
	READY;
	return *f = (void *)find_entry(name), *f ? OK : NOT_FOUND;
}
API cuFuncGetAttribute(int *v, int, void *) { return *v = 0, OK; }
API cuFuncSetAttribute(void *f, int a, int v) {
	READY;
	if (a != 8 || v < 0 || (size_t)v > shared_memory()) return INVALID_VALUE;
	return shared_asked[f] = v, OK;
}

API cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra) {
	QUEUES_ON(stream);
	const Entry *e = (const Entry *)f;
	if (params || !extra || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4]) return INVALID_VALUE;
	size_t n = *(size_t *)extra[3];
	if (n != e->bytes || gx == 0 || gx > 0x7fffffff || gy != 1 || gz != 1 || bx == 0 || bx > e->threads || by != 1 || bz != 1) return INVALID_VALUE;
	auto asked = shared_asked.find(f);
	if (shared > SHARED_UNASKED && (asked == shared_asked.end() || shared > (unsigned)asked->second)) return INVALID_VALUE;
	const char *refused = getenv("FEWSHOT_SIM_REFUSE");
	if (capture.on && refused && strcmp(refused, e->name) == 0) return capture.broken = true, CAPTURE_UNSUPPORTED;
	std::string args((const char *)extra[1], n);
	enqueue([=] {
		const char *bad = getenv("FEWSHOT_SIM_FAIL");
		if (bad && strcmp(bad, e->name) == 0) {
			failure = ILLEGAL_ADDRESS;
			return;
		}
		std::vector<uint64_t> aligned((n + 7) / 8);
		memcpy(aligned.data(), args.data(), n);
		if (!run_kernel(e, gx, bx, shared, aligned.data())) failure = LAUNCH_FAILED;
	});
	return OK;
}

struct Mark {
	uint64_t at;
	bool captured; // it is part of a graph, and marks nothing outside of it
};

API cuEventCreate(void **e, unsigned) {
	READY;
	return *e = new Mark{0, false}, OK;
}
API cuEventRecord(void *e, void *stream) {
	QUEUES_ON(stream);
	return *(Mark *)e = {queued, capture.on}, OK;
}
API cuEventSynchronize(void *e) {
	UNSAFE;
	if (((Mark *)e)->captured) return CAPTURED_EVENT;
	work_until(((Mark *)e)->at);
	return failure;
}
API cuEventElapsedTime(float *ms, void *from, void *to) { return *ms = (float)(((Mark *)to)->at - ((Mark *)from)->at), OK; }
API cuEventDestroy_v2(void *e) { return delete (Mark *)e, OK; }

API cuStreamBeginCapture_v2(void *stream, int mode) {
	READY;
	if (stream != &device_memory) return INVALID_HANDLE;
	if (capture.on) return ILLEGAL_STATE;
	if (mode != 1) return INVALID_VALUE;
	capture = {true, false, std::this_thread::get_id(), {}};
	return OK;
}
API cuStreamEndCapture(void *, void **g) {
	READY;
	*g = nullptr;
	if (!capture.on) return ILLEGAL_STATE;
	if (capture.thread != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
	capture.on = false;
	if (capture.broken) return CAPTURE_INVALIDATED;
	return *g = new std::vector<Work>(std::move(capture.work)), OK;
}
API cuGraphInstantiateWithFlags(void **exec, void *g, unsigned long long) {
	UNSAFE;
	return *exec = new std::vector<Work>(*(std::vector<Work> *)g), OK;
}
API cuGraphDestroy(void *g) { return delete (std::vector<Work> *)g, OK; }
API cuGraphLaunch(void *exec, void *stream) {
	UNSAFE;
	if (stream != &device_memory) return INVALID_HANDLE;
	for (const Work &w : *(std::vector<Work> *)exec) enqueue(w);
	return OK;
}
API cuGraphExecDestroy(void *exec) {
	note(__func__);
	return delete (std::vector<Work> *)exec, OK;
}
