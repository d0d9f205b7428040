// Package train is the loop that all methods share. What a method learns may sit at the encoders' input (a prompt),
// inside their weights (a mask, LoRA), or behind them (an adapter, a classifier); how it is learned is the same
// everywhere:
//
//	Learner     what a method gives: its trained tensors, the losses of a part of a batch, how their gradients become an update
//	Trainer     one step: the gradients of all losses in one recorded sweep, in parts of a batch, and the updates, each as soon as it can be
//	Run         epochs of steps over Data, from any position, with reports and checkpoints
//	State       a training checkpoint: trained tensors, optimizers, position and history, sealed
//	Classifier  what a method leaves: images to logits; Predict and Features run one over batches
//
// A method is written by embedding [Base] and saying what it trains and what it loses:
//
//	type learner struct {
//		train.Base
//		context *nn.Param // [16, 512]
//		…
//	}
//
//	func (l *learner) Groups() []train.Group {
//		return []train.Group{{Params: []*nn.Param{l.context}, Optimizer: optim.NewSGD(0.9, 5e-4)}}
//	}
//
//	func (l *learner) Plan() train.Plan { return train.Plan{Lanes: 1, Classes: l.classes} }
//
//	func (l *learner) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
//		logits := …
//		return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
//	}
//
// Losses is asked while a program is being recorded, at least twice, and the program then runs for every batch: it
// may not read results, and whatever changes from step to step lies in tensors that Begin fills, or in the labels.
package train
