package main

import "fmt"

// Random numbers: Philox4x32-10. A vector holds one word of as many blocks as it has lanes, so four of
// them make four times as many numbers.
//
// A round multiplies words 0 and 2 by constants, to 64 bits. The processor does that for even lanes only:
// the odd ones are multiplied apart, and the halves of the products then put together.

// The constants of Salmon et al.: factors of words 0 and 2.
const (
	philoxRounds  = 10
	philoxFactor0 = 0xd2511f53
	philoxFactor2 = 0xcd9e8d57
)

// blockOrder is the block, counted from the first, that each lane works on. The four vectors of words are
// transposed within pieces of four lanes; in this order that leaves numbers in their own order.
func (s *set) blockOrder() []uint32 {
	order := make([]uint32, s.lanes)
	for i := range order {
		order[i] = uint32(i%4*(s.lanes/4) + i/4)
	}
	return order
}

// wideProduct puts the halves of x·factor, in each lane, into two of three registers; the third is lost.
// K2 and K3 must hold the odd and the even lanes.
func (f *function) wideProduct(x, factor int, regs [3]int) (low, high int) {
	even, odd, t := f.reg(regs[0]), f.reg(regs[1]), f.reg(regs[2])
	if f.set == neon { // lanes 0 and 1, then 2 and 3
		for h, first := range halves(even) {
			x, factor, second := halves(f.reg(x))[h], halves(f.reg(factor))[h], halves(odd)[h]
			f.products(x, factor, first, second)
			f.arm("VUZP1 V%d.S4, V%d.S4, V%d.S4", second, first, halves(t)[h])
			f.arm("VUZP2 V%d.S4, V%d.S4, V%[2]d.S4", second, first)
		}
		return regs[2], regs[0]
	}
	f.ins("VMOVSHDUP", f.reg(x), odd)
	f.ins("VPMULUDQ", f.reg(factor), f.reg(x), even)
	f.ins("VPMULUDQ", f.reg(factor), odd, odd)
	if f.set == avx512 {
		f.ins("VMOVAPS", even, t)
		f.ins("VMOVSLDUP", odd, "K2", t)
		f.ins("VMOVSHDUP", even, "K3", odd)
		return regs[2], regs[1]
	}
	f.ins("VMOVSHDUP", even, t)
	f.ins("VPBLENDD", "$0xaa", odd, t, t)
	f.ins("VMOVSLDUP", odd, odd)
	f.ins("VPBLENDD", "$0xaa", odd, even, even)
	return regs[0], regs[2]
}

// xorKey is x ^= y ^ key, the word at an operand in memory. t is lost.
func (f *function) xorKey(x, y int, key string, t int) {
	if f.set == avx512 {
		f.ins("VPTERNLOGD.BCST", "$0x96", key, f.reg(y), f.reg(x))
		return
	}
	f.ins("VPBROADCASTD", key, f.reg(t))
	f.ins("VPXOR", f.reg(y), f.reg(x), f.reg(x))
	f.ins("VPXOR", f.reg(t), f.reg(x), f.reg(x))
}

// broadcastLow fills a vector register with the lower 32 bits of a general register.
func (f *function) broadcastLow(general string, r int) {
	if f.set == avx512 {
		f.ins("VPBROADCASTD", general, f.reg(r))
		return
	}
	if f.set == neon {
		for _, v := range halves(f.reg(r)) {
			f.arm("VDUP %s, V%d.S4", generalNEON[general], v)
		}
		return
	}
	f.ins("VMOVD", general, fmt.Sprintf("X%d", r))
	f.ins("VPBROADCASTD", fmt.Sprintf("X%d", r), f.reg(r))
}

// round makes the next words of a batch of blocks, and gives the registers that are spare then: as many as
// before, at least three.
func (f *function) round(w [4]int, n, factor0, factor2 int, spare []int) (next [4]int, free []int) {
	key := func(word int) string { return at(8*n+4*word, "SI") }
	low0, high0 := f.wideProduct(w[0], factor0, [3]int(spare))
	f.xorKey(high0, w[3], key(1), w[0])
	spare = append(without(spare, low0, high0), w[0], w[3])
	low2, high2 := f.wideProduct(w[2], factor2, [3]int(spare))
	f.xorKey(high2, w[1], key(0), w[2])
	return [4]int{high2, low2, high0, low0}, append(without(spare, low2, high2), w[1], w[2])
}

