// Package tensortest holds the meaning of every kernel, and checks devices against it.
//
// A device's whole test is one call:
//
//	func TestConformance(t *testing.T) {
//		tensortest.Run(t, func(o tensor.Options) (*tensor.Device, error) { return tensor.Open("cpu", o) })
//	}
//
// Run takes each method of tensor.Backend through a table of cases, by the checked entry points of
// package tensor where there is one. A case says in plain float64 loops what the result is. These
// definitions are naive on purpose and share no code with any device: where a device and a definition
// differ, read the definition against the comment in tensor/backend.go, which is the contract.
// The files carry the names of the files in package tensor whose functions they test.
//
// # Tolerances
//
// No tolerance is typed in. A definition computes with numbers that carry a bound on the rounding error
// that a faithful kernel may make, from the device's own unit roundoff (see num); sums allow any order
// of summation. Where all terms are whole numbers that the format holds exactly there is nothing to
// round, so the bound is zero: every sum is therefore also tested on small whole numbers, where a term
// that is missing, doubled or out of place cannot hide. Functions such as exp have an allowance of a few units
// in the last place. A result whose keep decision hangs on a difference smaller than the bound may be
// either outcome.
//
// # What else a case catches
//
// Every operand is a view inside a larger tensor. Around inputs lies NaN, so that what is read beyond
// the end shows; around outputs lies a guard value that must still be there afterwards. Inputs
// must not change, except where dst is documented to be allowed to be an input: those cases are run
// both ways. Outputs are NaN before the kernel runs, so that what is never written shows. NaN in an
// input must come out again: a diverged training must not look healthy.
//
// SameBits runs the same table with several numbers of workers and compares the results bit by bit.
//
// # What it does not do
//
// It measures no speed, and it does not try out-of-range calls of Backend methods: the checked entry points
// exist so that kernels need not expect any. That those do refuse wrong shapes is part of the table.
package tensortest
