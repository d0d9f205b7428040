// Images made of pictures that are kept as bytes.
#include "common.cuh"

// How an image is made: pix is the first pixel of the crop, stride the bytes from a row to the next; columns and rows say
// where among the numbers its filters begin.
struct Crop {
	const unsigned char *pix;
	int stride, columns, rows, flip;
};

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

// A block makes a tile of an image. The rows of the crop that the tile looks at, of which there can be any number, go
// through the columns' filter a band at a time; sums over rows stay in registers from band to band.
KERNEL(resample, THREADS, Resample) {
	__shared__ unsigned char band[TILE][3][TILE];
	int64 tiles = (a.size + TILE - 1) / TILE, t = blockIdx.x, x0 = t % tiles * TILE;
	t /= tiles;
	int64 y0 = t % tiles * TILE, image = t / tiles;
	Crop crop = a.crops[image];
	const int *rows = a.numbers + crop.rows;
	int warp = threadIdx.x / WARP;
	Tap column = tap(a.numbers + crop.columns, x0 + lane(), a.size), row[SHARE];
	int sum[SHARE][3];
#pragma unroll
	for (int k = 0; k < SHARE; k++) {
		row[k] = tap(rows, y0 + warp + k * WARPS, a.size);
		sum[k][0] = sum[k][1] = sum[k][2] = HALF;
	}
	Tap upper = tap(rows, y0, a.size), lower = tap(rows, (y0 + TILE < a.size ? y0 + TILE : a.size) - 1, a.size);
	int end = lower.from + lower.n;
	for (int top = upper.from; top < end; top += TILE) {
		int h[SHARE][3];
#pragma unroll
		for (int k = 0; k < SHARE; k++) h[k][0] = h[k][1] = h[k][2] = HALF;
		for (int i = 0; i < column.n; i++) {
			int w = column.w[i];
#pragma unroll
			for (int k = 0; k < SHARE; k++) {
				int y = top + warp + k * WARPS;
				if (y >= end) continue;
				const unsigned char *p = crop.pix + (int64)y * crop.stride + 3 * (int64)(column.from + i);
				h[k][0] += p[0] * w;
				h[k][1] += p[1] * w;
				h[k][2] += p[2] * w;
			}
		}
#pragma unroll
		for (int k = 0; k < SHARE; k++)
#pragma unroll
			for (int c = 0; c < 3; c++) band[warp + k * WARPS][c][lane()] = (unsigned char)clip(h[k][c]);
		__syncthreads();
#pragma unroll
		for (int k = 0; k < SHARE; k++) {
			int first = row[k].from > top ? row[k].from : top, last = row[k].from + row[k].n;
			if (last > top + TILE) last = top + TILE;
			for (int y = first; y < last; y++) {
				int w = row[k].w[y - row[k].from];
#pragma unroll
				for (int c = 0; c < 3; c++) sum[k][c] += band[y - top][c][lane()] * w;
			}
		}
		__syncthreads();
	}
	int64 x = x0 + lane();
	if (x >= a.size) return;
	if (crop.flip) x = a.size - 1 - x;
#pragma unroll
	for (int k = 0; k < SHARE; k++) {
		int64 y = y0 + warp + k * WARPS;
		if (y >= a.size) continue;
#pragma unroll
		for (int c = 0; c < 3; c++) set(a.dst, ((image * 3 + c) * a.size + y) * a.size + x, get(a.levels, 256 * c + clip(sum[k][c])));
	}
}
