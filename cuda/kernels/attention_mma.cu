// Attention on tensor cores, for heads of 64 bfloat16 elements and sequences that fit in shared memory, whose bytes
// cuda/attention.go counts. A block has one head of one element of the batch; each of its warps takes 16 queries at a time, in
// the gradient 16 keys. Nothing is added up across blocks, and within one each output has one owner.
//
// Probabilities, and in the gradient dS, are rounded to bfloat16 before they are multiplied; sums are float32.
#include "attention.cuh"
#include "panel.cuh"

constexpr int TILE = 2 * EDGE * EDGE; // bytes
constexpr float LOG2E = 1.4426950408889634f;

// Of one head of one element of the batch, from element at on.
__device__ inline Panel queries(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_q(s, t, 0), s.cols_q, s.len_q); }
__device__ inline Panel keys(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_k(s, t, 0), s.cols_kv, s.len_kv); }
__device__ inline Panel values(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_v(s, t, 0), s.cols_kv, s.len_kv); }
__device__ inline Panel outputs(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_out(s, t, 0), s.heads * s.size, s.len_q); }

struct Lengths { int q, kv, causal; };

__device__ inline Lengths lengths(const Shape &s) { return {(int)s.len_q, (int)s.len_kv, s.causal}; }
__device__ inline int seen(const Lengths &n, int i) { return n.causal && i + 1 < n.kv ? i + 1 : n.kv; }

// Of the four threads that have a row.
__device__ inline float row_max(float v) {
	v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, 1));
	return fmaxf(v, __shfl_xor_sync(ALL_LANES, v, 2));
}

__device__ inline float row_sum(float v) {
	v += __shfl_xor_sync(ALL_LANES, v, 1);
	return v + __shfl_xor_sync(ALL_LANES, v, 2);
}

constexpr int STEP = 64; // keys at a time

// Keys and values are in shared memory. The softmax runs along with the keys: what was summed up with a lower maximum is
// scaled down. The maxima may skip a NaN, as the probabilities do not. Where there are few heads, several blocks split
// the queries of one.
struct Forward { Mem dst, lse, q, kv; Shape s; int64 split; };

KERNEL(attention_mma, 8 * WARP, Forward) {
	DYNAMIC_SHARED(memory);
	const Shape &s = a.s;
	const Head t = head_of(s, blockIdx.x / a.split);
	const int warps = blockDim.x / WARP, from = blockIdx.x % (int)a.split * warps + warp();
	const Lengths n = lengths(s);
	char *k = memory, *v = k + tiles(n.kv) * EDGE * ROW;
	fill(k, keys(a.kv, 0, s, t));
	fill(v, values(a.kv, 0, s, t));
	copies_done();
	__syncthreads();
	const float exponent = s.scale * LOG2E;
	for (int i0 = from * EDGE; i0 < n.q; i0 += warps * (int)a.split * EDGE) {
		Rows q = left(queries(a.q, 0, s, t), i0);
		Sums out = {};
		float top[2] = {-infinity(), -infinity()}, sum[2] = {};
		int row = i0 + lane() / 4, all = seen(n, i0), some = seen(n, i0 + EDGE - 1);
		for (int j0 = 0; j0 < some; j0 += STEP) {
			float p[STEP / 8][4];
#pragma unroll
			for (int c = 0; c < STEP; c += EDGE)
				if (j0 + c < some) times_transposed(p + c / 8, q, k, j0 + c);
			if (j0 + STEP > all) {
#pragma unroll
				for (int e = 0; e < STEP / 2; e++)
					if (j0 + e / 4 * 8 + lane() % 4 * 2 + e % 2 >= seen(n, row + e % 4 / 2 * 8)) p[e / 4][e % 4] = -infinity();
			}
#pragma unroll
			for (int h = 0; h < 2; h++) {
				float higher = top[h];
#pragma unroll
				for (int c = 0; c < STEP / 8; c++) higher = fmaxf(higher, fmaxf(p[c][2 * h], p[c][2 * h + 1]));
				higher = row_max(higher);
				float fade = power_of_2((top[h] - higher) * exponent);
				top[h] = higher;
				sum[h] *= fade;
#pragma unroll
				for (int c = 0; c < SIZE / 8; c++) out.v[c][2 * h] *= fade, out.v[c][2 * h + 1] *= fade;
#pragma unroll
				for (int c = 0; c < STEP / 8; c++)
#pragma unroll
					for (int e = 2 * h; e < 2 * h + 2; e++) {
						p[c][e] = power_of_2(p[c][e] * exponent - higher * exponent);
						sum[h] += p[c][e];
					}
			}
#pragma unroll
			for (int c = 0; c < STEP; c += EDGE)
				if (j0 + c < some) add_times(out.v, operand(p[c / 8], p[c / 8 + 1]), v, j0 + c);
		}
#pragma unroll
		for (int h = 0; h < 2; h++) {
			float total = row_sum(sum[h]), share = 1 / total;
			int i = row + 8 * h;
			if (lane() % 4 == 0 && i < n.q) set(a.lse, t.number * s.len_q + i, top[h] * s.scale + logf(total));
#pragma unroll
			for (int c = 0; c < SIZE / 8; c++) out.v[c][2 * h] *= share, out.v[c][2 * h + 1] *= share;
		}
		store(outputs(a.dst, 0, s, t), i0, out);
	}
}

struct Grad { Mem dq, dkv, ct, q, kv, out, lse; Shape s; int lanes, keep; };

