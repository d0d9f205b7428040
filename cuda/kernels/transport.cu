// Optimal transport between small sets: a thread a problem. Classes are the last axis, so that neighbours read neighbours.
#include "common.cuh"

struct Sinkhorn {
	Mem dst, s, r, q; // r and q: the factors, [batch, rows, classes] and [batch, columns, classes]
	int64 batch, rows, columns, classes, most;
	float eps, threshold;
};

// Of the similarities remain kernels, and of these the plan, all in dst. Factors are float32, as e^(2/eps) for an eps of 0.025 and more is; the
// caller refuses smaller ones.
KERNEL(sinkhorn, THREADS, Sinkhorn) {
	const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
	if (i >= a.batch * a.classes) return;
	const int64 b = i / a.classes, c = i % a.classes, each = a.rows * a.columns * a.classes;
	for (int64 k = 0; k < a.rows * a.columns; k++) {
		const int64 at = b * each + k * a.classes + c;
		set(a.dst, at, expf((get(a.s, at) - 1) / a.eps));
	}
	for (int64 m = 0; m < a.rows; m++) set(a.r, (b * a.rows + m) * a.classes + c, 1);
	for (int64 j = 0; j < a.columns; j++) set(a.q, (b * a.columns + j) * a.classes + c, 1);
	for (int64 n = 0; n < a.most; n++) {
		float moved = 0;
		for (int64 m = 0; m < a.rows; m++) {
			float sum = 0;
			for (int64 j = 0; j < a.columns; j++)
				sum += get(a.dst, b * each + (m * a.columns + j) * a.classes + c) * get(a.q, (b * a.columns + j) * a.classes + c);
			const int64 at = (b * a.rows + m) * a.classes + c;
			const float was = get(a.r, at), now = 1 / ((float)a.rows * sum);
			set(a.r, at, now);
			moved += now > was ? now - was : was - now;
		}
		for (int64 j = 0; j < a.columns; j++) {
			float sum = 0;
			for (int64 m = 0; m < a.rows; m++)
				sum += get(a.dst, b * each + (m * a.columns + j) * a.classes + c) * get(a.r, (b * a.rows + m) * a.classes + c);
			set(a.q, (b * a.columns + j) * a.classes + c, 1 / ((float)a.columns * sum));
		}
		if (moved / (float)a.rows < a.threshold) break;
	}
	for (int64 m = 0; m < a.rows; m++)
		for (int64 j = 0; j < a.columns; j++) {
			const int64 at = b * each + (m * a.columns + j) * a.classes + c;
			set(a.dst, at, get(a.r, (b * a.rows + m) * a.classes + c) * get(a.dst, at) * get(a.q, (b * a.columns + j) * a.classes + c));
		}
}
