package nn

import (
	"math"

	"fewshot/autograd"
	"fewshot/tensor"
)

// BatchNormEps is the epsilon of the batch norms of CLIP's ResNets.
const BatchNormEps = 1e-5

// ConvNorm is a convolution without bias, and the batch norm behind it with its running statistics, as at test time.
// With
//
//	scale = gain/√(var + eps)    shift = bias − mean·scale
//
// conv(x)·scale + shift is one convolution, by the weight whose filter o is multiplied by scale[o], with the bias
// shift. So it is computed; the gradients of weight, gain and bias are those of what it stands for.
type ConvNorm struct {
	W          *Param // [out, in, size, size]
	Gain, Bias *Param // [out]

	size, stride int
	rstd, mean   *tensor.Tensor // 1/√(var + eps), −mean
	folded       *fold          // made by Pack
}

// fold is the weight and the bias of the convolution that stands for both.
type fold struct{ w, shift *tensor.Tensor }

// NewConvNorm asks for the convolution's weight [out, in, size, size] below conv, and below norm for weight, bias,
// running_mean and running_var.
func NewConvNorm(w *Weights, conv, norm string, in, out, size, stride int) *ConvNorm {
	c := &ConvNorm{size: size, stride: stride}
	c.W = w.In(conv).Param(tensor.Compute, "weight", out, in, size, size)
	w = w.In(norm)
	c.Gain, c.Bias = w.Param(tensor.Full, "weight", out), w.Param(tensor.Full, "bias", out)
	mean, variance := w.Param(tensor.Full, "running_mean", out), w.Param(tensor.Full, "running_var", out)
	if mean.Value == nil { // a check
		return c
	}
	dev := mean.Value.Device()
	v := variance.Value.Float64s()
	for i, x := range v {
		v[i] = 1 / math.Sqrt(x+BatchNormEps)
	}
	c.rstd, c.mean = dev.New(tensor.Full, variance.Value.Shape()...), dev.New(tensor.Full, mean.Value.Shape()...)
	c.rstd.SetFloat64(v)
	tensor.Scale(c.mean, mean.Value, -1)
	return c
}

// Params are what training may change: the statistics are not among them.
func (c *ConvNorm) Params() []*Param { return []*Param{c.W, c.Gain, c.Bias} }

// Forward maps images [N, H, W, in] to [N, H', W', out], and adds the residual, of the result's shape, unless it is
// nil.
func (c *ConvNorm) Forward(x, residual *autograd.Var) *autograd.Var {
	w, shift := c.on(x.Tape())
	return autograd.Conv(x, w, shift, residual, c.size, c.stride)
}

// ForwardReLU is Forward with a ReLU behind it, in one operation.
func (c *ConvNorm) ForwardReLU(x, residual *autograd.Var) *autograd.Var {
	w, shift := c.on(x.Tape())
	return autograd.ConvReLU(x, w, shift, residual, c.size, c.stride)
}

// ForwardReLUOver is ForwardReLU for a residual that nobody will read any more; see [autograd.ConvReLUOver].
func (c *ConvNorm) ForwardReLUOver(x, residual *autograd.Var) *autograd.Var {
	w, shift := c.on(x.Tape())
	return autograd.ConvReLUOver(x, w, shift, residual, c.size, c.stride)
}

// on is the folded weight and bias as a tape sees them.
func (c *ConvNorm) on(t *autograd.Tape) (w, shift *autograd.Var) {
	if c.folded != nil && c.fixed() {
		return t.Const(c.folded.w), t.Const(c.folded.shift)
	}
	scale := autograd.Mul(c.Gain.On(t), t.Const(c.rstd))
	w = autograd.ConvWeight(c.W.On(t), scale)
	c.W.spend(t)
	return w, autograd.Add(c.Bias.On(t), autograd.Mul(scale, t.Const(c.mean)))
}

// fixed reports whether nothing that is folded is trained or seen through a view.
func (c *ConvNorm) fixed() bool {
	for _, p := range c.Params() {
		if p.Trainable || p.view != nil {
			return false
		}
	}
	return true
}

// Pack folds once for all that follows, for as much memory as the weight has, unless something of it is trained or
// under a mask.
func (c *ConvNorm) Pack(grad bool) {
	if c.folded != nil || !c.fixed() {
		return
	}
	t := autograd.NoGrad(c.W.Value.Device())
	defer t.Release()
	w, shift := c.on(t)
	w.Value.Retain()
	shift.Value.Retain()
	c.folded = &fold{w.Value, shift.Value}
	if c.size == 1 {
		tensor.Pack(w.Value, false)
		if grad {
			tensor.Pack(w.Value, true)
		}
	}
}

// Unpack undoes Pack. It must be called when values of the layer change.
func (c *ConvNorm) Unpack() {
	if c.folded != nil {
		tensor.Unpack(c.folded.w)
		c.folded.w.Release()
		c.folded.shift.Release()
		c.folded = nil
	}
}
