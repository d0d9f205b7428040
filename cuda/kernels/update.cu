// Kernels that make gradients out of gradients, and change parameters.
#include "philox.cuh"

constexpr int FEW = 4; // elements a thread takes: with up to five operands, more would not fit the registers

// Drop is tensor.GradDropArgs: kept is 1−leak.
struct Drop { Mem scores, squares; Key key; float leak, kept, eps, penalty; };

// pull is what a score is multiplied by to give the penalty's gradient; the norm's gradient at 0 counts as 0.
__device__ inline float pull(const Drop &d) {
	if (d.penalty == 0) return 0;
	float squares = get(d.squares, 0);
	return squares == 0 ? 0 : d.penalty / sqrtf(squares);
}

// drop makes one gradient, in g, of those of two losses: x is g's where purity is below u.
__device__ inline void drop(float *g, const float *b, const float *s, const Drop &d, int64 i) {
	float p = pull(d);
	if (p != 0)
#pragma unroll
		for (int k = 0; k < FEW; k++) g[k] += p * s[k];
	if (d.leak == 0) return;
	float u[FEW];
	uniforms<FEW>(u, d.key, i);
#pragma unroll
	for (int k = 0; k < FEW; k++) {
		float size = fabsf(g[k]) + fabsf(b[k]) + d.eps, agree = g[k] < 0 ? -(g[k] + b[k]) : g[k] + b[k];
		// For g = 0 the outcome does not matter, and 0/0 is refused by the comparison.
		bool keep = 0.5f + 0.5f * (agree / size) > u[k];
		g[k] = keep ? g[k] : d.kept * g[k];
	}
}

// operands loads a gradient, the other one (zeros if there is none) and what the penalty needs.
__device__ inline void operands(float *g, float *b, float *s, const Mem &ga, const Mem &gb, const Drop &d, int64 i, int n) {
	load<FEW>(g, ga, i, n);
#pragma unroll
	for (int k = 0; k < FEW; k++) b[k] = s[k] = 0;
	if (gb.n) load<FEW>(b, gb, i, n);
	if (d.penalty != 0) load<FEW>(s, d.scores, i, n);
}

struct GradDrop { Mem dst, x, y; Drop d; };

KERNEL(grad_drop, THREADS, GradDrop) {
	int64 i = first<FEW>();
	int n = taken<FEW>(i, a.dst.n);
	if (n <= 0) return;
	float g[FEW], b[FEW], s[FEW];
	operands(g, b, s, a.x, a.y, a.d, i, n);
	drop(g, b, s, a.d, i);
	store<FEW>(a.dst, i, g, n);
}

// AdamArgs are tensor.AdamArgs with the corrections for bias moved to constants.
struct AdamArgs { float beta1, rest1, beta2, rest2, shrink, rate, root, eps; };

__device__ inline void adam_step(float *w, float *m, float *v, const float *g, const AdamArgs &s) {
#pragma unroll
	for (int k = 0; k < FEW; k++) {
		m[k] = s.beta1 * m[k] + s.rest1 * g[k];
		v[k] = s.beta2 * v[k] + s.rest2 * (g[k] * g[k]);
		w[k] = w[k] * s.shrink - s.rate * (m[k] / (sqrtf(v[k]) / s.root + s.eps));
	}
}

struct Adam { Mem w, m, v, g; AdamArgs s; };

KERNEL(adam, THREADS, Adam) {
	int64 i = first<FEW>();
	int n = taken<FEW>(i, a.w.n);
	if (n <= 0) return;
	float w[FEW], m[FEW], v[FEW], g[FEW];
	load<FEW>(w, a.w, i, n);
	load<FEW>(m, a.m, i, n);
	load<FEW>(v, a.v, i, n);
	load<FEW>(g, a.g, i, n);
	adam_step(w, m, v, g, a.s);
	store<FEW>(a.w, i, w, n);
	store<FEW>(a.m, i, m, n);
	store<FEW>(a.v, i, v, n);
}

struct GradDropAdam { Mem w, m, v, x, y; Drop d; AdamArgs s; };

KERNEL(grad_drop_adam, THREADS, GradDropAdam) {
	int64 i = first<FEW>();
	int n = taken<FEW>(i, a.w.n);
	if (n <= 0) return;
	float w[FEW], m[FEW], v[FEW], g[FEW], b[FEW], s[FEW];
	load<FEW>(w, a.w, i, n);
	load<FEW>(m, a.m, i, n);
	load<FEW>(v, a.v, i, n);
	operands(g, b, s, a.x, a.y, a.d, i, n);
	drop(g, b, s, a.d, i);
	adam_step(w, m, v, g, a.s);
	store<FEW>(a.w, i, w, n);
	store<FEW>(a.m, i, m, n);
	store<FEW>(a.v, i, v, n);
}

struct SGD { Mem w, v, g; float lr, momentum, decay; int pad; };

KERNEL(sgd, THREADS, SGD) {
	int64 i = first<FEW>();
	int n = taken<FEW>(i, a.w.n);
	if (n <= 0) return;
	float w[FEW], v[FEW], g[FEW];
	load<FEW>(w, a.w, i, n);
	load<FEW>(v, a.v, i, n);
	load<FEW>(g, a.g, i, n);
#pragma unroll
	for (int k = 0; k < FEW; k++) {
		v[k] = a.momentum * v[k] + (g[k] + a.decay * w[k]);
		w[k] -= a.lr * v[k];
	}
	store<FEW>(a.w, i, w, n);
	store<FEW>(a.v, i, v, n);
}

struct Sign { Mem dst, x, y; Key key; int keep_zero, pad; };

// dst = x + y where their signs agree, or y = 0 and keep_zero
KERNEL(sign_agree, THREADS, Sign) {
	int64 i = first<FEW>();
	int n = taken<FEW>(i, a.dst.n);
	if (n <= 0) return;
	float x[FEW], y[FEW];
	load<FEW>(x, a.x, i, n);
	load<FEW>(y, a.y, i, n);
#pragma unroll
	for (int k = 0; k < FEW; k++) {
		bool agree = (x[k] > 0 && y[k] > 0) || (x[k] < 0 && y[k] < 0) || (a.keep_zero && y[k] == 0);
		x[k] = agree ? x[k] + y[k] : 0;
	}
	store<FEW>(a.dst, i, x, n);
}

// With P = ½(1+(x+y)/(|x|+|y|)) each of x, y is kept where it is positive and P > U, or negative and P < U.
KERNEL(sign_drop, THREADS, Sign) {
	int64 i = first<FEW>();
	int n = taken<FEW>(i, a.dst.n);
	if (n <= 0) return;
	float x[FEW], y[FEW], u[FEW];
	load<FEW>(x, a.x, i, n);
	load<FEW>(y, a.y, i, n);
	uniforms<FEW>(u, a.key, i);
#pragma unroll
	for (int k = 0; k < FEW; k++) {
		float p = 0.5f + 0.5f * (x[k] + y[k]) / (fabsf(x[k]) + fabsf(y[k])), sum = 0;
		if ((x[k] > 0 && p > u[k]) || (x[k] < 0 && p < u[k])) sum += x[k];
		if ((y[k] > 0 && p > u[k]) || (y[k] < 0 && p < u[k])) sum += y[k];
		x[k] = sum;
	}
	store<FEW>(a.dst, i, x, n);
}
