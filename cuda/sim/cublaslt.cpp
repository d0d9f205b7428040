// A libcublasLt.so.12 on the CPU: products as cuBLASLt defines them, on column-major matrices, by the attributes
// that cublaslt.c of the backend sets. So the translation from row-major products is tested without a GPU. Like
// the real library it has nothing for narrow numbers at odd addresses, and says so. Like the real library it cannot
// be asked for algorithms, nor load one that was never run, while a stream is captured.
#include "shim.h"
#include <cstdlib>
#include <functional>
#include <set>

typedef std::function<void()> Work;
extern "C" void sim_queue(Work *w); // of libcuda.so.1 beside this
extern "C" int sim_capturing();

struct Layout {
	int type;
	uint64_t rows, cols;
	int64_t ld, offset = 0;
	int32_t batch = 1;
};
struct Desc {
	int32_t transa = 0, transb = 0;
	uint32_t epilogue = 1;
	uint64_t bias = 0;
};
struct Preference {
	uint32_t align[4] = {256, 256, 256, 256};
};
struct Heuristic {
	uint64_t algo[8];
	size_t workspace;
	int status;
	float waves;
	int reserved[4];
};

enum { OK = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15, R_32F = 0, R_16BF = 14 };

#define API extern "C" __attribute__((visibility("default")))

API int cublasLtCreate(void **h) { return *h = new int(0), OK; }
API int cublasLtDestroy(void *h) { return delete (int *)h, OK; }
API size_t cublasLtGetVersion() { return 120900; }

API int cublasLtMatmulDescCreate(Desc **d, int compute, int scale) {
	if (compute != 68 || scale != R_32F) return NOT_SUPPORTED;
	return *d = new Desc, OK;
}
API int cublasLtMatmulDescDestroy(Desc *d) { return delete d, OK; }
API int cublasLtMatmulDescSetAttribute(Desc *d, int a, const void *v, size_t n) {
	switch (a) {
	case 3: return n == 4 ? memcpy(&d->transa, v, n), OK : INVALID_VALUE;
	case 4: return n == 4 ? memcpy(&d->transb, v, n), OK : INVALID_VALUE;
	case 7: return n == 4 ? memcpy(&d->epilogue, v, n), OK : INVALID_VALUE;
	case 8: return n == 8 ? memcpy(&d->bias, v, n), OK : INVALID_VALUE;
	}
	return INVALID_VALUE;
}

API int cublasLtMatrixLayoutCreate(Layout **l, int type, uint64_t rows, uint64_t cols, int64_t ld) {
	if (ld < (int64_t)rows) return INVALID_VALUE;
	return *l = new Layout{type, rows, cols, ld}, OK;
}
API int cublasLtMatrixLayoutDestroy(Layout *l) { return delete l, OK; }
API int cublasLtMatrixLayoutSetAttribute(Layout *l, int a, const void *v, size_t n) {
	switch (a) {
	case 5: return n == 4 ? memcpy(&l->batch, v, n), OK : INVALID_VALUE;
	case 6: return n == 8 ? memcpy(&l->offset, v, n), OK : INVALID_VALUE;
	}
	return INVALID_VALUE;
}

API int cublasLtMatmulPreferenceCreate(Preference **p) { return *p = new Preference, OK; }
API int cublasLtMatmulPreferenceDestroy(Preference *p) { return delete p, OK; }
API int cublasLtMatmulPreferenceSetAttribute(Preference *p, int a, const void *v, size_t n) {
	if (a >= 5 && a <= 8 && n == 4) memcpy(&p->align[a - 5], v, n);
	return OK;
}

static bool fits(const Desc *d, const Layout *a, const Layout *b, const Layout *c) {
	uint64_t m = d->transa ? a->cols : a->rows, k = d->transa ? a->rows : a->cols;
	uint64_t kb = d->transb ? b->cols : b->rows, n = d->transb ? b->rows : b->cols;
	return m == c->rows && n == c->cols && k == kb && a->type == b->type && (a->type == R_16BF || c->type == R_32F);
}

