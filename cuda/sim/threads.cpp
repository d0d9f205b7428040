// Blocks of threads on the CPU. A thread runs until it comes to a barrier or to what its warp does together; then the next
// one of its warp runs, and when none can go on, the next warp. So a value that is read without waiting for the thread
// that writes it is read too early in some order of the threads; there are three orders to run in. Shared memory is NaN before each block, as the last block's would often
// hold what a missing barrier spoils.
#include "threads.h"
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ucontext.h>
#include <vector>

Dim threadIdx, blockIdx, blockDim, gridDim;

static Entry *entries;

Entry::Entry(const char *name, unsigned threads, size_t bytes, void (*run)(const void *)) : name(name), threads(threads), bytes(bytes), run(run), next(entries) {
	entries = this;
}

const Entry *find_entry(const char *name) {
	for (const Entry *e = entries; e; e = e->next)
		if (strcmp(e->name, name) == 0) return e;
	return nullptr;
}

enum State { READY, AT_BLOCK, AT_WARP, DONE };

// What a warp does together.
enum Together { BARRIER, EXCHANGE, LOAD, MULTIPLY };

// Gift is what a thread gives to its warp in an operation that the warp does together.
struct Gift { uint32_t w[6]; };

struct Fiber {
	jmp_buf here;
	ucontext_t start; // used once: from then on fibers are switched without asking the system
	bool started = false;
	State state = DONE;
	Together waits = BARRIER; // where it is AT_WARP
	Gift given[2];
	unsigned turn = 0;                                  // which of the two is next
	std::vector<std::pair<char *, const void *>> copies; // of 16 bytes, that have begun
};

static constexpr unsigned MOST = 1024, WARP = 32, STACK = 1 << 16;
static Fiber *fibers; // those of the block
static jmp_buf scheduler;
static unsigned current;
static const Entry *kernel;
static const void *arguments;
static const char *left_out; // "file:line" of a barrier

static void wait_as(State s) {
	Fiber &f = fibers[current];
	f.state = s;
	if (!_setjmp(f.here)) _longjmp(scheduler, 1);
}

static void body() {
	for (;;) {
		kernel->run(arguments);
		wait_as(DONE);
	}
}

static void resume(unsigned t) {
	Fiber &f = fibers[t];
	current = t;
	threadIdx = {t, 0, 0};
	if (_setjmp(scheduler)) return;
	if (f.started) _longjmp(f.here, 1);
	f.started = true;
	getcontext(&f.start);
	f.start.uc_stack.ss_sp = malloc(STACK);
	f.start.uc_stack.ss_size = STACK;
	f.start.uc_link = nullptr;
	makecontext(&f.start, body, 0);
	setcontext(&f.start);
}

static void wait_unless_left_out(State s, const char *file, int line) {
	if (left_out) {
		const char *slash = strrchr(file, '/');
		char site[256];
		snprintf(site, sizeof site, "%s:%d", slash ? slash + 1 : file, line);
		if (strcmp(site, left_out) == 0) return;
	}
	wait_as(s);
}

void block_barrier(const char *file, int line) { wait_unless_left_out(AT_BLOCK, file, line); }
void warp_barrier(const char *file, int line) {
	fibers[current].waits = BARRIER;
	wait_unless_left_out(AT_WARP, file, line);
}

// give waits until the whole warp has given and returns what it gave, by threads. It may be read until this
// thread gives again: nobody can give twice more before everyone has given once more.
struct Given {
	const Fiber *warp;
	unsigned turn;
	const uint32_t *operator[](unsigned t) const { return warp[t].given[turn].w; }
};

static Given give(Together what, const Gift &g) {
	Fiber &f = fibers[current];
	f.waits = what;
	unsigned turn = f.turn;
	f.turn = 1 - turn;
	f.given[turn] = g;
	wait_as(AT_WARP);
	return {fibers + current / WARP * WARP, turn};
}

uint32_t exchange(uint32_t v, int mask) { return give(EXCHANGE, {{v}})[(current ^ mask) % WARP][0]; }

// A copy is made as late as it may be: when the thread waits for it.
void thread_copy(char *dst, const void *src) { fibers[current].copies.push_back({dst, src}); }

void thread_copies() {
	for (auto &c : fibers[current].copies) memcpy(c.first, c.second, 16);
	fibers[current].copies.clear();
}

// Each thread reads its row before it waits, so that a row is read too early if its writers were not waited for.
void warp_load(uint32_t *r, const void *row, bool transposed) {
	Gift g;
	memcpy(g.w, row, 16);
	Given rows = give(LOAD, g);
	unsigned lane = current % WARP;
	for (unsigned m = 0; m < 4; m++) {
		if (!transposed) {
			r[m] = rows[8 * m + lane / 4][lane % 4];
			continue;
		}
		unsigned column = lane / 4, low = 8 * m + lane % 4 * 2;
		auto element = [&](unsigned row) { return rows[row][column / 2] >> column % 2 * 16 & 0xffff; };
		r[m] = element(low) | element(low + 1) << 16;
	}
}

// A thread's part of a row of 16 bfloat16 numbers is in two words: columns 2t, 2t+1 and 2t+8, 2t+9.
static void widen(double *v, const Given &given, unsigned first, unsigned low, unsigned high) {
	for (unsigned t = 0; t < 4; t++) {
		uint32_t w[2] = {given[first + t][low], given[first + t][high]};
		for (unsigned h = 0; h < 2; h++) {
			v[8 * h + 2 * t] = __uint_as_float(w[h] << 16);
			v[8 * h + 2 * t + 1] = __uint_as_float(w[h] & 0xffff0000u);
		}
	}
}