// without is all but two.
func without(all []int, a, b int) (rest []int) {
	for _, r := range all {
		if r != a && r != b {
			rest = append(rest, r)
		}
	}
	return rest
}

func emitRandom(f *file) {
	// A round waits for the one before, so that several batches at a time are faster if registers allow it.
	batches := f.regs / 8
	numbers := 4 * f.lanes * batches
	doc := fmt.Sprintf("%%s makes uniform numbers, %d at a time:\n", numbers) +
		fmt.Sprintf("\n\tfor i := range %d·groups {\n\t\tdst[i] = Unit(word i mod 4 of block first+i/4)\n\t}\n", numbers) +
		fmt.Sprintf("\nfor groups ≥ 1 and first divisible by %d. keys are those of the ten rounds, two words each.", f.lanes)
	fmt.Fprintf(&f.stubs.tables, "\n// random%[1]s is how many numbers uniform%[1]s makes at a time.\nconst random%[1]s = %[2]d\n", f.name, numbers)
	f.function("uniform", "groups int, dst *float32, keys *uint32, first uint64", "", doc, func(f *function) {
		top := f.regs - 4
		factor0, factor2, order, scale := top, top+1, top+2, top+3
		f.load("groups", "CX", "dst", "DI", "keys", "SI", "first", "AX")
		f.ins("VMOVUPS", f.constant("factor0", philoxFactor0), f.reg(factor0))
		f.ins("VMOVUPS", f.constant("factor2", philoxFactor2), f.reg(factor2))
		f.ins("VMOVUPS", f.vector("blockorder", f.blockOrder()), f.reg(order))
		f.ins("VMOVUPS", f.constant("unit", 0x33800000), f.reg(scale)) // 2⁻²⁴
		if f.set == avx512 {
			f.ins("MOVL", "$0xaaaa", "DX")
			f.ins("KMOVW", "DX", "K2")
			f.ins("KNOTW", "K2", "K3")
		}
		loop := f.label("loop")
		f.ins("PCALIGN", "$32")
		f.place(loop)

		f.comment("The counters. As first is divisible by the number of lanes, a batch does not carry into the upper half.")
		words := make([][4]int, batches)
		spare := []int{top - 4, top - 3, top - 2, top - 1}
		for b := range words {
			r := 4 * b
			words[b] = [4]int{r, r + 1, r + 2, r + 3}
			f.broadcastLow("AX", r)
			f.ins("MOVQ", "AX", "DX")
			f.ins("SHRQ", "$32", "DX")
			f.broadcastLow("DX", r+1)
			f.ins("VPADDD", f.reg(order), f.reg(r), f.reg(r))
			f.zero(r + 2)
			f.zero(r + 3)
			f.ins("ADDQ", fmt.Sprintf("$%d", f.lanes), "AX")
		}
		for n := range philoxRounds {
			f.comment("Round %d.", n+1)
			for b := range words {
				words[b], spare = f.round(words[b], n, factor0, factor2, spare)
			}
		}
		f.comment("Transposed in pieces of four lanes, and brought to [0, 1).")
		for b, w := range words {
			t := spare
			for i, half := range []string{"L", "H"} {
				f.ins("VPUNPCK"+half+"DQ", f.reg(w[1]), f.reg(w[0]), f.reg(t[i]))
				f.ins("VPUNPCK"+half+"DQ", f.reg(w[3]), f.reg(w[2]), f.reg(t[2+i]))
			}
			for i := range 4 {
				half := []string{"L", "H"}[i%2]
				f.ins("VPUNPCK"+half+"QDQ", f.reg(t[2+i/2]), f.reg(t[i/2]), f.reg(w[i]))
				f.ins("VPSRLD", "$8", f.reg(w[i]), f.reg(w[i]))
				f.ins("VCVTDQ2PS", f.reg(w[i]), f.reg(w[i]))
				f.ins("VMULPS", f.reg(scale), f.reg(w[i]), f.reg(w[i]))
				f.ins("VMOVUPS", f.reg(w[i]), at((4*b+i)*f.set.bytes(), "DI"))
			}
		}
		f.ins("ADDQ", fmt.Sprintf("$%d", batches*4*f.set.bytes()), "DI")
		f.ins("DECQ", "CX")
		f.ins("JNZ", loop)
	})
}
