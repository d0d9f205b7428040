//go:build cuda

/* cuBLASLt by our own declarations, found at run time. Its matrices are column-major: a row-major matrix is
   its own transpose there, so that d = a·b is computed as dᵀ = bᵀ·aᵀ, with nothing moved. */
#include "shim.h"
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct opaque *P;

enum { COMPUTE_32F = 68, R_32F = 0 };                                              /* computing in float32, not TF32 */
enum { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8 };
enum { LAYOUT_BATCH_COUNT = 5, LAYOUT_BATCH_OFFSET = 6 };
enum { PREF_WORKSPACE = 1, PREF_REDUCTION = 3, PREF_ALIGN_A = 5, PREF_ALIGN_B = 6, PREF_ALIGN_C = 7, PREF_ALIGN_D = 8 };
enum { NOT_SUPPORTED = 15, EPILOGUE_BIAS = 4, REDUCTION_INPLACE = 1, REDUCTION_MASK = 7 };

typedef struct { uint64_t data[8]; } algorithm;
typedef struct {
	algorithm algo;
	size_t workspace;
	int status;
	float waves;
	int reserved[4];
} heuristic;

#define FUNCTIONS(F) \
	F(cublasLtCreate, int, (P *)) \
	F(cublasLtDestroy, int, (P)) \
	F(cublasLtGetVersion, size_t, (void)) \
	F(cublasLtMatmulDescCreate, int, (P *, int, int)) \
	F(cublasLtMatmulDescSetAttribute, int, (P, int, const void *, size_t)) \
	F(cublasLtMatrixLayoutCreate, int, (P *, int, uint64_t, uint64_t, int64_t)) \
	F(cublasLtMatrixLayoutSetAttribute, int, (P, int, const void *, size_t)) \
	F(cublasLtMatmulPreferenceCreate, int, (P *)) \
	F(cublasLtMatmulPreferenceSetAttribute, int, (P, int, const void *, size_t)) \
	F(cublasLtMatmulPreferenceDestroy, int, (P)) \
	F(cublasLtMatmulAlgoGetHeuristic, int, (P, P, P, P, P, P, P, int, heuristic *, int *)) \
	F(cublasLtMatmul, int, (P, P, const void *, const void *, P, const void *, P, const void *, const void *, P, void *, P, \
		const algorithm *, void *, size_t, P)) \
	F(cublasLtMatmulDescDestroy, int, (P)) \
	F(cublasLtMatrixLayoutDestroy, int, (P))

/* A plan is how products of one shape are made. */
typedef struct plan {
	lt_shape shape;
	int refused;
	P desc, a, b, d;
	algorithm algo;
	struct plan *next;
} plan;

typedef struct {
#define MEMBER(name, result, parameters) result(*name) parameters;
	FUNCTIONS(MEMBER)
	P handle;
	plan *plans;
} library;

static size_t say(char *log, size_t n, const char *what, const char *how) {
	size_t used = strlen(log);
	if (used < n) snprintf(log + used, n - used, "%s%s: %s", used ? "; " : "", what, how);
	return used;
}

/* try opens one library; it is good if it gives a handle. */
static library *try(const char *path, char *log, size_t n) {
	void *l = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!l) {
		say(log, n, path, "not found");
		return 0;
	}
	library *lt = calloc(1, sizeof *lt);
	if (!lt) return 0;
