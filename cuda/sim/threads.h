#pragma once
#include "shim.h"

const Entry *find_entry(const char *name);

// run_kernel runs all blocks. It is false if threads of a block wait for each other for ever.
bool run_kernel(const Entry *e, unsigned blocks, unsigned threads, const void *args);
