// What all kernels share. The sources are freestanding: they include nothing but this file, so that the
// compiler needs no header of CUDA's, and that a C++ compiler can take them too: with CPU_SHIM defined
// the shim of cuda/sim stands in for the language's extensions.
//
// Every kernel takes one structure, passed by value. The Go side packs the same structure; a test compares
// the two sizes.
#pragma once

#ifdef CPU_SHIM
#include "shim.h"
#else
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#define KERNEL(name, threads, args) extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ args a)
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) char name[]
#endif

typedef long long int64;

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;
constexpr int THREADS = 256; // a block, in kernels that do not say otherwise
constexpr int PACK = 8;      // elements a thread takes at a time: 16 bytes of bfloat16, twice 16 of float32

// Mem is an operand: n elements of float32, or of bfloat16. Which it is, is known at run time only. Accesses
// are made 8 elements at a time, so that the test, which all threads decide alike, is made once for the 8;
// in return every kernel exists once, whatever the mix of formats.
struct Mem {
	char *p;
	int64 n;
	int bf16;
	int pad;
};

__device__ inline float widen(uint16_t b) { return __uint_as_float((uint32_t)b << 16); }

// narrow rounds to the nearest bfloat16, to even in a tie.
__device__ inline uint16_t narrow(float f) {
	uint32_t u = __float_as_uint(f);
	if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff; // NaN, which rounding could turn into an infinity
	return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

// narrow_pair is two numbers in a word, the first in its lower half: one instruction on the device.
__device__ inline uint32_t narrow_pair(float lo, float hi) {
#ifdef CPU_SHIM
	return narrow(lo) | (uint32_t)narrow(hi) << 16;
#else
	uint32_t w;
	asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(w) : "f"(hi), "f"(lo));
	return w;
#endif
}

// reciprocal is 1/x within one unit in the last place, and 0 where that is below the normal numbers.
__device__ inline float reciprocal(float x) {
#ifdef CPU_SHIM
	return 1 / x;
#else
	float y;
	asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
#endif
}

__device__ inline float get(const Mem &m, int64 i) {
	return m.bf16 ? widen(((const uint16_t *)m.p)[i]) : ((const float *)m.p)[i];
}

__device__ inline void set(const Mem &m, int64 i, float v) {
	if (m.bf16)
		((uint16_t *)m.p)[i] = narrow(v);
	else
		((float *)m.p)[i] = v;
}

// wrap is i mod n. Division of 64 bits is slow, and seldom needed.
__device__ inline int64 wrap(int64 i, int64 n) {
	if (i < n) return i;
	return (i >> 32) == 0 ? (int64)((uint32_t)i % (uint32_t)n) : i % n;
}

// Whole packs move as one of these: 16 bytes at a time where the address allows it.
template <int N> struct __align__(2 * N) Halves { uint32_t w[N / 2]; };
struct __align__(16) Quad { uint32_t w[4]; };

// place is where element i lies, if that is an address from which N elements may be moved whole, else null.
template <int N> __device__ inline char *place(const Mem &m, int64 i) {
	char *p = m.p + i * (m.bf16 ? 2 : 4);
	return ((uint64_t)p & (m.bf16 ? 2 * N - 1 : 15)) == 0 ? p : 0;
}

// Words are elements as they came from memory. A thread asks for all its operands before it looks at one, and so waits once.
template <int N> struct Words {
	uint32_t w[N];
	int bf16; // two elements in a word
};

// fetch asks for count <= N elements from element i on; zeros are after them. m may be a suffix operand: i counts
// on beyond its end, and its elements repeat.
template <int N = PACK> __device__ inline Words<N> fetch(const Mem &m, int64 i, int count) {
	Words<N> r;
	char *p;
	r.bf16 = m.bf16;
	i = wrap(i, m.n);
	if (count == N && i + N <= m.n && (p = place<N>(m, i))) {
		if (m.bf16) {
			Halves<N> h = *(const Halves<N> *)p;
#pragma unroll
			for (int k = 0; k < N / 2; k++) r.w[k] = h.w[k];
			return r;
		}
#pragma unroll
		for (int k = 0; k < N; k += 4) {
			Quad q = *(const Quad *)(p + 4 * k);
#pragma unroll
			for (int e = 0; e < 4; e++) r.w[k + e] = q.w[e];
		}
		return r;
	}
	r.bf16 = 0;
#pragma unroll
	for (int k = 0; k < N; k++) {
		r.w[k] = k < count ? __float_as_uint(get(m, i)) : 0;
		if (++i == m.n) i = 0;
	}
	return r;
}

template <int N> __device__ inline void unpack(float *v, const Words<N> &r) {
	if (r.bf16) {
#pragma unroll
		for (int k = 0; k < N / 2; k++) {
			v[2 * k] = __uint_as_float(r.w[k] << 16);
			v[2 * k + 1] = __uint_as_float(r.w[k] & 0xffff0000u);
		}
		return;
	}
#pragma unroll
	for (int k = 0; k < N; k++) v[k] = __uint_as_float(r.w[k]);
}

// load is fetch and unpack.
template <int N = PACK> __device__ inline void load(float *v, const Mem &m, int64 i, int count) { unpack(v, fetch<N>(m, i, count)); }

// store puts count <= N elements from element i on.
template <int N = PACK> __device__ inline void store(const Mem &m, int64 i, const float *v, int count) {
	char *p;
	if (count == N && (p = place<N>(m, i))) {
		if (m.bf16) {
			Halves<N> h;
#pragma unroll
			for (int k = 0; k < N / 2; k++) h.w[k] = narrow_pair(v[2 * k], v[2 * k + 1]);
			*(Halves<N> *)p = h;
			return;
		}
#pragma unroll
		for (int k = 0; k < N; k += 4) *(Quad *)(p + 4 * k) = {__float_as_uint(v[k]), __float_as_uint(v[k + 1]), __float_as_uint(v[k + 2]), __float_as_uint(v[k + 3])};
		return;
	}
#pragma unroll
	for (int k = 0; k < N; k++)
		if (k < count) set(m, i + k, v[k]);
}

// EACH_OF runs through the first n elements of a pack, in registers.
#define EACH_OF(n) _Pragma("unroll") for (int k = 0; k < PACK; k++) if (k < (n))

// first is the first element of this thread where each thread takes N, and taken how many are left for it
// of n: less than 1 if none.
template <int N = PACK> __device__ inline int64 first() { return ((int64)blockIdx.x * blockDim.x + threadIdx.x) * N; }
template <int N = PACK> __device__ inline int taken(int64 i, int64 n) { return n - i < N ? (int)(n - i) : N; }

// The sum and the maximum over a warp, the same in all its threads. Each step adds the same two numbers in
// both partners, so that the order is fixed.
__device__ inline float warp_sum(float v) {
#pragma unroll
	for (int m = WARP / 2; m > 0; m >>= 1) v += __shfl_xor_sync(ALL_LANES, v, m);
	return v;
}

// A NaN comes out if there is one: a comparison with it is false.
__device__ inline float larger(float x, float y) { return x > y || x != x ? x : y; }

__device__ inline float warp_max(float v) {
#pragma unroll
	for (int m = WARP / 2; m > 0; m >>= 1) v = larger(v, __shfl_xor_sync(ALL_LANES, v, m));
	return v;
}

// Where a warp has a row: its number, and the place of the thread in the warp.
__device__ inline int64 warp_row() { return ((int64)blockIdx.x * blockDim.x + threadIdx.x) / WARP; }
__device__ inline int lane() { return threadIdx.x % WARP; }

__device__ inline float infinity() { return __uint_as_float(0x7f800000u); }
