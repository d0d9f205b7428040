package tensor

// Activation is a pointwise non-linearity.
type Activation uint8

const (
	QuickGELU Activation = iota // x·σ(1.702x), of OpenAI's CLIP
	GELU                        // x·Φ(x), the exact form with erf
	ReLU                        // max(x, 0)
	TanhGELU                    // x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, an approximation of GELU; of SigLIP
)

func (a Activation) String() string { return [...]string{"quickgelu", "gelu", "relu", "gelu-tanh"}[a] }

// Activate is dst = a(x). dst may be x.
func Activate(dst, x *Tensor, a Activation) {
	check(sameLen(dst, x), "Activate", "dst like x", "dst x", dst, x)
	dst.dev.backend.Activate(dst.buf, x.buf, a)
}

// ActivateGrad is dst = ct ⊙ a'(x), where x's shape is a suffix of ct's. dst may be ct.
func ActivateGrad(dst, ct, x *Tensor, a Activation) {
	check(sameLen(dst, ct) && IsSuffix(x.shape, ct.shape), "ActivateGrad", "dst like ct, x a suffix of ct", "dst ct x", dst, ct, x)
	dst.dev.backend.ActivateGrad(dst.buf, ct.buf, x.buf, a)
}
