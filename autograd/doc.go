// Package autograd differentiates several losses in one backward sweep.
//
// A [Tape] remembers what was computed, in order. Each operation is one function that computes a value
// with package tensor and says, right beneath, how a cotangent of the value is pulled back to its
// inputs. There is no graph to compile and no registry: value and gradient are read together, so they
// cannot drift apart.
//
// # Lanes
//
// Mask tuning needs the gradients of two losses for every mask, separately. So a cotangent is not one
// tensor but a stack of K: its first axis is the lane axis, one lane a loss, and the rest is the shape of
// the value. [Backward] seeds lane k of loss k with 1 and walks the tape once; saved activations are read
// once; the activation gradient of a linear layer with K lanes is one multiplication with K times the rows.
//
// Hardly any operation mentions K. Package tensor counts axes from the right and broadcasts only suffixes,
// so a saved activation [B, L, D] meets a cotangent [K, B, L, D] without anybody's help. The exceptions are
// weight gradients, which stay apart by lane, and the losses, where lanes begin.
//
// Where a value was broadcast, its cotangent arrives with extra axes; [Sweep.Give] sums them. No
// operation does that by itself.
//
// # Memory
//
// Every tensor has a count of holders. The tape holds what operations allocate, until [Tape.Scope] ends or the tape is
// released; a recorded operation holds what its pullback will read, and nothing else, until the sweep has passed it.
// What costs little, a layer norm or an activation, is not held for the gradient of the weight it meets: the sweep
// computes it again. So peak memory is what gradients need plus one scope of working memory, and a tape that does not
// record, made by [NoGrad], runs a network in the memory of one block. Going back, a cotangent that nobody else holds
// is overwritten by the next ([Sweep.Over]), and a weight's second gradient is added to the first while it is computed
// ([Sweep.Accumulate]). Losses that are sums over parts of a batch need the memory of a part, by [BackwardParts], which
// also hands out each gradient as soon as it is complete: who uses it at once needs room for few.
//
// # Not handled
//
// Second derivatives; differentiation through integers; in-place changes of a tensor that a tape holds.
// Only package optim writes to live parameters, between tapes or when BackwardParts says that a tape is done with one.
package autograd
