package nn

// Formula is a classifier of image features in numbers, for who computes it in another program. With a feature f of D
// numbers as the encoder gives it, and all matrices row by row,
//
//	x      = Ratio·relu(Up·relu(Down·f)) + (1−Ratio)·f, or f where there is no Down
//	u      = x/‖x‖, or x where it is Raw
//	logits = Scale·Classes·u + Bias + Alpha·exp(−Beta(1 − Keys·u))·Values
//
// without Bias, and without the last term, where they are nil.
type Formula struct {
	Down, Up     []float32 // [M, D] and [D, M]
	Ratio        float64
	Raw          bool
	Classes      []float32 // [C, D]
	Scale        float64
	Bias         []float32 // [C]
	Keys, Values []float32 // [N, D] and [N, C]
	Alpha, Beta  float64
}
