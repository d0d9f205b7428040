// Scaled dot-product attention in tiles, with the scores kept on the chip (Dao et al. 2022), in plain float32
// arithmetic. A warp has one query, or in the gradient of keys and values one key, and each of its threads one
// partner of a tile of 32. Nothing is added up across blocks: the gradient runs once by queries and once by
// keys, and each output has one owner. This is for what attention_mma.cu does not take.
#include "attention.cuh"

constexpr int WARPS = 8, TILE = WARP;
constexpr int MOST = 128, PARTS = MOST / WARP; // the widest head

// dot of two vectors in shared memory
__device__ inline float inner(const float *x, const float *y, int64 size) {
	float sum = 0;
	for (int64 d = 0; d < size; d++) sum += x[d] * y[d];
	return sum;
}

struct Attention { Mem dst, lse, q, kv; Shape s; };

KERNEL(attention, WARPS *WARP, Attention) {
	__shared__ float sq[WARPS][MOST], sk[TILE][MOST + 1], sv[TILE][MOST], sp[WARPS][TILE];
	const Shape &s = a.s;
	int64 groups = (s.len_q + WARPS - 1) / WARPS, i = (blockIdx.x % groups) * WARPS + warp();
	int64 last = (blockIdx.x % groups) * WARPS + WARPS - 1, keys = seen(s, last < s.len_q ? last : s.len_q - 1);
	Head t = head_of(s, blockIdx.x / groups);
	int64 mine = i < s.len_q ? seen(s, i) : 0;
	for (int64 d = lane(); d < s.size; d += WARP) sq[warp()][d] = mine ? get(a.q, at_q(s, t, i) + d) * s.scale : 0;
	float top = -infinity(), sum = 0, out[PARTS] = {};
	for (int64 j0 = 0; j0 < keys; j0 += TILE) {
		for (int64 e = threadIdx.x; e < TILE * s.size; e += WARPS * WARP) {
			int64 j = e / s.size, d = e % s.size;
			if (j0 + j >= keys) break;
			sk[j][d] = get(a.kv, at_k(s, t, j0 + j) + d);
			sv[j][d] = get(a.kv, at_v(s, t, j0 + j) + d);
		}
		__syncthreads();
		float score = j0 + lane() < mine ? inner(sq[warp()], sk[lane()], s.size) : -infinity();
		float higher = larger(top, warp_max(score));
		float p = j0 + lane() < mine ? expf(score - higher) : 0;
		float fade = sum == 0 ? 0 : expf(top - higher); // at first there is nothing to rescale
		sum = sum * fade + warp_sum(p);
		top = higher;
		sp[warp()][lane()] = p;
		__syncwarp();
		int64 here = mine - j0 < TILE ? mine - j0 : TILE;
#pragma unroll
		for (int e = 0; e < PARTS; e++) {
			int64 d = lane() + e * WARP;
			if (d >= s.size) break;
			out[e] *= fade;
			for (int64 j = 0; j < here; j++) out[e] += sp[warp()][j] * sv[j][d];
		}
		__syncthreads();
	}
	if (!mine) return;
#pragma unroll
	for (int e = 0; e < PARTS; e++) {
		int64 d = lane() + e * WARP;
		if (d < s.size) set(a.dst, at_out(s, t, i) + d, out[e] / sum);
	}
	if (lane() == 0) set(a.lse, t.number * s.len_q + i, top + logf(sum));
}

// x is q's or kv's gradient, delta float32 [lanes, batch, heads, len_q].
struct Grad { Mem x, delta, ct, q, kv, out, lse; Shape s; int64 lanes; };

// delta = Σ ct·out of each row of each head
KERNEL(attention_delta, THREADS, Grad) {
	const Shape &s = a.s;
	int64 row = warp_row(), heads = s.batch * s.heads;
	if (row >= a.lanes * heads * s.len_q) return;
	int64 i = row % s.len_q, number = row / s.len_q, k = number / heads;
	int64 at = at_out(s, head_of(s, number % heads), i);
	float sum = 0;
	for (int64 d = lane(); d < s.size; d += WARP) sum += get(a.ct, k * a.out.n + at + d) * get(a.out, at + d);
	sum = warp_sum(sum);
	if (lane() == 0) set(a.delta, row, sum);
}

