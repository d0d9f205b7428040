// A product of matrices in plain float32 arithmetic, for what cuBLASLt does not take: operands of different
// formats, addresses it refuses, sums of nothing.
#include "common.cuh"

constexpr int TILE = 64, DEPTH = 16, EACH = 4; // a block makes 64 × 64, a thread 4 × 4 of it

struct Gemm {
	Mem dst, x, y, add, bias;
	int64 m, n, k, lda, ldb, ldc, batch, stride_a, stride_b, stride_c;
	int trans_a, trans_b;
};

// dst = op(x)·op(y) (+ add) (+ bias). The tiles in shared memory have the inner index first.
KERNEL(gemm, THREADS, Gemm) {
	__shared__ float sx[DEPTH][TILE + 4], sy[DEPTH][TILE + 4];
	int64 tiles_m = (a.m + TILE - 1) / TILE, tiles_n = (a.n + TILE - 1) / TILE;
	int64 t = blockIdx.x, tile_n = t % tiles_n;
	t /= tiles_n;
	int64 row0 = (t % tiles_m) * TILE, col0 = tile_n * TILE, b = t / tiles_m;
	int tx = threadIdx.x % (TILE / EACH), ty = threadIdx.x / (TILE / EACH);
	float sum[EACH][EACH] = {};
	for (int64 k0 = 0; k0 < a.k; k0 += DEPTH) {
		for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
			// Neighbouring threads take neighbours in memory.
			int i = a.trans_a ? e % TILE : e / DEPTH, k = a.trans_a ? e / TILE : e % DEPTH;
			int64 r = row0 + i, c = k0 + k;
			sx[k][i] = r < a.m && c < a.k ? get(a.x, b * a.stride_a + (a.trans_a ? c * a.lda + r : r * a.lda + c)) : 0;
			i = a.trans_b ? e / DEPTH : e % TILE, k = a.trans_b ? e % DEPTH : e / TILE;
			r = k0 + k, c = col0 + i;
			sy[k][i] = r < a.k && c < a.n ? get(a.y, b * a.stride_b + (a.trans_b ? c * a.ldb + r : r * a.ldb + c)) : 0;
		}
		__syncthreads();
#pragma unroll
		for (int k = 0; k < DEPTH; k++) {
			float x[EACH], y[EACH];
#pragma unroll
			for (int e = 0; e < EACH; e++) x[e] = sx[k][ty * EACH + e], y[e] = sy[k][tx * EACH + e];
#pragma unroll
			for (int i = 0; i < EACH; i++)
#pragma unroll
				for (int j = 0; j < EACH; j++) sum[i][j] += x[i] * y[j];
		}
		__syncthreads();
	}
#pragma unroll
	for (int i = 0; i < EACH; i++)
#pragma unroll
		for (int j = 0; j < EACH; j++) {
			int64 r = row0 + ty * EACH + i, c = col0 + tx * EACH + j, at = b * a.stride_c + r * a.ldc + c;
			if (r >= a.m || c >= a.n) continue;
			float v = sum[i][j];
			if (a.add.n) v += get(a.add, at);
			if (a.bias.n) v += get(a.bias, c);
			set(a.dst, at, v);
		}
}
