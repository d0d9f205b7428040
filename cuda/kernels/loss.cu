// Losses: one warp a row. Each row's loss goes to a row of its own, and the mean is taken by one block, in a
// fixed order.
#include "common.cuh"

#define ROW(width) for (int64 c = lane(); c < (width); c += WARP)

// prob is the softmax of a row, by its maximum and the logarithm of its denominator.
__device__ inline float softmax_row(const Mem &prob, const Mem &x, int64 at, int64 width) {
	float top = -infinity(), sum = 0;
	ROW(width) top = larger(top, get(x, at + c));
	top = warp_max(top);
	ROW(width) sum += expf(get(x, at + c) - top);
	sum = warp_sum(sum);
	ROW(width) set(prob, at + c, expf(get(x, at + c) - top) / sum);
	return top + logf(sum);
}

struct CrossEntropy { Mem losses, p, x; const int *labels; int64 width; };

KERNEL(cross_entropy, THREADS, CrossEntropy) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.x.n) return;
	float log_z = softmax_row(a.p, a.x, at, a.width);
	if (lane() == 0) set(a.losses, row, log_z - get(a.x, at + a.labels[row]));
}

struct CrossEntropyGrad { Mem dst, ct, p; const int *labels; int64 width, rows; };

// dst = ct·(p − onehot)/rows
KERNEL(cross_entropy_grad, THREADS, CrossEntropyGrad) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.dst.n) return;
	int64 saved = wrap(row, a.rows);
	float f = get(a.ct, row / a.rows) / a.rows;
	int label = a.labels[saved];
	ROW(a.width) set(a.dst, at + c, f * (get(a.p, saved * a.width + c) - (c == label ? 1.f : 0.f)));
}

struct SoftCrossEntropy { Mem losses, p, q, x, target; int64 width; };

KERNEL(soft_cross_entropy, THREADS, SoftCrossEntropy) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.x.n) return;
	softmax_row(a.q, a.target, at, a.width);
	float log_z = softmax_row(a.p, a.x, at, a.width), sum = 0;
	ROW(a.width) sum += get(a.q, at + c) * (log_z - get(a.x, at + c)); // q as this thread wrote it
	sum = warp_sum(sum);
	if (lane() == 0) set(a.losses, row, sum);
}

struct SoftCrossEntropyGrad { Mem dst, ct, p, q; int64 width, rows; };

// dst = ct·(p − q)/rows
KERNEL(soft_cross_entropy_grad, THREADS, SoftCrossEntropyGrad) {
	int64 row = warp_row(), at = row * a.width;
	if (at >= a.dst.n) return;
	int64 saved = wrap(row, a.rows) * a.width;
	float f = get(a.ct, row / a.rows) / a.rows;
	ROW(a.width) set(a.dst, at + c, f * (get(a.p, saved + c) - get(a.q, saved + c)));
}