// dq_i = Σ_j ds_ij·k_j, with ds_ij = p_ij·(ct_i·v_j − delta_i)·scale and p_ij = exp(s_ij − lse_i)
KERNEL(attention_grad_q, WARPS *WARP, Grad) {
	__shared__ float sq[WARPS][MOST], sc[WARPS][MOST], sk[TILE][MOST + 1], sv[TILE][MOST + 1], sd[WARPS][TILE];
	const Shape &s = a.s;
	int64 groups = (s.len_q + WARPS - 1) / WARPS, i = (blockIdx.x % groups) * WARPS + warp();
	int64 last = (blockIdx.x % groups) * WARPS + WARPS - 1, keys = seen(s, last < s.len_q ? last : s.len_q - 1);
	int64 number = blockIdx.x / groups, heads = s.batch * s.heads, k = number / heads;
	Head t = head_of(s, number % heads);
	int64 mine = i < s.len_q ? seen(s, i) : 0;
	for (int64 d = lane(); d < s.size; d += WARP) {
		sq[warp()][d] = mine ? get(a.q, at_q(s, t, i) + d) * s.scale : 0;
		sc[warp()][d] = mine ? get(a.ct, k * a.out.n + at_out(s, t, i) + d) : 0;
	}
	float lse = mine ? get(a.lse, t.number * s.len_q + i) : 0, delta = mine ? get(a.delta, number * s.len_q + i) : 0;
	float dq[PARTS] = {};
	for (int64 j0 = 0; j0 < keys; j0 += TILE) {
		for (int64 e = threadIdx.x; e < TILE * s.size; e += WARPS * WARP) {
			int64 j = e / s.size, d = e % s.size;
			if (j0 + j >= keys) break;
			sk[j][d] = get(a.kv, at_k(s, t, j0 + j) + d);
			sv[j][d] = get(a.kv, at_v(s, t, j0 + j) + d);
		}
		__syncthreads();
		float ds = 0;
		if (j0 + lane() < mine) {
			float p = expf(inner(sq[warp()], sk[lane()], s.size) - lse);
			ds = p * (inner(sc[warp()], sv[lane()], s.size) - delta) * s.scale;
		}
		sd[warp()][lane()] = ds;
		__syncwarp();
		int64 here = mine - j0 < TILE ? mine - j0 : TILE;
#pragma unroll
		for (int e = 0; e < PARTS; e++) {
			int64 d = lane() + e * WARP;
			if (d >= s.size) break;
			for (int64 j = 0; j < here; j++) dq[e] += sd[warp()][j] * sk[j][d];
		}
		__syncthreads();
	}
	if (!mine) return;
#pragma unroll
	for (int e = 0; e < PARTS; e++) {
		int64 d = lane() + e * WARP;
		if (d < s.size) set(a.x, k * a.q.n + at_q(s, t, i) + d, dq[e]);
	}
}

// dk_j = Σ_i ds_ij·q_i, dv_j = Σ_i p_ij·ct_i
KERNEL(attention_grad_kv, WARPS *WARP, Grad) {
	__shared__ float sk[WARPS][MOST], sv[WARPS][MOST], sq[TILE][MOST + 1], sc[TILE][MOST + 1], sd[WARPS][TILE], sp[WARPS][TILE];
	const Shape &s = a.s;
	int64 groups = (s.len_kv + WARPS - 1) / WARPS, j = (blockIdx.x % groups) * WARPS + warp();
	int64 number = blockIdx.x / groups, heads = s.batch * s.heads, k = number / heads;
	Head t = head_of(s, number % heads);
	bool mine = j < s.len_kv;
	for (int64 d = lane(); d < s.size; d += WARP) {
		sk[warp()][d] = mine ? get(a.kv, at_k(s, t, j) + d) * s.scale : 0;
		sv[warp()][d] = mine ? get(a.kv, at_v(s, t, j) + d) : 0;
	}
	float dk[PARTS] = {}, dv[PARTS] = {};
	for (int64 i0 = 0; i0 < s.len_q; i0 += TILE) {
		for (int64 e = threadIdx.x; e < TILE * s.size; e += WARPS * WARP) {
			int64 i = e / s.size, d = e % s.size;
			if (i0 + i >= s.len_q) break;
			sq[i][d] = get(a.q, at_q(s, t, i0 + i) + d);
			sc[i][d] = get(a.ct, k * a.out.n + at_out(s, t, i0 + i) + d);
		}
		__syncthreads();
		int64 i = i0 + lane();
		float p = 0, ds = 0;
		if (mine && i < s.len_q && j < seen(s, i)) {
			p = expf(inner(sk[warp()], sq[lane()], s.size) - get(a.lse, t.number * s.len_q + i));
			ds = p * (inner(sv[warp()], sc[lane()], s.size) - get(a.delta, number * s.len_q + i)) * s.scale;
		}
		sp[warp()][lane()] = p;
		sd[warp()][lane()] = ds;
		__syncwarp();
		int64 from = s.causal && j > i0 ? j - i0 : 0, here = s.len_q - i0 < TILE ? s.len_q - i0 : TILE;
#pragma unroll
		for (int e = 0; e < PARTS; e++) {
			int64 d = lane() + e * WARP;
			if (d >= s.size) break;
			for (int64 i = from; i < here; i++) {
				dk[e] += sd[warp()][i] * sq[i][d];
				dv[e] += sp[warp()][i] * sc[i][d];
			}
		}
		__syncthreads();
	}
	if (!mine) return;
#pragma unroll
	for (int e = 0; e < PARTS; e++) {
		int64 d = lane() + e * WARP;
		if (d >= s.size) break;
		set(a.x, k * a.kv.n + at_k(s, t, j) + d, dk[e]);
		set(a.x, k * a.kv.n + at_v(s, t, j) + d, dv[e]);
	}
}
