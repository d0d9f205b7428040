// Package optim changes parameters by gradients: Adam, AdamW and SGD as PyTorch has them, learning rate
// schedules, and the rules that make one update from the gradients of two losses.
//
// A [Rule] is the seam for research on conflicting gradients. It sees the scores, the gradient a of the
// task's loss and the gradient b of the distillation loss, and updates the scores through any
// [Optimizer]: gradient dropout (the paper's method), the plain sum, AgreeGrad, ProGrad, PCGrad, gradient sign dropout.
package optim
