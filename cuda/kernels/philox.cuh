// Philox4x32-10 of Salmon, Moraes, Dror and Shaw (SC 2011), as package tensor has it: word w of block n of
// a key, whose counter is (n low, n high, 0, 0).
#pragma once
#include "common.cuh"

struct Key { uint32_t lo, hi; };

__device__ inline void philox(uint32_t *w, Key k, uint64_t n) {
	uint32_t c0 = (uint32_t)n, c1 = (uint32_t)(n >> 32), c2 = 0, c3 = 0, k0 = k.lo, k1 = k.hi;
#pragma unroll
	for (int round = 0; round < 10; round++) {
		uint32_t h0 = __umulhi(0xd2511f53u, c0), l0 = 0xd2511f53u * c0;
		uint32_t h1 = __umulhi(0xcd9e8d57u, c2), l1 = 0xcd9e8d57u * c2;
		c0 = h1 ^ c1 ^ k0, c1 = l1, c2 = h0 ^ c3 ^ k1, c3 = l0;
		k0 += 0x9e3779b9u, k1 += 0xbb67ae85u;
	}
	w[0] = c0, w[1] = c1, w[2] = c2, w[3] = c3;
}

// uniforms are the N numbers in [0, 1) from the i-th on, i a multiple of 4.
template <int N> __device__ inline void uniforms(float *u, Key k, int64 i) {
	uint32_t w[N];
#pragma unroll
	for (int j = 0; j < N; j += 4) philox(w + j, k, (i + j) / 4);
#pragma unroll
	for (int j = 0; j < N; j++) u[j] = (w[j] >> 8) * 0x1p-24f;
}
