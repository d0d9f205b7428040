// Sums over rows and over whole tensors. How they are cut depends on lengths alone, and partial sums are
// added in order: the same call gives the same bits.
#include "common.cuh"

constexpr int COLS = 32, SIDE = THREADS / COLS;

struct SumRows { Mem dst, x; int64 lanes, rows, cols, chunk; };

// dst [lanes, chunks, cols] = sums over chunk rows each of x [lanes, rows, cols]. A block takes 32 columns of one
// chunk of one lane; 8 threads share a column.
KERNEL(sum_rows, THREADS, SumRows) {
	__shared__ float part[SIDE][COLS + 1];
	int64 chunks = (a.rows + a.chunk - 1) / a.chunk, tiles = (a.cols + COLS - 1) / COLS;
	if (chunks < 1) chunks = 1;
	int64 group = blockIdx.x / tiles, lane = group / chunks;
	int tx = threadIdx.x % COLS, ty = threadIdx.x / COLS;
	int64 col = (blockIdx.x % tiles) * COLS + tx, from = (group % chunks) * a.chunk;
	int64 to = from + a.chunk < a.rows ? from + a.chunk : a.rows;
	float sum = 0;
	if (col < a.cols)
		for (int64 r = from + ty; r < to; r += SIDE) sum += get(a.x, (lane * a.rows + r) * a.cols + col);
	part[ty][tx] = sum;
	__syncthreads();
	if (ty == 0 && col < a.cols) {
		sum = 0;
#pragma unroll
		for (int k = 0; k < SIDE; k++) sum += part[k][tx];
		set(a.dst, group * a.cols + col, sum);
	}
}

constexpr int STEPS = 4; // packs a thread takes of what is summed up to one number

// part_of is the first element of this thread's pack in a step.
__device__ inline int64 part_of(int step) { return (((int64)blockIdx.x * STEPS + step) * THREADS + threadIdx.x) * PACK; }

// block_sum is the sum over the block, in thread 0.
__device__ inline float block_sum(float v, float *part) {
	v = warp_sum(v);
	if (lane() == 0) part[threadIdx.x / WARP] = v;
	__syncthreads();
	v = 0;
	if (threadIdx.x == 0)
		for (int k = 0; k < THREADS / WARP; k++) v += part[k];
	return v;
}

struct Dot { Mem dst, x, y; };

// dst[block] = Σ x·y over the block's part
KERNEL(dot, THREADS, Dot) {
	__shared__ float part[THREADS / WARP];
	float x[PACK], y[PACK], sum = 0;
	for (int s = 0; s < STEPS; s++) {
		int64 i = part_of(s);
		int n = taken(i, a.x.n);
		if (n <= 0) break;
		load(x, a.x, i, n);
		load(y, a.y, i, n);
#pragma unroll
		for (int k = 0; k < PACK; k++) sum += x[k] * y[k]; // beyond the end both are 0
	}
	sum = block_sum(sum, part);
	if (threadIdx.x == 0) set(a.dst, blockIdx.x, sum);
}

struct Total { Mem dst, x; int64 divisor; };

// dst[0] = Σ x / divisor, by one block
KERNEL(total, THREADS, Total) {
	__shared__ float part[THREADS / WARP];
	float sum = 0;
	for (int64 i = threadIdx.x; i < a.x.n; i += THREADS) sum += get(a.x, i);
	sum = block_sum(sum, part);
	if (threadIdx.x == 0) set(a.dst, 0, sum / a.divisor);
}

struct CountAbove { Mem dst, x; float t; int pad; };

// dst[block] = how many x > t in the block's part
KERNEL(count_above, THREADS, CountAbove) {
	__shared__ float part[THREADS / WARP];
	float x[PACK], count = 0;
	for (int s = 0; s < STEPS; s++) {
		int64 i = part_of(s);
		int n = taken(i, a.x.n);
		if (n <= 0) break;
		load(x, a.x, i, n);
		EACH_OF(n) count += x[k] > a.t ? 1.f : 0.f;
	}
	count = block_sum(count, part);
	if (threadIdx.x == 0) set(a.dst, blockIdx.x, count);
}
