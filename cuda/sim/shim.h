// What stands in for CUDA C++ when a C++ compiler takes the kernels. The threads of a block are fibers of one
// thread: each runs until it waits, for its block or for its warp, or ends. See threads.cpp.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define __device__
#define __align__(n) alignas(n)

// Shared memory lies in a section of its own, so that it can be spoilt before each block.
#define __shared__ static __attribute__((section("block_shared")))

struct Dim {
	unsigned x, y, z;
};
extern Dim threadIdx, blockIdx, blockDim, gridDim;

// Entry makes a kernel known by its name.
struct Entry {
	const char *name;
	unsigned threads;
	size_t bytes;
	void (*run)(const void *args);
	Entry *next;
	Entry(const char *name, unsigned threads, size_t bytes, void (*run)(const void *));
};

#define KERNEL(name, threads, args)                                                                                                   \
	static void name(const args &a);                                                                                                  \
	static Entry entry_##name(#name, threads, sizeof(args), [](const void *p) { name(*static_cast<const args *>(p)); });              \
	static void name(const args &a)

// A barrier knows where it stands, so that a test can leave it out.
void block_barrier(const char *file, int line);
void warp_barrier(const char *file, int line);
#define __syncthreads() block_barrier(__FILE__, __LINE__)
#define __syncwarp() warp_barrier(__FILE__, __LINE__)

// A block's dynamic shared memory is of the size that the launch asked for.
char *dynamic_shared();
#define DYNAMIC_SHARED(name) char *const name = dynamic_shared()

// exchange gives v to the warp and takes what the thread that differs in the bits of mask gives.
uint32_t exchange(uint32_t v, int mask);

// What mma.cuh describes: copies that a thread begins and waits for, and what a warp does together on tensor cores.
void thread_copy(char *dst, const void *src);
void thread_copies();
void warp_load(uint32_t *r, const void *row, bool transposed);
void warp_mma(float *c, const uint32_t *a, uint32_t b0, uint32_t b1);

template <class T> T __shfl_xor_sync(unsigned, T v, int mask) {
	static_assert(sizeof(T) == 4, "shuffles move 4 bytes");
	uint32_t u;
	memcpy(&u, &v, 4);
	u = exchange(u, mask);
	memcpy(&v, &u, 4);
	return v;
}

inline float __uint_as_float(uint32_t u) {
	float f;
	memcpy(&f, &u, 4);
	return f;
}

inline uint32_t __float_as_uint(float f) {
	uint32_t u;
	memcpy(&u, &f, 4);
	return u;
}

inline uint32_t __umulhi(uint32_t x, uint32_t y) { return (uint32_t)((uint64_t)x * y >> 32); }

inline void sincospi(double x, double *s, double *c) { sincos(M_PI * x, s, c); }
