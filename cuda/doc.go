// Package cuda is an NVIDIA GPU as a device of package tensor. Importing it registers "cuda":
//
//	import _ "fewshot/cuda"
//
//	dev, err := tensor.Open("cuda:0", tensor.Options{Precision: "bf16"})
//
// All but this file is behind the build tag cuda, so that the program builds everywhere without it.
//
// # Building
//
// It takes Go, gcc and ar, and nothing of CUDA's: neither a toolkit nor a driver nor a GPU. The command is the same
// with a toolkit of release 12, of release 13, or none:
//
//	eval "$(cuda/stub/env.sh)"
//	go build -tags cuda ./cmd/fewshot
//
// The binding github.com/mumax/3/cuda/cu wants a header cuda.h and a library libcuda when it is compiled. cuda/stub
// has both: our own declarations of what the binding uses, and a static library whose functions pass each call on to
// the driver's libcuda.so.1, which they look up when they are first called. So the binary needs no library of NVIDIA's
// to start, and where there is no driver "-device cuda:0" says so and the CPU can still be used. Without the
// environment that env.sh prints, compiling ends with "cuda.h: No such file or directory".
//
// # Running
//
// A driver for CUDA 12.4 or later, a GPU of compute capability 8.0 or later (Ampere), and libcublasLt.so.12 or .13,
// which comes with CUDA and with PyTorch. That library is looked for at run time: by its name, as the system's loader
// finds it, then in /usr/local/cuda/lib64, /opt/cuda/lib64, $VIRTUAL_ENV and $CONDA_PREFIX. Open fails with the list
// if it is nowhere.
//
//	FEWSHOT_CUBLASLT     path of libcublasLt, if it is elsewhere; none: do without, multiplying slowly
//	FEWSHOT_CUDA_DEBUG   not empty: wait after each kernel, so that an error is found with the kernel that made it
//
// # What is where
//
//	open.go, backend.go     opening, errors, memory, launching
//	record.go               programs, as CUDA graphs
//	staging.go, scratch.go  the ring through which data enters and leaves; memory for partial results
//	FAMILY.go               the methods of tensor.Backend, by the families of package tensor
//	kernels                 FAMILY.cu, or FAMILY_WAY.cu, with the device code, the PTX made of it, and the compiler that made it
//	internal/driver         the driver and cuBLASLt in Go: our own thin shim, and mumax's binding
//	stub                    what stands in for CUDA in builds
//	sim                     a libcuda.so.1 whose device is the CPU
//	check                   what to run on a machine with a GPU
//
// # Formats
//
// Full tensors are float32. Compute tensors are float32, or bfloat16 with Options.Precision "bf16". Kernels read
// either and compute in float32; which one an operand has is tested once for eight elements, so that each kernel exists
// once and takes any mix. Biases of products are Compute tensors, too, as cuBLASLt adds them.
// Attention on tensor cores takes bfloat16 alone, and rounds P and dS to it. TF32 is not used.
//
// # Order and repeatability
//
// All work goes to one stream, in the order of the calls, and calls return before it is done; Sync and all that reads
// results wait. The same calls give the same bits: sums are cut by lengths alone and added in a fixed order, no
// kernel adds floating point numbers atomically, and of cuBLASLt's algorithms the first it proposes is taken, never
// the one that a measurement prefers.
//
// # Programs
//
// What Device.Record keeps here is a CUDA graph, which one call launches. Its operations are first done once, launch
// by launch: cuBLASLt can be asked for algorithms, and can load them, only before a capture, and what fails is found
// where it fails. A graph has its own scratch memory, and its labels and ids are sent in one piece before each
// launch, through the staging ring, so that runs may be queued as far ahead as one likes. With FEWSHOT_CUDA_DEBUG
// programs stay lists of calls.
//
// # Memory
//
// Tensors come from the pool of tensor.Device, which a step that repeats does not grow, and those of a program from
// its arena. Data enters and leaves through a ring of page-locked slots; labels and token ids go the same way.
// Partial results are in scratch memory that grows to what the largest operation needs. There are no finalizers:
// Close gives everything back.
//
// # Errors
//
// The first error stays, with the name of the kernel or the work it was found in. Nothing is queued after it, results
// read as NaN, and Sync returns it. Errors of kernels are found late, at the next call that waits: FEWSHOT_CUDA_DEBUG
// finds them at once. What goes wrong in a capture is Record's error and ends there, if the driver says so. What does
// not fit is a tensor.OutOfMemory, with what was asked for and what is free; a training step adds which batch would
// fit.
//
// # Kernels
//
// The sources are freestanding CUDA C++ and are compiled ahead of time, by kernels/build.sh with one pinned release
// of NVRTC, to PTX for compute capability 8.0, which is committed; the driver translates it for the GPU at hand, once,
// and keeps the result. PTX of a newer release than the driver's is refused, which is why the compiler is an old one. A
// test without build tag compares hashes, so that nobody forgets to run build.sh.
//
// # Testing without a GPU
//
// cuda/sim/test.sh compiles the same sources with g++ into a libcuda.so.1 of our own. The threads of a block are
// fibers, each warp as far ahead of the others as barriers let it; products on tensor cores are made of what its
// threads hold; shared memory is NaN before each block; work is done as late as a driver may. On it the whole
// backend, from package tensor down to the packed arguments of a launch, goes through the definitions of tensortest,
// and whole models through PyTorch's numbers. Threads run in three orders, which must not matter; a test leaves out
// each barrier in turn and expects that to matter. A libcublasLt of the same kind checks the translation of row-major
// products. While a stream is captured both refuse what the real ones refuse, and memory that was given back is
// watched for a while.
//
// What this cannot show: the driver's own behaviour, the real cuBLASLt, races that no order of whole stretches between
// barriers brings out, and speed. For these cuda/check/run.sh runs everything on a machine with a GPU, in one call: the
// backend's tests, compute-sanitizer, whole models against the CPU, accuracy, and speed beside PyTorch.
//
// # Speed
//
// Products are cuBLASLt's. Elementwise and rowwise kernels move 16 bytes at a time and read what they can once; in
// gradients of several lanes, too.
//
// Attention of bfloat16 heads of 64 elements, which all released CLIPs have, runs on tensor cores
// (kernels/attention_mma.cu). A block has one head of one image in shared memory: forward keys and values; backward
// queries, cotangents and dS = P⊙(dP−δ). P is made again from the logarithms of its denominators, once for all lanes
// where it fits beside dS: up to 208 tokens on Hopper, whose blocks may have 227 KiB, and 160 on an A100. From there
// to 272 and 224 tokens it is made once a lane, to the same bits, which with two lanes is a tenth more arithmetic.
// GeForce cards, of 99 KiB, go to 160 tokens. Longer sequences, other heads and float32 take kernels of plain float32
// arithmetic, which are slow, and have room for at most 128 elements of a head. Forward 272 tokens are no limit
// anywhere.
//
// # Licence
//
// mumax's binding is under the GNU General Public License, version 3, with a permission to link NVIDIA's libraries.
// The sources here are under the licence of this repository, which is compatible with it; a binary built with the tag
// cuda contains the binding and is under the GPL-3 as a whole. Binaries built without the tag are not affected.
package cuda