#define LOOK_UP(name, result, parameters)                             \
	if (!(lt->name = (result(*) parameters)dlsym(l, #name))) {        \
		say(log, n, path, "has no function " #name);                  \
		free(lt);                                                     \
		return 0;                                                     \
	}
	FUNCTIONS(LOOK_UP)
	int status = lt->cublasLtCreate(&lt->handle);
	if (status) {
		char text[32];
		snprintf(text, sizeof text, "cublasLtCreate gives %d", status);
		say(log, n, path, text);
		free(lt);
		return 0;
	}
	say(log, n, path, "in use");
	return lt;
}

/* try_all tries what a pattern of the shell's matches. */
static library *try_all(const char *folder, const char *pattern, char *log, size_t n) {
	char full[1024];
	glob_t g;
	library *lt = 0;
	snprintf(full, sizeof full, "%s%s", folder, pattern);
	if (glob(full, 0, 0, &g)) {
		say(log, n, full, "not found");
		return 0;
	}
	for (size_t i = 0; i < g.gl_pathc && !lt; i++) lt = try(g.gl_pathv[i], log, n);
	globfree(&g);
	return lt;
}

int lt_open(uintptr_t context, uintptr_t *handle, char *log, size_t n) {
	int status = shim_set_current(context);
	if (status) return status;
	log[0] = 0;
	const char *chosen = getenv("FEWSHOT_CUBLASLT");
	library *lt = 0;
	if (chosen && *chosen) {
		if (strcmp(chosen, "none") != 0) lt = try(chosen, log, n);
	} else {
		const char *venv = getenv("VIRTUAL_ENV"), *conda = getenv("CONDA_PREFIX");
		static const char *const fixed[] = {"libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so.13",
			"/usr/local/cuda/lib64/libcublasLt.so.12", "/opt/cuda/lib64/libcublasLt.so.13", "/opt/cuda/lib64/libcublasLt.so.12"};
		for (size_t i = 0; i < sizeof fixed / sizeof *fixed && !lt; i++) lt = try(fixed[i], log, n);
		if (!lt && venv) lt = try_all(venv, "/lib/python3*/site-packages/nvidia/*/lib/libcublasLt.so.1[23]", log, n);
		if (!lt && conda) lt = try_all(conda, "/lib/libcublasLt.so.1[23]", log, n);
	}
	*handle = (uintptr_t)lt;
	return 0;
}

size_t lt_version(uintptr_t handle) { return ((library *)handle)->cublasLtGetVersion(); }

static void drop(library *lt, plan *p) {
	if (p->desc) lt->cublasLtMatmulDescDestroy(p->desc);
	if (p->a) lt->cublasLtMatrixLayoutDestroy(p->a);
	if (p->b) lt->cublasLtMatrixLayoutDestroy(p->b);
	if (p->d) lt->cublasLtMatrixLayoutDestroy(p->d);
	free(p);
}

int lt_close(uintptr_t context, uintptr_t handle) {
	library *lt = (library *)handle;
	shim_set_current(context);
	while (lt->plans) {
		plan *p = lt->plans;
		lt->plans = p->next;
		drop(lt, p);
	}
	int status = lt->cublasLtDestroy(lt->handle);
	free(lt);
	return status;
}

/* layout describes a row-major matrix of rows × cols as the transpose it is to the library. */
static int layout(library *lt, P *l, int type, int64_t rows, int64_t cols, int64_t ld, int64_t batch, int64_t stride) {
	int32_t count = (int32_t)batch;
	int status = lt->cublasLtMatrixLayoutCreate(l, type, cols, rows, ld);
	if (!status && batch > 1) status = lt->cublasLtMatrixLayoutSetAttribute(*l, LAYOUT_BATCH_COUNT, &count, sizeof count);
	if (!status && batch > 1) status = lt->cublasLtMatrixLayoutSetAttribute(*l, LAYOUT_BATCH_OFFSET, &stride, sizeof stride);
	return status;
}

/* make fills a plan. The first algorithm of the library's list is taken, always: timing them would make results
   depend on the timing. Sums that several blocks add to in place are refused, as their order is open. The library looks at
   where the bias lies before it proposes one: an algorithm for a bias at any multiple of 16 bytes may fail on another. */
static int make(library *lt, plan *p, uint64_t bias, size_t workspace) {
	const lt_shape *s = &p->shape;
	int32_t ta = s->trans_b, tb = s->trans_a; /* the operands change places */
	uint32_t epilogue = EPILOGUE_BIAS, reduction = REDUCTION_MASK & ~REDUCTION_INPLACE;
	uint32_t align[4] = {s->align_b, s->align_a, s->align_c ? s->align_c : s->align_d, s->align_d};
	uint64_t bytes = workspace;
	P pref = 0;
	heuristic h;
	int found = 0, status;
	if ((status = lt->cublasLtMatmulDescCreate(&p->desc, COMPUTE_32F, R_32F))) return status;
	if ((status = lt->cublasLtMatmulDescSetAttribute(p->desc, DESC_TRANSA, &ta, sizeof ta))) return status;
	if ((status = lt->cublasLtMatmulDescSetAttribute(p->desc, DESC_TRANSB, &tb, sizeof tb))) return status;
	if (s->has_bias && (status = lt->cublasLtMatmulDescSetAttribute(p->desc, DESC_EPILOGUE, &epilogue, sizeof epilogue))) return status;
	if (s->has_bias && (status = lt->cublasLtMatmulDescSetAttribute(p->desc, DESC_BIAS_POINTER, &bias, sizeof bias))) return status;
	if ((status = layout(lt, &p->a, s->type_ab, s->trans_b ? s->n : s->k, s->trans_b ? s->k : s->n, s->ldb, s->batch, s->stride_b))) return status;
	if ((status = layout(lt, &p->b, s->type_ab, s->trans_a ? s->k : s->m, s->trans_a ? s->m : s->k, s->lda, s->batch, s->stride_a))) return status;
	if ((status = layout(lt, &p->d, s->type_d, s->m, s->n, s->ldd, s->batch, s->stride_d))) return status;
	if ((status = lt->cublasLtMatmulPreferenceCreate(&pref))) return status;
	lt->cublasLtMatmulPreferenceSetAttribute(pref, PREF_WORKSPACE, &bytes, sizeof bytes);
	lt->cublasLtMatmulPreferenceSetAttribute(pref, PREF_REDUCTION, &reduction, sizeof reduction);
	for (int i = 0; i < 4; i++) lt->cublasLtMatmulPreferenceSetAttribute(pref, PREF_ALIGN_A + i, &align[i], sizeof align[i]);
	status = lt->cublasLtMatmulAlgoGetHeuristic(lt->handle, p->desc, p->a, p->b, p->d, p->d, pref, 1, &h, &found);
	lt->cublasLtMatmulPreferenceDestroy(pref);
	/* The library says NOT_SUPPORTED, or INVALID_VALUE, 7, to shapes it has nothing for. */
	p->refused = status || found < 1 || h.status;
	if (!p->refused) p->algo = h.algo;
	return 0;
}

/* alignment is the power of two, up to 256, that an address is a multiple of. */
static int32_t alignment(uint64_t p) {
	int32_t a = 256;
	while (p % a) a /= 2;
	return a;
}

int lt_matmul(uintptr_t context, uintptr_t handle, uintptr_t stream, const lt_shape *shape, uint64_t a, uint64_t b, uint64_t c,
	uint64_t d, uint64_t bias, uint64_t workspace, size_t workspace_bytes, int may_plan) {
	library *lt = (library *)handle;
	lt_shape s = *shape;
	int status = shim_set_current(context);
	if (status) return status;
	s.align_a = alignment(a), s.align_b = alignment(b), s.align_d = alignment(d);
	s.align_c = c ? alignment(c) : 0, s.align_bias = s.has_bias ? alignment(bias) : 0;
	plan *p = lt->plans;
	while (p && memcmp(&p->shape, &s, sizeof s) != 0) p = p->next;
	if (!p && !may_plan) return LT_UNPLANNED;
	if (!p) {
		if (!(p = calloc(1, sizeof *p))) return 2; /* out of memory */
		p->shape = s;
		if ((status = make(lt, p, bias, workspace_bytes))) {
			drop(lt, p);
			return status;
		}
		p->next = lt->plans;
		lt->plans = p;
	}
	if (p->refused) return LT_REFUSED;
	if (s.has_bias && (status = lt->cublasLtMatmulDescSetAttribute(p->desc, DESC_BIAS_POINTER, &bias, sizeof bias))) return status;
	float one = 1, beta = c ? 1 : 0;
	status = lt->cublasLtMatmul(lt->handle, p->desc, &one, (void *)b, p->a, (void *)a, p->b, &beta, (void *)(c ? c : d), p->d, (void *)d, p->d, &p->algo,
		(void *)workspace, workspace_bytes, (P)stream);
	/* What was proposed may be refused after all; nothing is queued then. */
	if (status == NOT_SUPPORTED && may_plan) {
		p->refused = 1;
		return LT_REFUSED;
	}
	return status;
}