static float toward_zero(double v) {
	float f = (float)v;
	return fabs((double)f) > fabs(v) ? nextafterf(f, 0) : f;
}

// Tensor cores add eight products and the sum so far at a time, and cut off what does not fit (Fasi et al. 2021).
void warp_mma(float *c, const uint32_t *a, uint32_t b0, uint32_t b1) {
	Given given = give(MULTIPLY, {{a[0], a[1], a[2], a[3], b0, b1}});
	unsigned lane = current % WARP;
	double rows[2][16], columns[2][16];
	for (unsigned h = 0; h < 2; h++) {
		widen(rows[h], given, lane / 4 * 4, h, h + 2);
		widen(columns[h], given, (lane % 4 * 2 + h) * 4, 4, 5);
	}
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 16; k += 8) {
			double sum = c[i];
			for (unsigned e = k; e < k + 8; e++) sum += rows[i / 2][e] * columns[i % 2][e];
			c[i] = toward_zero(sum);
		}
}

// release lets those go on who wait for a group that is complete. Threads that have ended count as arrived at a barrier of the
// block; what a warp does together takes all of its threads, and one that has ended, or does something else, leaves the others
// waiting.
static bool release(unsigned from, unsigned to, State s) {
	bool any = false, ended = false;
	for (unsigned t = from; t < to; t++) {
		if (s == AT_WARP && fibers[t].waits != fibers[from].waits) return false;
		if (fibers[t].state != s && fibers[t].state != DONE) return false;
		any |= fibers[t].state == s, ended |= fibers[t].state == DONE;
	}
	if (s == AT_WARP && ended) return false;
	for (unsigned t = from; any && t < to; t++)
		if (fibers[t].state == s) fibers[t].state = READY;
	return any;
}

// In an ELF file the linker marks where a section begins and ends.
extern char __start_block_shared[] __attribute__((visibility("hidden")));
extern char __stop_block_shared[] __attribute__((visibility("hidden")));

static std::vector<char> dynamic; // shared memory and, behind it, an edge that must stay as it is
static constexpr size_t EDGE = 256;

char *dynamic_shared() { return (char *)(((uintptr_t)dynamic.data() + 127) / 128 * 128); }

// run_block runs each warp as far as it comes alone: so it is ahead of others, or behind them, by as much as barriers of
// the block allow.
static bool run_block(const std::vector<std::vector<unsigned>> &warps) {
	memset(__start_block_shared, 0xff, __stop_block_shared - __start_block_shared);
	memset(dynamic.data(), 0xff, dynamic.size());
	for (auto &warp : warps)
		for (unsigned t : warp) fibers[t].state = READY, fibers[t].turn = 0, fibers[t].copies.clear();
	for (;;) {
		unsigned all = 0, done = 0;
		for (auto &warp : warps) {
			unsigned first = warp[0] / WARP * WARP;
			do {
				for (unsigned t : warp)
					if (fibers[t].state == READY) resume(t);
			} while (release(first, first + warp.size(), AT_WARP));
			for (unsigned t : warp) done += fibers[t].state == DONE;
			all += warp.size();
		}
		if (done == all) return true;
		if (!release(0, all, AT_BLOCK)) return false;
	}
}

// order_of numbers n things from first on: forward, backward, or shuffled, always in the same way.
static std::vector<unsigned> order_of(unsigned first, unsigned n, int order) {
	std::vector<unsigned> v(n);
	uint32_t r = 12345;
	for (unsigned i = 0; i < n; i++) v[i] = first + (order == 1 ? n - 1 - i : i);
	for (unsigned i = n; order == 2 && i > 1; i--) {
		r = r * 1664525u + 1013904223u;
		std::swap(v[i - 1], v[(r >> 8) % i]);
	}
	return v;
}

bool run_kernel(const Entry *e, unsigned blocks, unsigned threads, unsigned shared, const void *args) {
	const char *o = getenv("FEWSHOT_SIM_ORDER");
	int order = o ? atoi(o) : 0;
	left_out = getenv("FEWSHOT_SIM_SKIP");
	if (!fibers) fibers = new Fiber[MOST];
	if (threads > MOST) return false;
	kernel = e, arguments = args;
	dynamic.resize(127 + shared + EDGE);
	gridDim = {blocks, 1, 1}, blockDim = {threads, 1, 1};
	std::vector<std::vector<unsigned>> warps;
	for (unsigned w : order_of(0, (threads + WARP - 1) / WARP, order)) warps.push_back(order_of(w * WARP, std::min(WARP, threads - w * WARP), order));
	for (unsigned b = 0; b < blocks; b++) {
		blockIdx = {order == 1 ? blocks - 1 - b : b, 0, 0};
		if (!run_block(warps)) {
			fprintf(stderr, "%s: some threads of block %u wait at a barrier that others do not come to\n", e->name, blockIdx.x);
			for (unsigned t = 0; t < threads; t++) fibers[t].started = false; // their stacks are lost
			return false;
		}
		for (size_t i = 0; i < EDGE; i++)
			if (dynamic_shared()[shared + i] != (char)0xff) {
				fprintf(stderr, "%s: block %u writes behind its %u bytes of dynamic shared memory\n", e->name, blockIdx.x, shared);
				return false;
			}
	}
	return true;
}
