// Attention on tensor cores, for heads of 64 bfloat16 elements whose keys and values fit on the chip: 257 tokens and
// fewer do everywhere it is used. A block has one head of one element of the batch; each of its warps takes 16 queries
// at a time, in the gradient 16 keys. Nothing is added up across blocks, and within one each output has one owner.
//
// Probabilities, and in the gradient dS, are rounded to bfloat16 before they are multiplied; sums are float32.
#include "attention.cuh"
#include "mma.cuh"

constexpr int SIZE = 64, PARTS = SIZE / EDGE, ROW = 2 * SIZE;
constexpr int TILE = 2 * EDGE * EDGE; // bytes
constexpr float LOG2E = 1.4426950408889634f;

typedef Halves<PACK> Pack;

__device__ inline float low(uint32_t w) { return __uint_as_float(w << 16); }
__device__ inline float high(uint32_t w) { return __uint_as_float(w & 0xffff0000u); }

// A Panel is one head's 64 columns of the rows of one element of the batch. What the chip holds is counted in 32 bits.
struct Panel {
	uint16_t *p;
	int stride, rows;
	bool packed; // all rows begin at multiples of 16 bytes, as they do but for odd views
};

__device__ inline Panel panel(const Mem &m, int64 at, int64 stride, int64 rows) {
	uint16_t *p = (uint16_t *)m.p + at;
	return {p, (int)stride, (int)rows, (((uint64_t)p | stride * 2) & 15) == 0};
}

__device__ inline uint16_t *row_of(const Panel &x, int row) { return x.p + (int64)row * x.stride; }

// take moves a pack from memory.
template <bool PACKED> __device__ inline Pack take(const uint16_t *p) {
	Pack h;
	if constexpr (PACKED)
		h = *(const Pack *)p;
	else
#pragma unroll
		for (int k = 0; k < PACK / 2; k++) h.w[k] = p[2 * k] | (uint32_t)p[2 * k + 1] << 16;
	return h;
}

template <bool PACKED> __device__ inline void put(uint16_t *p, const Pack &h) {
	if constexpr (PACKED)
		*(Pack *)p = h;
	else
#pragma unroll
		for (int k = 0; k < PACK; k++) p[k] = (uint16_t)(h.w[k / 2] >> k % 2 * 16);
}

__device__ inline Panel queries(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_q(s, t, 0), s.cols_q, s.len_q); }
__device__ inline Panel keys(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_k(s, t, 0), s.cols_kv, s.len_kv); }
__device__ inline Panel values(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_v(s, t, 0), s.cols_kv, s.len_kv); }
__device__ inline Panel outputs(const Mem &m, int64 at, const Shape &s, Head t) { return panel(m, at + at_out(s, t, 0), s.heads * s.size, s.len_q); }

struct Lengths { int q, kv, causal; };

__device__ inline Lengths lengths(const Shape &s) { return {(int)s.len_q, (int)s.len_kv, s.causal}; }
__device__ inline int seen(const Lengths &n, int i) { return n.causal && i + 1 < n.kv ? i + 1 : n.kv; }

__device__ inline int tiles(int rows) { return (rows + EDGE - 1) / EDGE; }

// In shared memory the packs of a row change places by the row's number, so that 8 rows of a column lie in different banks.
__device__ inline char *pack_of(char *x, int row, int c) { return x + row * ROW + (c ^ row % 8) * 16; }

// further is where the pack lies whose number differs in the given bits. Rows begin at multiples of their size.
__device__ inline Address further(Address pack, int bits) { return pack ^ bits * 16; }

// A panel in shared memory ends in rows of zeros, up to a whole tile. place is where pack e of it lies.
__device__ inline int packs(const Panel &x) { return tiles(x.rows) * EDGE * (SIZE / PACK); }
__device__ inline char *place(char *x, int e) { return pack_of(x, e / (SIZE / PACK), e % (SIZE / PACK)); }

template <bool PACKED> __device__ inline Pack take(const Panel &x, int e) {
	int row = e / (SIZE / PACK);
	return row < x.rows ? take<PACKED>(row_of(x, row) + e % (SIZE / PACK) * PACK) : Pack{};
}

// fill begins to copy a panel to shared memory, all of it at once. Each thread's packs are there when it has called
// copies_done, and all are after a barrier.
__device__ inline void fill(char *x, const Panel &src) {
	for (int e = threadIdx.x; e < packs(src); e += blockDim.x) {
		int row = e / (SIZE / PACK);
		if (!src.packed)
			*(Pack *)place(x, e) = take<false>(src, e);
		else if (row < src.rows)
			copy_later(place(x, e), row_of(src, row) + e % (SIZE / PACK) * PACK);
		else
			*(Pack *)place(x, e) = Pack{};
	}
}

constexpr int BATCH = 4; // packs that a thread asks for before it needs one

