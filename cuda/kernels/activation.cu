// Activations and their gradients.
#include "common.cuh"

enum { QUICK_GELU, GELU, RELU, TANH_GELU }; // as tensor.Activation

// (1 + tanh(sqrt(2/pi)(x + 0.044715x^3)))/2. Beyond 30 it is 0 or 1, and the cube could be infinite.
__device__ inline float half_tanh(float x) {
	x = fminf(fmaxf(x, -30.0f), 30.0f);
	return reciprocal(1 + expf(-x * (1.5957691216057308f + 0.0713548162726003f * x * x)));
}

__device__ inline float value(int kind, float x) {
	switch (kind) {
	case QUICK_GELU: return x * reciprocal(1 + expf(-1.702f * x));
	case GELU: return x * (0.5f * erfcf(-0.70710678118654752f * x)); // by erfc: 1+erf cancels for negative x
	case TANH_GELU: return x != x ? x : x * half_tanh(x);
	default: return x < 0 ? 0 : x; // NaN stays
	}
}

__device__ inline float slope(int kind, float x) {
	switch (kind) {
	case QUICK_GELU: {
		float s = reciprocal(1 + expf(-1.702f * x));
		return s * (1 + 1.702f * x * (1 - s));
	}
	case GELU: return 0.5f * erfcf(-0.70710678118654752f * x) + x * (expf(-0.5f * x * x) * 0.39894228040143268f);
	case TANH_GELU: {
		float s = half_tanh(x), c = fminf(fmaxf(x, -30.0f), 30.0f);
		return x != x ? x : s * (1 + c * (1 - s) * (1.5957691216057308f + 3 * 0.0713548162726003f * c * c));
	}
	default: return 1;
	}
}

struct Activate { Mem dst, x; int kind, pad; };

KERNEL(activate, THREADS, Activate) {
	int64 i = first();
	int n = taken(i, a.dst.n);
	if (n <= 0) return;
	float x[PACK];
	load(x, a.x, i, n);
#pragma unroll
	for (int k = 0; k < PACK; k++) x[k] = value(a.kind, x[k]);
	store(a.dst, i, x, n);
}

struct ActivateGrad { Mem dst, ct, x; int kind, pad; };

// dst = ct·slope(x), x a suffix operand: a thread takes its elements of all lanes. What ReLU cuts off is 0 even where ct is
// not a number.
KERNEL(activate_grad, THREADS, ActivateGrad) {
	int64 i = first();
	int n = taken(i, a.x.n);
	if (n <= 0 || i >= a.dst.n) return;
	float ct[PACK], x[PACK], rise[PACK];
	Words<PACK> wx = fetch(a.x, i, n), next = fetch(a.ct, i, n);
	unpack(x, wx);
#pragma unroll
	for (int k = 0; k < PACK; k++) rise[k] = slope(a.kind, x[k]);
	for (; i < a.dst.n; i += a.x.n) {
		unpack(ct, next);
		if (i + a.x.n < a.dst.n) next = fetch(a.ct, i + a.x.n, n);
#pragma unroll
		for (int k = 0; k < PACK; k++) {
			if (a.kind == RELU)
				ct[k] = x[k] > 0 ? ct[k] : 0;
			else
				ct[k] *= rise[k];
		}
		store(a.dst, i, ct, n);
	}
}
