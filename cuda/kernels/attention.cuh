// What the two ways to compute attention share: where the heads' vectors lie.
#pragma once
#include "common.cuh"

struct Shape {
	int64 batch, len_q, len_kv, heads, size, cols_q, cols_kv, q, k, v;
	float scale;
	int causal;
};

// A Head is one head of one element of the batch. There are not more than blocks in a launch.
struct Head {
	int b, h, number;
};

__device__ inline Head head_of(const Shape &s, int64 number) { return {(int)(number / s.heads), (int)(number % s.heads), (int)number}; }

// The first element of a vector in tensors of the layouts of q, kv and the result.
__device__ inline int64 at_q(const Shape &s, Head t, int64 i) { return (t.b * s.len_q + i) * s.cols_q + s.q + t.h * s.size; }
__device__ inline int64 at_k(const Shape &s, Head t, int64 j) { return (t.b * s.len_kv + j) * s.cols_kv + s.k + t.h * s.size; }
__device__ inline int64 at_v(const Shape &s, Head t, int64 j) { return (t.b * s.len_kv + j) * s.cols_kv + s.v + t.h * s.size; }
__device__ inline int64 at_out(const Shape &s, Head t, int64 i) { return ((t.b * s.len_q + i) * s.heads + t.h) * s.size; }

// seen is how many keys query i sees.
__device__ inline int64 seen(const Shape &s, int64 i) { return s.causal && i + 1 < s.len_kv ? i + 1 : s.len_kv; }

__device__ inline int warp() { return threadIdx.x / WARP; }
