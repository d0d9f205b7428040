// Package simd holds float32 kernels in assembly: for amd64 with AVX-512 or with AVX2 and FMA, chosen when the program
// starts, and for arm64 with NEON, which each has. They are an acceleration of the portable kernels, which define what
// is right: package tensor asks Kernels, calls a kernel here if there is one, and its own loop otherwise.
//
// # What is where
//
//	gemm.go      matrix multiplication: what is asked for, and who multiplies it
//	gemm_cut.go  cutting it into stripes and blocks, and these into tasks
//	gemm_task.go what a task does: packing, and passing rows along panels
//	blocks.go    how large the pieces are that a product is worked on in, and why
//	panels.go    the packed form of a right-hand operand, and products of small matrices
//	packed.go    right-hand operands packed beforehand
//	strassen.go  large products by fewer multiplications
//	conv.go, conv_weight.go   convolutions, as products of windows that nobody puts into memory
//	attention.go attention and its gradient, a head at a time, on those products
//	gemm_bf16.go, attention_bf16.go   the same of bfloat16 numbers
//	int8.go      products of integers of eight bits
//	convert.go   between float32 and bfloat16
//	vector.go    element by element kernels, softmax and LayerNorm of a row
//	reduce.go    sums and counts over everything
//	random.go    uniform numbers
//	update.go    gradient dropout and Adam
//	peak.go      nothing but multiply-adds: the speed that there is to reach
//	scratch.go   memory for what is packed, used again and again
//	variant.go   which instruction sets there are, and which is in use
//	asm/         the generator that writes the *.s files and the stubs: go generate
//
// # Matrix multiplication
//
// All work is done by one kernel, the product of a tile: up to 14 rows and 32 columns of C (6 and 16
// with AVX2) stay in registers while the kernel goes through k. For each k it loads the row of B, and for
// each row of the tile broadcasts one number of A: 28 multiply-adds with 16 loads, enough to keep the
// multipliers busy all the time. B must be packed into panels, one tile wide, so that it is read
// straight ahead. A is read where it lies, whether transposed or not, because broadcasting does not mind
// strides, and is packed only where it would be read across many cache lines.
//
// NEON's tile is that of AVX2, in 24 of 32 registers of four numbers. Its multiply-add takes one factor from any lane
// of a register, so four numbers of A come with one load, and 192 multiply-adds with 33 to 39 other instructions;
// asm/gemm_neon.go says why the tile is as large as it is. No machine with these instructions was there to measure on:
// that the kernels are right is tested under emulation, how fast they are is not known.
//
// Where another program is busy on the other hardware thread of a core, it is not multiplications that are short but
// instructions. So a turn of the kernel's loop takes several steps of k, with the places of numbers written into the
// instructions, and one call goes through all tiles of a block that lie beneath each other.
//
// A block of A, some hundred rows, stays in the L2 cache, and panels of B go by: each one meets all tiles of the block,
// while the next one is fetched little by little. The other way round, a row of tiles at a time with a block of B
// resident, every number of A is used once and B is what must fit; there the AVX2 kernel, which takes twice as many
// bytes of B for a multiplication as that of AVX-512, waited for it.
//
// After B is packed, in parallel, rectangles of tiles are tasks. Each worker begins with its own, which are neighbours,
// and then takes others' one by one: one that is held up, by another program or a slower core, does fewer of them.
// Where A must be packed, a task packs its own tiles, a block at a time, and takes all of B by, or a part of its
// columns; and where A has few rows, a task is a stripe of columns that its worker multiplies alone, packing included.
// Both keep what is packed in the cache of one core, and a worker's tasks become smaller and smaller, so that workers
// end together.
//
// What one core has written another reads slowly, most of all where they share no cache: weights' gradients with all of
// B packed for all took a fifth longer there with two workers. So they divide the larger of M and N among them, and
// only what belongs to the smaller is read by all, or packed by each.
//
// # Fewer multiplications
//
// At nine tenths of the multipliers' peak, what is left is to multiply less. Strassen's algorithm, applied twice, cuts
// A, B and C into 4×4 blocks and takes 49 products of sums of blocks in place of 64 products of blocks. Where it is
// permitted, large products are computed so, not as a recursion over matrices in memory, but within what Gemm has in
// the caches at a time: a block of A is one tile high, one of B one panel wide, each a quarter of a piece of K deep.
// Sums of B are written once for all rows, for a block of columns at a time, sums of A once for these, and the tile
// kernel adds its accumulators to the one to four blocks of C that a product is for, in a buffer of 28 kB. All this
// costs about a quarter of the 23 % that are saved. A transposed A is packed a tile at a time, and summed up from
// there; K, which is then the number of rows of a batch, is filled up with zeros to whole vectors.
//
// Errors of rounding are bounded by the largest elements of blocks and not by those of a row and a column (N. J. Higham, Accuracy and
// Stability of Numerical Algorithms, chapter 23); of random matrices they are two to three times as large. Sums are of numbers in
// neighbouring tiles, so a row of C depends on the rows beside it: by rounding, and by infinities.
//
// # Products of bfloat16
//
// AVX512_BF16 has one instruction that multiplies pairs of bfloat16 numbers, neighbours in k, and adds both products to a
// float32: twice as many multiply-adds as float32 has. A pair takes the place of one number in everything above. Where k runs along
// rows, pairs lie in memory as they are wanted, so that reading A in place and packing the transpose of B are the float32 code,
// with K and leading dimensions halved; only operands whose rows are k have two rows woven together. A destination in bfloat16 is
// computed for all of k in float32, a tile at a time in the L1 cache, and rounded once. Go's assembler does not know the
// instruction, so the generator writes its bytes.
//
// # Products of integers
//
// AVX512_VNNI multiplies four bytes by four, neighbours in k, and adds the products to an integer of 32 bits: four
// times as many multiply-adds as float32 has. A quad takes the place of one number, as a pair of bfloat16 does, and
// tiles go through all of k, as sums are exact but cannot be added to what is float32. Weights are packed so when they
// are quantised. Rows of A are quantised before, all of them, and what sums stand for is computed a tile at a time, in
// the L1 cache. Package int8 says in loops what comes out, to the bit.
//
// With AVX2 alone products of two bytes are added in 16 bits, which saturate; there are no kernels for it.
//
// # Random numbers and updates
//
// The rounds of Philox wait for each other, so the kernel works on as many blocks at a time as the registers
// hold. Gradient dropout and Adam are kernels of their own: random numbers and gradients pass between them
// in pieces that stay in the L1 cache, and go to memory no more than if one kernel did everything.
//
// Uniform numbers are those of the portable kernel, bit for bit. Purity is computed in float32 here and in
// float64 there: where it is nearer to the random number than rounding, one may keep what the other drops.
//
// # The same bits
//
// An element of C is one chain of fused multiply-adds over k, rounded the same way in whichever tile it lies; for K >
// 768 there is one chain for each piece of K, and the pieces depend on K alone. The bits of a result depend on neither
// the number of workers nor the partition, and a row's are those that the row has in a smaller product. (By Strassen's
// algorithm they depend on shapes, too, but not on workers.) Attention and the row kernels are cut only where rows and
// heads end. AVX2 and AVX-512 differ where sums over a row are: they have another number of partial sums. NEON's
// kernels are made of AVX2's, instruction by instruction, and have their bits, which TestTwins compares; what a program
// computes besides may still differ, as Go fuses additions with multiplications on arm64.
//
// # Limits
//
// Denormal numbers and infinities are treated as IEEE 754 says, but by the instruction for bfloat16, to which denormal
// numbers are zeros; NaN in gives NaN out. Some zeros are multiplied that a definition leaves out: causal attention gives
// keys that a query does not see the weight 0, where another query of its tile sees them, and a convolution's weight
// meets the zeros around and between windows in its gradient. So a NaN or an infinity there spoils more results than it
// has to; finite numbers do not.
//
// Arguments that are too short panic, as they are bugs. Build with -tags purego to leave all assembly out.
package simd
