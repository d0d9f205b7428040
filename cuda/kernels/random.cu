// Random numbers.
#include "philox.cuh"

struct Random { Mem dst; Key key; };

KERNEL(uniform, THREADS, Random) {
	int64 i = first();
	int n = taken(i, a.dst.n);
	if (n <= 0) return;
	float u[PACK];
	uniforms<PACK>(u, a.key, i);
	store(a.dst, i, u, n);
}

// Box and Muller's transform in double precision: weights must start the same on every device. A thread
// takes one pair.
KERNEL(normal, THREADS, Random) {
	int64 i = 2 * ((int64)blockIdx.x * THREADS + threadIdx.x);
	if (i >= a.dst.n) return;
	uint32_t w[4];
	philox(w, a.key, i / 2);
	double r = sqrt(-2 * log((w[0] + 0.5) / 4294967296.0)), s, c;
	sincospi(w[1] / 2147483648.0, &s, &c);
	set(a.dst, i, (float)(r * c));
	if (i + 1 < a.dst.n) set(a.dst, i + 1, (float)(r * s));
}
