// Package pyrand reproduces the integer-seeded generator of Python's random module, bit for bit.
//
// Few-shot learning papers draw their training images with random.seed(n) and random.sample, so
// "16 shots, seed 1" means one exact list of files. Comparing with those papers on the same images
// needs the same generator (MT19937) and, as much, the same ways of turning its outputs into
// indices, which are CPython's own: Sample has two algorithms and chooses between them by size,
// Shuffle walks downwards, and a number below n is drawn by rejection. All of them are stable since
// Python 3.2; the vectors under testdata are from CPython 3.11.
//
// Nothing else in this program may draw from here: a stateful stream makes results depend on the
// order of calls, which is right only where that order is what is being reproduced.
package pyrand