// row_products is delta[row] = Σ x·y of rows of a panel that this block's threads have filled, and of y.
template <bool PACKED> __device__ inline void row_products(float *delta, char *x, const Panel &y) {
	for (int e0 = threadIdx.x; e0 < packs(y); e0 += BATCH * blockDim.x) {
		Pack q[BATCH];
#pragma unroll
		for (int b = 0; b < BATCH; b++) q[b] = take<PACKED>(y, e0 + b * blockDim.x);
		copies_done();
#pragma unroll
		for (int b = 0; b < BATCH; b++) {
			int e = e0 + b * blockDim.x;
			if (e >= packs(y)) break;
			Pack p = *(const Pack *)place(x, e);
			float sum = 0;
#pragma unroll
			for (int k = 0; k < PACK / 2; k++) sum += low(p.w[k]) * low(q[b].w[k]) + high(p.w[k]) * high(q[b].w[k]);
#pragma unroll
			for (int m = 1; m < SIZE / PACK; m *= 2) sum += __shfl_xor_sync(ALL_LANES, sum, m);
			if (e % (SIZE / PACK) == 0) delta[e / (SIZE / PACK)] = sum;
		}
	}
}

// Rows are 16 rows of a panel as left operands, by columns.
struct Rows { Tile part[PARTS]; };

template <bool PACKED> __device__ inline Rows left(const Panel &x, int row) {
	Rows r;
#pragma unroll
	for (int c = 0; c < PARTS; c++)
#pragma unroll
		for (int k = 0; k < 4; k++) {
			int i = row + lane() / 4 + k % 2 * 8;
			const uint16_t *p = row_of(x, i) + c * EDGE + lane() % 4 * 2 + k / 2 * 8;
			r.part[c].w[k] = i >= x.rows ? 0 : PACKED ? *(const uint32_t *)p : p[0] | (uint32_t)p[1] << 16;
		}
	return r;
}

__device__ inline Rows left(const Panel &x, int row) { return x.packed ? left<true>(x, row) : left<false>(x, row); }

// times_transposed is sum = a·xᵀ for 16 rows of a panel in shared memory.
__device__ inline void times_transposed(float (*sum)[4], const Rows &a, char *x, int row) {
	Address first = address(pack_of(x, row + lane() % 8 + lane() / 16 * 8, lane() / 8 % 2));
#pragma unroll
	for (int k = 0; k < 4; k++) sum[0][k] = sum[1][k] = 0;
#pragma unroll
	for (int c = 0; c < PARTS; c++) {
		Tile b = load_quarters<false>(further(first, 2 * c));
		multiply_add(sum[0], a.part[c], b.w[0], b.w[1]);
		multiply_add(sum[1], a.part[c], b.w[2], b.w[3]);
	}
}

// add_times is sum += a·x for 16 rows of a panel in shared memory.
__device__ inline void add_times(float (*sum)[4], const Tile &a, char *x, int row) {
	Address first = address(pack_of(x, row + lane() % 16, lane() / 16));
#pragma unroll
	for (int c = 0; c < PARTS; c++) {
		Tile b = load_quarters<true>(further(first, 2 * c));
		multiply_add(sum[2 * c], a, b.w[0], b.w[1]);
		multiply_add(sum[2 * c + 1], a, b.w[2], b.w[3]);
	}
}

// Sums are 16 rows of 64 columns.
struct Sums { float v[SIZE / 8][4]; };

__device__ inline void scale(Sums &sums, float c) {
#pragma unroll
	for (int n = 0; n < SIZE / 8; n++)
#pragma unroll
		for (int e = 0; e < 4; e++) sums.v[n][e] *= c;
}

// swap gives one of two words to the thread whose number differs in a bit, and takes the word that is in its place.
__device__ inline void swap(uint32_t &x, uint32_t &y, int bit) {
	bool upper = lane() & bit;
	uint32_t got = __shfl_xor_sync(ALL_LANES, upper ? x : y, bit);
	if (upper)
		x = got;
	else
		y = got;
}

// store puts sums into rows of a panel. Four threads have a row; they exchange words until each has whole packs.
__device__ inline void store(const Panel &x, int row, const Sums &sums) {
#pragma unroll
	for (int h = 0; h < 2; h++)
#pragma unroll
		for (int n = 0; n < SIZE / 8; n += 4) {
			Pack p;
#pragma unroll
			for (int k = 0; k < 4; k++) p.w[k] = narrow_pair(sums.v[n + k][2 * h], sums.v[n + k][2 * h + 1]);
			swap(p.w[0], p.w[1], 1), swap(p.w[2], p.w[3], 1);
			swap(p.w[0], p.w[2], 2), swap(p.w[1], p.w[3], 2);
			int i = row + lane() / 4 + 8 * h;
			if (i >= x.rows) continue;
			uint16_t *to = row_of(x, i) + (n + lane() % 4) * PACK;
			if (x.packed)
				put<true>(to, p);
			else
				put<false>(to, p);
		}
}

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
// scaled down. The maxima may skip a NaN, as the probabilities do not.
KERNEL(attention_mma, 8 * WARP, Attention) {
	DYNAMIC_SHARED(memory);
	const Shape &s = a.s;
	const Head t = head_of(s, blockIdx.x);
	const Lengths n = lengths(s);
	char *k = memory, *v = k + tiles(n.kv) * EDGE * ROW;
	fill(k, keys(a.kv, 0, s, t));
	fill(v, values(a.kv, 0, s, t));
	copies_done();
	__syncthreads();
	const float exponent = s.scale * LOG2E;
	for (int i0 = warp() * EDGE; i0 < n.q; i0 += blockDim.x / WARP * EDGE) {
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
