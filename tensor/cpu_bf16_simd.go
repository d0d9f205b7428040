package tensor

// vectorNarrowHost is narrowHost with the operations that matter in one pass.
type vectorNarrowHost struct{ narrowHost }
