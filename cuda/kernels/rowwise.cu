// Kernels on rows: one warp a row. A thread takes every 32nd pack of the row. Rows are read once for each pass
// over them; the passes after the first find them in the cache, or, in layer norms forward, in registers.
#include "common.cuh"

// ROW_PACKS runs through this thread's packs of a row of the given width: c is the first column, n the count.
#define ROW_PACKS(width) for (int64 c = (int64)lane() * PACK, n; n = (width) - c, c < (width); c += WARP * PACK)

// few is the size of a pack of which n elements are left in the row
__device__ inline int few(int64 n) { return n < PACK ? (int)n : PACK; }

// A Row keeps this thread's first packs of a row: all of them, if it has at most 1024 elements. They are asked for together.
struct Row {
	static constexpr int HELD = 4;
	const Mem &m;
	int64 at, width; // first element of the row, and their number
	Words<PACK> held[HELD];

	__device__ inline Row(const Mem &m, int64 at, int64 width) : m(m), at(at), width(width) {
#pragma unroll
		for (int i = 0; i < HELD; i++)
			if (column(i) < width) held[i] = fetch(m, at + column(i), few(width - column(i)));
	}

	static __device__ inline int64 column(int i) { return (i * WARP + lane()) * PACK; }

	// each calls f(x, c, n) for every pack: its n elements and the first one's column.
	template <class F> __device__ inline void each(F f) const {
		float x[PACK];
#pragma unroll
		for (int i = 0; i < HELD; i++) {
			if (column(i) >= width) return;
			unpack(x, held[i]);
			f(x, column(i), few(width - column(i)));
		}
		for (int64 c = column(HELD); c < width; c += WARP * PACK) {
			load(x, m, at + c, few(width - c));
			f(x, c, few(width - c));
		}
	}
};

struct Softmax { Mem dst, x; int64 width; };

// softmax_row returns the logarithm of the denominator.
__device__ inline float softmax_row(const Mem &dst, const Mem &x, int64 at, int64 width) {
	float v[PACK], top = -infinity(), sum = 0;
	ROW_PACKS(width) {
		load(v, x, at + c, few(n));
		EACH_OF(n) top = larger(top, v[k]);
	}
	top = warp_max(top);
	ROW_PACKS(width) {
		load(v, x, at + c, few(n));
		EACH_OF(n) sum += expf(v[k] - top);
	}
	sum = warp_sum(sum);
	ROW_PACKS(width) {
		load(v, x, at + c, few(n));
#pragma unroll
		for (int k = 0; k < PACK; k++) v[k] = expf(v[k] - top) / sum;
		store(dst, at + c, v, few(n));
	}
	return top + logf(sum);
}

KERNEL(softmax, THREADS, Softmax) {
	int64 at = warp_row() * a.width;
	if (at < a.dst.n) softmax_row(a.dst, a.x, at, a.width);
}

struct SoftmaxGrad { Mem dst, ct, y; int64 width; };

// dst = y·(ct − Σ ct·y)
KERNEL(softmax_grad, THREADS, SoftmaxGrad) {
	int64 at = warp_row() * a.width;
	if (at >= a.dst.n) return;
	float ct[PACK], y[PACK], sum = 0;
	ROW_PACKS(a.width) {
		load(ct, a.ct, at + c, few(n));
		load(y, a.y, at + c, few(n));
		EACH_OF(n) sum += ct[k] * y[k];
	}
	sum = warp_sum(sum);
	ROW_PACKS(a.width) {
		load(ct, a.ct, at + c, few(n));
		load(y, a.y, at + c, few(n));
#pragma unroll
		for (int k = 0; k < PACK; k++) ct[k] = y[k] * (ct[k] - sum);
		store(a.dst, at + c, ct, few(n));
	}
}

struct LayerNorm { Mem dst, stats, x, w, b; int64 width; float eps; int pad; };

// The variance is taken about the mean in a second pass: Σx²−µ² would cancel.
KERNEL(layer_norm, THREADS, LayerNorm) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.dst.n) return;
	const Row r(a.x, at, a.width);
	float sum = 0;
	r.each([&](float *x, int64, int n) { EACH_OF(n) sum += x[k]; });
	float mean = warp_sum(sum) / a.width;
	sum = 0;
	r.each([&](float *x, int64, int n) { EACH_OF(n) sum += (x[k] - mean) * (x[k] - mean); });
	float rstd = 1 / sqrtf(warp_sum(sum) / a.width + a.eps);
	if (lane() == 0) {
		set(a.stats, 2 * row, mean);
		set(a.stats, 2 * row + 1, rstd);
	}
	r.each([&](float *x, int64 c, int n) {
		float w[PACK], b[PACK];
		Words<PACK> ww = fetch(a.w, c, n), wb = fetch(a.b, c, n);
		unpack(w, ww);
		unpack(b, wb);
#pragma unroll
		for (int k = 0; k < PACK; k++) x[k] = (x[k] - mean) * rstd * w[k] + b[k];
		store(a.dst, at + c, x, n);
	});
}

