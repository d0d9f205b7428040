// Kernels that rearrange.
#include "common.cuh"

struct Patches { Mem dst, x; int64 n, c, h, w, p; };

// Images [n,c,h,w] to rows [n, (h/p)·(w/p), c·p·p]. A thread takes one element: neighbours read from rows of the
// image, p at a time.
KERNEL(patches, THREADS, Patches) {
	int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
	if (i >= a.dst.n) return;
	int64 t = i, col = t % a.p;
	t /= a.p;
	int64 y = t % a.p;
	t /= a.p;
	int64 ch = t % a.c;
	t /= a.c;
	int64 px = t % (a.w / a.p);
	t /= a.w / a.p;
	int64 py = t % (a.h / a.p), img = t / (a.h / a.p);
	set(a.dst, i, get(a.x, ((img * a.c + ch) * a.h + py * a.p + y) * a.w + px * a.p + col));
}

struct Gather { Mem dst, table; const int *ids; int64 width; };

// dst row r = table row ids[r], in packs by rows
KERNEL(gather, THREADS, Gather) {
	int64 packs = (a.width + PACK - 1) / PACK, t = first() / PACK, r = t / packs, c = (t - r * packs) * PACK;
	if (r * a.width >= a.dst.n) return;
	int n = taken(c, a.width);
	float v[PACK];
	load(v, a.table, a.ids[r] * a.width + c, n);
	store(a.dst, r * a.width + c, v, n);
}

struct ScatterAdd { Mem dst, x; const int *ids; int64 width, lanes, count; };

// dst row ids[r] += x row r in the order of r, for each lane: a thread owns a column of a lane.
KERNEL(scatter_add, THREADS, ScatterAdd) {
	int64 t = (int64)blockIdx.x * THREADS + threadIdx.x, lane = t / a.width, c = t % a.width;
	if (lane >= a.lanes) return;
	int64 table = a.dst.n / a.lanes;
	for (int64 r = 0; r < a.count; r++) {
		int64 to = lane * table + a.ids[r] * a.width + c;
		set(a.dst, to, get(a.dst, to) + get(a.x, (lane * a.count + r) * a.width + c));
	}
}
