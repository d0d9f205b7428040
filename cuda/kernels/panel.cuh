// Panels: 64 columns of bfloat16 in memory, in shared memory, and as operands and sums of products on tensor cores.
#pragma once
#include "mma.cuh"

constexpr int SIZE = 64, PARTS = SIZE / EDGE, ROW = 2 * SIZE;

typedef Halves<PACK> Pack;

__device__ inline float low(uint32_t w) { return __uint_as_float(w << 16); }
__device__ inline float high(uint32_t w) { return __uint_as_float(w & 0xffff0000u); }

// A Panel lies in a tensor. What a chip holds is counted in 32 bits.
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
