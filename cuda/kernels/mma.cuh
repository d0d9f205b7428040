// Products on tensor cores: a warp multiplies a 16×16 tile by a 16×8 tile of bfloat16 numbers and adds in float32.
//
// How tiles lie in a warp's registers is the instruction's: with g = lane()/4 and t = lane()%4, a thread has two
// neighbours of a row in a word, and of a 16×16 tile four words, one of each quarter. These are
//	left operand   (g, 2t)  (g+8, 2t)  (g, 2t+8)  (g+8, 2t+8)     row, first column
//	sum, 16×8      (g, 2t)  (g+8, 2t)                             two floats each
// and of a right operand two words, rows 2t and 2t+8 of column g. So two sums side by side, rounded, are the left
// operand of another product, with nothing moved.
#pragma once
#include "common.cuh"

constexpr int EDGE = 16; // of a tile

struct Tile { uint32_t w[4]; };

// Address is one of shared memory.
#ifdef CPU_SHIM
typedef uint64_t Address;
__device__ inline Address address(const void *p) { return (uint64_t)p; }
#else
typedef uint32_t Address;
__device__ inline Address address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }
#endif

// copy_later copies 16 bytes from the device's memory to shared memory, without waiting; for this thread they are there
// once it has called copies_done.
__device__ inline void copy_later(char *dst, const void *src) {
#ifdef CPU_SHIM
	thread_copy(dst, src);
#else
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(address(dst)), "l"(__cvta_generic_to_global(src)) : "memory");
#endif
}

__device__ inline void copies_done() {
#ifdef CPU_SHIM
	thread_copies();
#else
	asm volatile("cp.async.wait_all;" : : : "memory");
#endif
}

// load_quarters reads a tile whose quarters lie in shared memory as 8 rows of 16 bytes: threads 8i to 8i+7 give the
// addresses of the rows of quarter i. Transposed, a thread gets neighbours of a column, not of a row.
template <bool TRANSPOSED> __device__ inline Tile load_quarters(Address row) {
	Tile t;
#ifdef CPU_SHIM
	warp_load(t.w, (const void *)row, TRANSPOSED);
#else
	if (TRANSPOSED)
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(t.w[0]), "=r"(t.w[1]), "=r"(t.w[2]), "=r"(t.w[3]) : "r"(row) : "memory");
	else
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(t.w[0]), "=r"(t.w[1]), "=r"(t.w[2]), "=r"(t.w[3]) : "r"(row) : "memory");
#endif
	return t;
}

// multiply_add is sum += a·b, where b is 16×8 and given by its two words.
__device__ inline void multiply_add(float *sum, const Tile &a, uint32_t b0, uint32_t b1) {
#ifdef CPU_SHIM
	warp_mma(sum, a.w, b0, b1);
#else
	asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
		: "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
		: "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "r"(b0), "r"(b1));
#endif
}

// operand is a 16×16 tile in the format of a left operand, of the two sums that lie side by side in it.
__device__ inline Tile operand(const float *left, const float *right) {
	return {{narrow_pair(left[0], left[1]), narrow_pair(left[2], left[3]), narrow_pair(right[0], right[1]), narrow_pair(right[2], right[3])}};
}

// power_of_2 is exp2 within two units in the last place, and 0 below the normal numbers.
__device__ inline float power_of_2(float x) {
#ifdef CPU_SHIM
	return exp2f(x);
#else
	float y;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
#endif
}