// A tile of P or dS lies in shared memory by quarters, keys by queries.
__device__ inline void store_tile(char *x, const Tile &t) {
#pragma unroll
	for (int k = 0; k < 4; k++) ((uint32_t *)x)[k * WARP + lane()] = t.w[k];
}

// own_words are those that this thread has stored.
__device__ inline Tile own_words(const char *x) {
	Tile t;
#pragma unroll
	for (int k = 0; k < 4; k++) t.w[k] = ((const uint32_t *)x)[k * WARP + lane()];
	return t;
}

__device__ inline Tile load_transposed(const char *x) {
	Tile t = load_quarters<true>(address(x) + lane() * 16);
	return {{t.w[0], t.w[2], t.w[1], t.w[3]}};
}

// probabilities are those of 16 keys by 16 queries; base has the logarithms to base 2 of the queries' denominators.
__device__ inline Tile probabilities(const Lengths &n, const Rows &k, char *q, int j0, int i0, const float *base, float exponent) {
	float p[2][4];
	times_transposed(p, k, q, i0);
	bool whole = j0 + EDGE <= seen(n, i0) && i0 + EDGE <= n.q;
#pragma unroll
	for (int e = 0; e < 8; e++) {
		int i = i0 + e / 4 * 8 + lane() % 4 * 2 + e % 2, j = j0 + lane() / 4 + e % 4 / 2 * 8;
		float &x = p[e / 4][e % 4];
		x = whole || (i < n.q && j < seen(n, i)) ? power_of_2(x * exponent - base[i]) : 0;
	}
	return operand(p[0], p[1]);
}

// With P = exp(q·kᵀ·scale − lse) and dS = P⊙(ct·vᵀ − delta): dv = Pᵀ·ct, dk = dSᵀ·q·scale, dq = dS·k·scale. P is the same in
// all lanes: it is kept if there is room, and else, to the same bits, made again in each. dS must be complete before its
// sums over the keys are taken; then keys lie where ct was.
//
// Shared memory: q, then ct or k, dS, P if it is kept, and of each query the denominator and delta.
KERNEL(attention_grad_mma, 13 * WARP, Grad) {
	DYNAMIC_SHARED(memory);
	const Shape &s = a.s;
	const Head t = head_of(s, blockIdx.x);
	const Lengths n = lengths(s);
	const float exponent = s.scale * LOG2E;
	const int across = tiles(n.q), down = tiles(n.kv), warps = blockDim.x / WARP;
	char *q = memory, *x = q + across * EDGE * ROW, *ds = x + (across > down ? across : down) * EDGE * ROW;
	char *p = a.keep ? ds + across * down * TILE : ds;
	float *base = (float *)(p + across * down * TILE), *delta = base + across * EDGE;
	fill(q, queries(a.q, 0, s, t));
	for (int i = threadIdx.x; i < across * EDGE; i += blockDim.x) base[i] = i < n.q ? get(a.lse, t.number * s.len_q + i) * LOG2E : 0;
	for (int lane = 0; lane < a.lanes; lane++) {
		fill(x, outputs(a.ct, lane * a.out.n, s, t));
		const Panel out = outputs(a.out, 0, s, t);
		if (out.packed)
			row_products<true>(delta, x, out);
		else
			row_products<false>(delta, x, out);
		copies_done();
		__syncthreads();
		for (int jt = warp(); jt < down; jt += warps) {
			const bool again = lane > 0 && a.keep;
			const int from = n.causal ? jt : 0;
			char *prow = p + jt * across * TILE, *drow = ds + jt * across * TILE;
			Rows k, v = left(values(a.kv, 0, s, t), jt * EDGE);
			if (!again) k = left(keys(a.kv, 0, s, t), jt * EDGE);
			Sums dv = {};
#pragma unroll 1
			for (int it = from; it < across; it++) {
				Tile prob = again ? own_words(prow + it * TILE) : probabilities(n, k, q, jt * EDGE, it * EDGE, base, exponent);
				if (!again) store_tile(prow + it * TILE, prob);
				add_times(dv.v, prob, x, it * EDGE);
			}
			store(values(a.dkv, lane * a.kv.n, s, t), jt * EDGE, dv);
			Sums dk = {};
#pragma unroll 1
			for (int it = from; it < across; it++) {
				Tile prob = own_words(prow + it * TILE);
				float d[2][4];
				times_transposed(d, v, x, it * EDGE);
#pragma unroll
				for (int e = 0; e < 8; e++) {
					float &y = d[e / 4][e % 4], p = e % 2 ? high(prob.w[e / 2]) : low(prob.w[e / 2]);
					y = p * (y - delta[it * EDGE + e / 4 * 8 + threadIdx.x % 4 * 2 + e % 2]);
				}
				Tile rounded = operand(d[0], d[1]);
				store_tile(drow + it * TILE, rounded);
				add_times(dk.v, rounded, q, it * EDGE);
			}
			scale(dk, s.scale);
			store(keys(a.dkv, lane * a.kv.n, s, t), jt * EDGE, dk);
		}
		__syncthreads();
		fill(x, keys(a.kv, 0, s, t));
		copies_done();
		__syncthreads();
		for (int it = warp(); it < across; it += warps) {
			Sums dq = {};
#pragma unroll 1
			for (int jt = 0; jt < down && !(n.causal && jt > it); jt++)
				add_times(dq.v, load_transposed(ds + (jt * across + it) * TILE), x, jt * EDGE);
			scale(dq, s.scale);
			store(queries(a.dq, lane * a.q.n, s, t), it * EDGE, dq);
		}
		__syncthreads();
	}
}
