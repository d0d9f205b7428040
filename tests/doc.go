// Package tests holds what no single package can test: who imports whom, whether every exported name is
// explained, whether the whole computes what the reference implementations of CLIP and of R-AMT compute, and
// whether it does so to the same bits however many threads help. It has no code of its own.
//
//	go test ./tests                          everything; needs Go alone
//	go test ./tests -v -run Parity           prints the largest error against PyTorch by fixture and device
//	python tests/peers/table.py -short       speed and memory beside PyTorch and C libraries on this machine
//
// testdata/README.md says where each number comes from and how to make it again.
package tests
