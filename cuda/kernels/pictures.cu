// Images made of pictures that are kept as bytes.
#include "common.cuh"

// How an image is made: pix is the first pixel of the crop, stride the bytes from a row to the next; columns and rows say
// where among the numbers its filters begin, how has bits.
struct Crop {
	const unsigned char *pix;
	int stride, columns, rows, how;
};
constexpr int FLIPPED = 1, ROWS_FIRST = 2;

struct Resample {
	Mem dst, levels;
	const Crop *crops;
	const int *numbers;
	int64 size;
};

constexpr int TILE = 32;             // pixels each way that a block makes: a lane has a column, a warp every 8th row
constexpr int WARPS = THREADS / WARP, SHARE = TILE / WARPS; // rows of a tile that a warp has
constexpr int WEIGHT_BITS = 22, HALF = 1 << (WEIGHT_BITS - 1);

// An output of a filter: its first input, how many there are, their weights.
struct Tap {
	int from, n;
	const int *w;
};

// tap is output i of a filter of size outputs; beyond them it looks at nothing.
__device__ inline Tap tap(const int *f, int64 i, int64 size) {
	if (i >= size) return {0, 0, f};
	return {f[3 * i], f[3 * i + 1], f + f[3 * i + 2]};
}

__device__ inline int clip(int sum) {
	int v = sum >> WEIGHT_BITS;
	return v < 0 ? 0 : v > 255 ? 255 : v;
}

// Sums of a thread: of the three channels of its SHARE pixels of a tile.
using Sums = int[SHARE][3];

__device__ inline void start(Sums &sum) {
#pragma unroll
	for (int k = 0; k < SHARE; k++) sum[k][0] = sum[k][1] = sum[k][2] = HALF;
}

__device__ inline void add(int (&sum)[3], const unsigned char *p, int w) {
	sum[0] += p[0] * w;
	sum[1] += p[1] * w;
	sum[2] += p[2] * w;
}

// A block makes a tile of an image. What the tile looks at along the axis of the second filter, of which there can be any
// amount, goes through the first filter a band at a time; sums of the second stay in registers from band to band. A band is
// of rows of the crop, the columns of the tile, or of columns of the crop, the rows of the tile.
KERNEL(resample, THREADS, Resample) {
	__shared__ unsigned char band[TILE][3][TILE];
	int64 tiles = (a.size + TILE - 1) / TILE, t = blockIdx.x, x0 = t % tiles * TILE;
	t /= tiles;
	int64 y0 = t % tiles * TILE, image = t / tiles;
	Crop crop = a.crops[image];
	const int *rows = a.numbers + crop.rows, *columns = a.numbers + crop.columns;
	int warp = threadIdx.x / WARP;
	Tap column = tap(columns, x0 + lane(), a.size), row[SHARE];
	Sums sum;
	start(sum);
#pragma unroll
	for (int k = 0; k < SHARE; k++) row[k] = tap(rows, y0 + warp + k * WARPS, a.size);
	bool down = crop.how & ROWS_FIRST;
	const int *last = down ? columns : rows;
	int64 from = down ? x0 : y0;
	Tap head = tap(last, from, a.size), tail = tap(last, (from + TILE < a.size ? from + TILE : a.size) - 1, a.size);
	int end = tail.from + tail.n;
	for (int top = head.from; top < end; top += TILE) {
		Sums h;
		start(h);
		if (down) {
			int x = top + lane();
#pragma unroll
			for (int k = 0; k < SHARE; k++)
				for (int i = 0; i < row[k].n && x < end; i++)
					add(h[k], crop.pix + (int64)(row[k].from + i) * crop.stride + 3 * (int64)x, row[k].w[i]);
		} else
			for (int i = 0; i < column.n; i++) {
				int w = column.w[i];
#pragma unroll
				for (int k = 0; k < SHARE; k++) {
					int y = top + warp + k * WARPS;
					if (y < end) add(h[k], crop.pix + (int64)y * crop.stride + 3 * (int64)(column.from + i), w);
				}
			}
#pragma unroll
		for (int k = 0; k < SHARE; k++)
#pragma unroll
			for (int c = 0; c < 3; c++) band[warp + k * WARPS][c][lane()] = (unsigned char)clip(h[k][c]);
		__syncthreads();
#pragma unroll
		for (int k = 0; k < SHARE; k++) {
			Tap second = down ? column : row[k];
			int first = second.from > top ? second.from : top, stop = second.from + second.n;
			if (stop > top + TILE) stop = top + TILE;
			for (int i = first; i < stop; i++) {
				int w = second.w[i - second.from];
#pragma unroll
				for (int c = 0; c < 3; c++)
					sum[k][c] += (down ? band[warp + k * WARPS][c][i - top] : band[i - top][c][lane()]) * w;
			}
		}
		__syncthreads();
	}
	int64 x = x0 + lane();
	if (x >= a.size) return;
	if (crop.how & FLIPPED) x = a.size - 1 - x;
#pragma unroll
	for (int k = 0; k < SHARE; k++) {
		int64 y = y0 + warp + k * WARPS;
		if (y >= a.size) continue;
#pragma unroll
		for (int c = 0; c < 3; c++) set(a.dst, ((image * 3 + c) * a.size + y) * a.size + x, get(a.levels, 256 * c + clip(sum[k][c])));
	}
}
