#pragma once
#include "shim.h"

const Entry *find_entry(const char *name);

// run_kernel runs all blocks, each with so many bytes of dynamic shared memory. It is false if threads of a block
// wait for each other for ever, or write behind that memory.
bool run_kernel(const Entry *e, unsigned blocks, unsigned threads, unsigned shared, const void *args);
