/* libcuda.a, which stands in for the driver's library when a program is linked: each function looks its
   namesake up in the driver's own libcuda.so.1 when it is first called, and passes the call on. So the program
   links where there is no driver, starts where there is none, and can say what is missing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include "cuda.h"

static void *find(const char *name) {
	static void *library; /* a race would open it twice, which does no harm */
	if (!library) library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
	return library ? dlsym(library, name) : 0;
}

/* The name that is exported is what the macro of that name stands for. */
#define TEXT(x) #x
#define EXPORTED(x) TEXT(x)

/* 303 is how the driver's API says that a shared object could not be loaded. */
#define DEFINE(name, parameters, arguments)                                   \
	CUresult name parameters {                                                \
		static CUresult(*driver) parameters;                                  \
		if (!driver) driver = (CUresult(*) parameters)find(EXPORTED(name));   \
		return driver ? driver arguments : CUDA_ERROR_SHARED_OBJECT_INIT_FAILED; \
	}
CUDA_FUNCTIONS(DEFINE)
