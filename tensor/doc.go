// Package tensor is blocks of numbers on devices, and the operations on them that a transformer and its
// training need.
//
//	dev, err := tensor.Open("cpu", tensor.Options{})
//	x := dev.From(pixels, 32, 197, 768) // [B, L, D]
//	w := dev.From(weight, 3072, 768)    // [out, in], as in checkpoints
//	y := dev.New(tensor.Compute, 32, 197, 3072)
//	tensor.Gemm(y, x, w, tensor.GemmOptions{TransB: true, Bias: bias})
//	tensor.Activate(y, y, tensor.QuickGELU)
//	v := y.Floats()
//
// # Tensors
//
// A [Tensor] is contiguous and row-major; there are no strides. Axes are counted from the right, so that
// code about the last axis does not mind how many stand before it. The only broadcast is the suffix: in
// Add(dst, x, y) the shape of y may be the tail of x's, and element i of x meets element i mod Len(y) of y.
// A bias is a suffix of activations, and a saved activation [B, L, D] is a suffix of its gradients [K, B, L, D].
//
// That leading K is the lane axis: one lane a loss. The gradient functions take a cotangent of K
// lanes together with what the forward pass saved once. Most need no notion of lanes, since a lane axis is
// just a few more rows; those that sum over rows (SumTo, LayerNormParamGrad, ScatterAdd) keep the lanes
// apart, and AttentionGrad recomputes its probabilities once for all of them. Package autograd builds on this.
//
// # Operations
//
// Every operation writes to dst, its first argument, which exists already: operations allocate no tensors.
// dst may be one of the operands where the comment says so. An operation first checks shapes, and then
// makes one call of its device's [Backend], which cannot fail. A wrong shape is a bug of the calling
// program and panics with a [ShapeError] that names the operation, its rule and all operands. What the
// outside world gets wrong (an unknown device, a precision that is not offered) is an error from Open.
//
// The operations come in families: elementwise, activation, gemm, heads, rowwise, attention, layout, pictures, reduce,
// loss, random and update. Each has a file of its name here, in the kernels of each device (heads are of gemm's), and in
// tensortest.
//
// # Memory
//
// Device.New takes memory from the device's pool, and Release gives it back when nobody holds it any
// more; the next tensor of just this size gets it. The shapes of a training step repeat, so from the second
// step on nothing is allocated. Views (View, Index, Rows) share the memory and the hold of the tensor they
// were made from. With Options.Poison memory is filled with NaN before it is handed out, so that a test
// sees what was read before it was written.
//
// # Programs
//
// What repeats can be recorded: Device.Record keeps the operations that a function asks for, lays out all
// memory they take in one arena by when each tensor lives, and gives a [Program], which runs them again and again on
// what their operands hold by then. Running it decides nothing and allocates nothing, and a device with a form of its own
// for such a sequence, as a CUDA graph, uses that ([Recorder]). Training steps are run so.
//
// # Pictures
//
// Training images start as pictures, bytes of which each epoch shows another part. [Pictures] are kept in the
// device's memory, and [Resample] makes a batch of images of them: it crops, resizes by filters of integers,
// mirrors, and looks each sample up in a table of levels. So a step waits neither for files nor for transfers.
//
// # Precision
//
// Nothing above this package names a number format. A tensor is [Full] or [Compute], and the device decides
// what that means: float64 for both on "ref", the oracle for checks of gradients and of other
// devices; float32 for both on "cpu"; with Options.Precision "bf16" Compute tensors are bfloat16, on "cpu" and on
// accelerators that have it. Then the factors of products are bfloat16, sums are float32, and a result is rounded once. A
// processor without such products widens its operands first: as exact, with half the memory, but no faster. The portable
// kernels keep the sums of rows, columns and whole tensors in float64.
//
// With Precision "int8" tensors are float32, and products by weights that [Quantize] was told of have integers of eight
// bits for factors: for inference. Gradients take no notice of it, and belong to the weights as they were.
//
// # Packed factors
//
// A product of few rows spends a tenth of its time on bringing its second factor into the order in which the kernels read it.
// For weights that do not change [Pack] does so once, for as much memory again and without changing a bit: for products by the weight
// itself, as gradients to the input are, or by its transpose, as a layer is.
//
// # Devices
//
// The portable Go kernels in internal/cpu define what is right. Assembly (internal/simd) and other devices
// speed them up; package tensortest has every kernel once more, naive and in float64, and holds each
// device against it. Another device implements Backend and calls [Register] from its package's init.
// The build tag purego leaves the assembly out.
//
// # Randomness and repeatability
//
// A random number is a function of a [Key] and an index, by Philox4x32-10. There is no stream to
// advance: keys are derived by purpose, NewKey(seed).Name("augment").Fold(epoch).
//
// On one device the same calls give the same bits, for any number of workers. Devices differ from
// each other in the last bits, as they sum in different orders. A row of a product is the same however many rows there are, unless
// [Options] permit Strassen's algorithm.
//
// # What is not handled
//
// There are no strides, no transposed views and no general broadcast: move data with CopyBlocks, and
// multiply with Gemm's TransA and TransB. There are no integer tensors: labels, token ids and filters are
// []int32 beside the tensors, and bytes are in Pictures alone. A device is for one goroutine at a time, though
// several devices may be open. Tensors of two devices do not mix: go through Floats and Set. Nothing is
// differentiated here; that is package autograd's business.
package tensor
