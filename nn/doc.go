// Package nn is the layers that CLIP's encoders are made of, and how they come by their weights.
//
// # Weights
//
// A layer has no name. Its constructor asks a [Weights] for what it needs by the names in checkpoints, relative to
// where it stands, and with the shapes it expects:
//
//	w := nn.NewWeights(dev, model) // model: anything with names, shapes and values, as a checkpoint
//	block := nn.NewBlock(w.In("visual", "transformer", "resblocks", 3), config)
//	if err := w.Err(); err != nil {
//		return err // every missing tensor and every wrong shape, together
//	}
//	unused := w.Unused() // what the file holds and no layer asked for
//
// So names occur in constructors and nowhere else, and a model that was built at all has every weight from the
// file: a constructor that meets a fault goes on with zeros only to find the rest, and the caller learns of it from Err.
//
// # Parameters
//
// A [Param] is a tensor with its checkpoint name. Layers ask it for its value on a tape, each time they run. What they
// get is a constant, or a leaf if the parameter is Trainable, or whatever a view makes of it: [Param.Parametrize] puts a
// function between the tensor and the layers, as torch.nn.utils.parametrize does. A mask is such a view; a low-rank
// update would be another. Nobody who uses the parameter can tell, and on one tape all who use it share
// one result.
//
// Two layers that ask for one name get two Params over one tensor. A student and its teacher are two encoders over the
// same [Weights]: the student's Params are masked, the teacher's are not, and the memory is there once.
//
// # Layers
//
// [Linear], [LayerNorm], [Attention], [MLP], [Block] and [Transformer] are CLIP's, pre-norm, with a packed
// projection for queries, keys and values. Activations are [B, L, D]: sequences, tokens, channels. Forward takes and
// returns values on a tape; each half of a block runs in a memory scope of its own, so that without gradients
// a transformer of any depth runs in the memory of one block. ForwardFirst is token 0 of Forward, exactly, at the cost of
// one query a sequence: an image encoder reads no other token of its last block.
//
// # Not handled
//
// Dropout, batch normalisation and convolutions other than patch embeddings: vision transformers of CLIP have none.
package nn
