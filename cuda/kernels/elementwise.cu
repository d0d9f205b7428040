// Elementwise kernels, and those that move and convert.
#include "common.cuh"

// each runs BODY on packs: d[k] is to be made of x[k] and y[k]. y is a suffix operand.
#define EACH(BODY)                            \
	int64 i = first();                        \
	int n = taken(i, a.dst.n);                \
	if (n <= 0) return;                       \
	float d[PACK], x[PACK], y[PACK];          \
	Words<PACK> wx = fetch(a.x, i, n), wy = fetch(a.y, i, n); \
	unpack(x, wx);                            \
	unpack(y, wy);                            \
	_Pragma("unroll") for (int k = 0; k < PACK; k++) { BODY; } \
	store(a.dst, i, d, n)

struct Binary { Mem dst, x, y; };

// dst = x + y
KERNEL(add, THREADS, Binary) { EACH(d[k] = x[k] + y[k]); }

// dst = x·y
KERNEL(mul, THREADS, Binary) { EACH(d[k] = x[k] * y[k]); }

struct Factor { Mem dst, x, y; float c; int pad; };

// dst = y + c·x, where y may be dst
KERNEL(axpy, THREADS, Factor) { EACH(d[k] = y[k] + a.c * x[k]); }

// dst = x where y > c, else 0
KERNEL(mask, THREADS, Factor) { EACH(d[k] = y[k] > a.c ? x[k] : 0); }

struct Unary { Mem dst, x; float c; int pad; };

#define EACH1(BODY)                           \
	int64 i = first();                        \
	int n = taken(i, a.dst.n);                \
	if (n <= 0) return;                       \
	float d[PACK], x[PACK];                   \
	load(x, a.x, i, n);                       \
	_Pragma("unroll") for (int k = 0; k < PACK; k++) { BODY; } \
	store(a.dst, i, d, n)

// dst = c·x
KERNEL(scale, THREADS, Unary) { EACH1(d[k] = a.c * x[k]); }

// dst = exp x
KERNEL(exponential, THREADS, Unary) { EACH1(d[k] = expf(x[k])); }

struct Fill { Mem dst; float c; int pad; };

KERNEL(fill, THREADS, Fill) {
	int64 i = first();
	int n = taken(i, a.dst.n);
	if (n <= 0) return;
	float d[PACK];
#pragma unroll
	for (int k = 0; k < PACK; k++) d[k] = a.c;
	store(a.dst, i, d, n);
}

struct Copy2D { Mem dst, src; int64 rows, cols, ldd, lds; };

// dst[r·ldd+c] = src[r·lds+c]. A pack may not cross the end of a row: packs are counted by rows.
KERNEL(copy_2d, THREADS, Copy2D) {
	int64 packs = (a.cols + PACK - 1) / PACK, t = first() / PACK;
	if (t >= a.rows * packs) return;
	int64 r = t / packs, c = (t - r * packs) * PACK;
	int n = taken(c, a.cols);
	float v[PACK];
	load(v, a.src, r * a.lds + c, n);
	store(a.dst, r * a.ldd + c, v, n);
}
