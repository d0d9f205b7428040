package tensor

import "fewshot/tensor/internal/pages"

// FileBytes is the memory of x as bytes, four for each element, lowest first: what checkpoints store, so that files are
// read right into it and written from it. On a machine that has bytes in the other order, and of no elements, it is nil.
func FileBytes(x []float32) []byte { return pages.Bytes(x) }