// alignment is the power of two, up to 16, that an address is a multiple of; null is one of all.
static uint64_t alignment(uint64_t p) {
	uint64_t a = 16;
	while (p % a) a /= 2;
	return a;
}

// An algorithm that is proposed takes a bias that lies as well as the one that the description has by then, an addend that lies as
// well as it was said to, and no others.
API int cublasLtMatmulAlgoGetHeuristic(void *, Desc *d, Layout *a, Layout *b, Layout *c, Layout *, Preference *p, int, Heuristic *h, int *found) {
	static uint64_t proposed;
	*found = 0;
	if (sim_capturing()) return INTERNAL_ERROR;
	if (!fits(d, a, b, c)) return INVALID_VALUE;
	if (a->type == R_16BF && (p->align[0] < 16 || p->align[1] < 16 || a->ld % 8 || b->ld % 8)) return NOT_SUPPORTED;
	memset(h, 0, sizeof *h);
	h->algo[0] = 0xfee7, h->algo[1] = proposed++, h->algo[2] = alignment(d->bias), h->algo[3] = p->align[2];
	*found = 1;
	return OK;
}

static float get(const void *p, int type, int64_t i) {
	return type == R_16BF ? __uint_as_float((uint32_t)((const uint16_t *)p)[i] << 16) : ((const float *)p)[i];
}
static void put(void *p, int type, int64_t i, float v) {
	if (type != R_16BF) {
		((float *)p)[i] = v;
		return;
	}
	uint32_t u = __float_as_uint(v);
	((uint16_t *)p)[i] = v != v ? 0x7fff : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static void *at(const void *p, const Layout &l, int i) { return (char *)p + i * l.offset * (l.type == R_16BF ? 2 : 4); }

API int cublasLtMatmul(void *, Desc *desc, const float *alpha, const void *a, Layout *la, const void *b, Layout *lb, const float *beta, const void *c,
	Layout *lc, void *out, Layout *ld, const uint64_t *algo, void *, size_t, void *stream) {
	if (!stream) return EXECUTION_FAILED; // it is the legacy one
	if (!fits(desc, la, lb, ld) || lc != ld || algo[0] != 0xfee7) return INVALID_VALUE;
	if (desc->epilogue == 4 && desc->bias % algo[2]) return EXECUTION_FAILED;
	if (*beta != 0 && (uint64_t)c % algo[3]) return EXECUTION_FAILED;
	const char *refused = getenv("FEWSHOT_SIM_REFUSE");
	if (refused && strcmp(refused, "cublasLtMatmul") == 0) return NOT_SUPPORTED;
	static std::set<uint64_t> loaded;
	if (!sim_capturing()) loaded.insert(algo[1]);
	else if (!loaded.count(algo[1])) return EXECUTION_FAILED;
	Work w = [d = *desc, A = *la, B = *lb, D = *ld, alpha = *alpha, beta = *beta, a, b, c, out] {
		int64_t k = d.transa ? A.rows : A.cols;
		for (int i = 0; i < D.batch; i++)
			for (uint64_t col = 0; col < D.cols; col++)
				for (uint64_t row = 0; row < D.rows; row++) {
					double sum = 0;
					for (int64_t e = 0; e < k; e++)
						sum += (double)get(at(a, A, i), A.type, d.transa ? row * A.ld + e : e * A.ld + row) *
							get(at(b, B, i), B.type, d.transb ? e * B.ld + col : col * B.ld + e);
					float v = alpha * (float)sum;
					if (beta != 0) v += beta * get(at(c, D, i), D.type, col * D.ld + row);
					if (d.epilogue == 4) v += get((const void *)d.bias, D.type, row);
					put(at(out, D, i), D.type, col * D.ld + row, v);
				}
	};
	return sim_queue(&w), OK;
}