struct LayerNormGrad { Mem dst, ct, x, stats, w; int64 width; };

// dst = r·(g − mean(g) − h·mean(g·h)), g = ct·w, h = (x−µ)·r. A warp takes a row of x in all lanes.
KERNEL(layer_norm_grad, THREADS, LayerNormGrad) {
	int64 row = warp_row(), saved = row * a.width;
	if (saved >= a.x.n) return;
	float mean = get(a.stats, 2 * row), rstd = get(a.stats, 2 * row + 1);
	float g[PACK], h[PACK], w[PACK];
	for (int64 at = saved; at < a.dst.n; at += a.x.n) {
		auto take = [&](int64 c, int n) {
			Words<PACK> wg = fetch(a.ct, at + c, n), wx = fetch(a.x, saved + c, n), ww = fetch(a.w, c, n);
			unpack(g, wg);
			unpack(h, wx);
			unpack(w, ww);
#pragma unroll
			for (int k = 0; k < PACK; k++) g[k] *= w[k], h[k] = (h[k] - mean) * rstd;
		};
		float sum = 0, cross = 0;
		ROW_PACKS(a.width) {
			take(c, few(n));
			EACH_OF(n) sum += g[k], cross += g[k] * h[k];
		}
		sum = warp_sum(sum) / a.width;
		cross = warp_sum(cross) / a.width;
		ROW_PACKS(a.width) {
			take(c, few(n));
#pragma unroll
			for (int k = 0; k < PACK; k++) g[k] = rstd * (g[k] - sum - h[k] * cross);
			store(a.dst, at + c, g, few(n));
		}
	}
}

struct LayerNormParamGrad { Mem dw, db, ct, x, stats; int64 width, rows, chunk; };

constexpr int COLS = 32, SIDE = THREADS / COLS;

// Partial sums over chunk rows: dw and db are [lanes, chunks, width] in float32. A block takes 32 columns of
// one chunk of one lane; 8 threads share a column, and their sums are added in order.
KERNEL(layer_norm_param_grad, THREADS, LayerNormParamGrad) {
	__shared__ float part[2][SIDE][COLS + 1];
	int64 chunks = (a.rows + a.chunk - 1) / a.chunk, tiles = (a.width + COLS - 1) / COLS;
	int64 group = blockIdx.x / tiles, lane = group / chunks;
	int tx = threadIdx.x % COLS, ty = threadIdx.x / COLS;
	int64 col = (blockIdx.x % tiles) * COLS + tx, from = (group % chunks) * a.chunk;
	int64 to = from + a.chunk < a.rows ? from + a.chunk : a.rows;
	float dw = 0, db = 0;
	if (col < a.width) {
		for (int64 r = from + ty; r < to; r += SIDE) {
			float ct = get(a.ct, (lane * a.rows + r) * a.width + col);
			dw += ct * ((get(a.x, r * a.width + col) - get(a.stats, 2 * r)) * get(a.stats, 2 * r + 1));
			db += ct;
		}
	}
	part[0][ty][tx] = dw;
	part[1][ty][tx] = db;
	__syncthreads();
	if (ty < 2 && col < a.width) {
		float sum = 0;
#pragma unroll
		for (int k = 0; k < SIDE; k++) sum += part[ty][k][tx];
		set(ty == 0 ? a.dw : a.db, group * a.width + col, sum);
	}
}

struct L2Normalize { Mem dst, norm, x; int64 width; };

KERNEL(l2_normalize, THREADS, L2Normalize) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.dst.n) return;
	float x[PACK], sum = 0;
	ROW_PACKS(a.width) {
		load(x, a.x, at + c, few(n));
		EACH_OF(n) sum += x[k] * x[k];
	}
	float norm = sqrtf(warp_sum(sum));
	if (lane() == 0) set(a.norm, row, norm);
	ROW_PACKS(a.width) {
		load(x, a.x, at + c, few(n));
#pragma unroll
		for (int k = 0; k < PACK; k++) x[k] /= norm;
		store(a.dst, at + c, x, few(n));
	}
}

struct L2NormalizeGrad { Mem dst, ct, y, norm; int64 width; };

// dst = (ct − y·Σ ct·y)/norm
KERNEL(l2_normalize_grad, THREADS, L2NormalizeGrad) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.dst.n) return;
	float ct[PACK], y[PACK], sum = 0, norm = get(a.norm, wrap(row, a.norm.n));
	ROW_PACKS(a.width) {
		load(ct, a.ct, at + c, few(n));
		load(y, a.y, at + c, few(n));
		EACH_OF(n) sum += ct[k] * y[k];
	}
	sum = warp_sum(sum);
	ROW_PACKS(a.width) {
		load(ct, a.ct, at + c, few(n));
		load(y, a.y, at + c, few(n));
#pragma unroll
		for (int k = 0; k < PACK; k++) ct[k] = (ct[k] - y[k] * sum) / norm;
		store(a.dst, at + c, ct, few(n));
	}
}
