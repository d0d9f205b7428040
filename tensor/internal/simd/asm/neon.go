package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The kernels for arm64. Their bodies are those of AVX2: a vector of eight numbers, Y5, is the two registers of four V10 and V11, X5 is
// V10, and each instruction of AVX2 becomes the one or two or three that do the same to each half. So a kernel is written once, sums are over
// as many partial sums, and results have the bits that AVX2's have. What is a matter of every instruction, the sums over k of a tile,
// is written apart, in gemm_neon.go; what would be clumsy, as parts of vectors in memory, has its own lines in emit.go and below.
//
// V30 and V31 are needed by instructions that are more than one here, so Y15 must not be used by functions that have such.
//
// Go's assembler lacks most of the arithmetic: what it does not know is written as its encoding, with its text beside it (Arm Architecture Reference
// Manual for A-profile, section C7.2).

// generalNEON is where the general registers are. R6 and R7 hold addresses and numbers that one instruction needs, R19 to R22 how
// many numbers masks have, R26 the address of the constants.
var generalNEON = map[string]string{
	"AX": "R0", "BX": "R1", "CX": "R2", "DX": "R3", "SI": "R4", "DI": "R5",
	"R8": "R8", "R9": "R9", "R10": "R10", "R11": "R11", "R12": "R12", "R13": "R13", "R14": "R14", "R15": "R15",
}

const (
	temp, temp2 = 30, 31
	constants   = "R26"
)

// An encoding is an instruction that Go's assembler does not know, with registers 0.
type encoding struct {
	name string
	bits uint32
}

var (
	fcmgt = encoding{"fcmgt", 0x6ea0e400}
	fcmeq = encoding{"fcmeq", 0x4e20e400}
	fneg  = encoding{"fneg", 0x6ea0f800}
	cmlt0 = encoding{"cmlt", 0x4ea0a800}
	mvn   = encoding{"mvn", 0x6e205800}
	umull = encoding{"umull", 0x2ea0c000}
	fmla  = encoding{"fmla", 0x4f801000} // by element

	// binary are to = y op x.
	binary = map[string]encoding{
		"VADDPS": {"fadd", 0x4e20d400}, "VSUBPS": {"fsub", 0x4ea0d400}, "VMULPS": {"fmul", 0x6e20dc00}, "VDIVPS": {"fdiv", 0x6e20fc00},
	}
	// known are the same that the assembler knows, with the arrangement of its operands.
	known = map[string][2]string{
		"VPADDD": {"VADD", "S4"}, "VPSUBD": {"VSUB", "S4"},
		"VANDPS": {"VAND", "B16"}, "VORPS": {"VORR", "B16"}, "VXORPS": {"VEOR", "B16"}, "VPXOR": {"VEOR", "B16"},
		"VUNPCKLPS": {"VZIP1", "S4"}, "VUNPCKHPS": {"VZIP2", "S4"}, "VUNPCKLPD": {"VZIP1", "D2"}, "VUNPCKHPD": {"VZIP2", "D2"},
		"VPUNPCKLDQ": {"VZIP1", "S4"}, "VPUNPCKHDQ": {"VZIP2", "S4"}, "VPUNPCKLQDQ": {"VZIP1", "D2"}, "VPUNPCKHQDQ": {"VZIP2", "D2"},
	}
	unary = map[string]encoding{
		"VROUNDPS": {"frintn", 0x4e218800}, "VCVTPS2DQ": {"fcvtns", 0x4e21a800}, "VCVTDQ2PS": {"scvtf", 0x4e21d800}, "VSQRTPS": {"fsqrt", 0x6ea1f800},
	}
	jumps = map[string]string{"JMP": "B", "JZ": "BEQ", "JEQ": "BEQ", "JNZ": "BNE", "JNE": "BNE", "JLT": "BLT", "JLE": "BLE", "JGT": "BGT", "JGE": "BGE"}
)

// arm writes one instruction of arm64.
func (f *function) arm(format string, args ...any) {
	f.out.WriteString("\t" + fmt.Sprintf(format, args...) + "\n")
}

// three is e of registers n and m, to d; two of n alone.
func (f *function) three(e encoding, m, n, d int) {
	f.word(e.bits|uint32(m)<<16|uint32(n)<<5|uint32(d), "%s v%d.4s, v%d.4s, v%d.4s", e.name, d, n, m)
}

func (f *function) two(e encoding, n, d int) {
	arrangement, zero := "4s", ""
	switch e.name {
	case mvn.name:
		arrangement = "16b"
	case cmlt0.name:
		zero = ", #0"
	}
	f.word(e.bits|uint32(n)<<5|uint32(d), "%s v%d.%s, v%d.%[3]s%[5]s", e.name, d, arrangement, n, zero)
}

// byElement is d += n·m[lane].
func (f *function) byElement(m, lane, n, d int) {
	f.word(fmla.bits|uint32(lane&1)<<21|uint32(m)<<16|uint32(lane>>1)<<11|uint32(n)<<5|uint32(d), "fmla v%d.4s, v%d.4s, v%d.s[%d]", d, n, m, lane)
}

func (f *function) word(bits uint32, format string, args ...any) {
	f.arm("WORD $0x%08x // %s", bits, fmt.Sprintf(format, args...))
}

// move is d = n.
func (f *function) move(n, d int) {
	if n != d {
		f.arm("VMOV V%d.B16, V%d.B16", n, d)
	}
}

// halves are the registers of a vector: two, or one of an X.
func halves(operand string) []int {
	i, err := strconv.Atoi(operand[1:])
	switch {
	case err == nil && operand[0] == 'Y':
		return []int{2 * i, 2*i + 1}
	case err == nil && operand[0] == 'X':
		return []int{2 * i}
	}
	return nil
}

// scratch is temp or temp2, which functions have that do not use Y15: see finish.
func (f *function) scratch(i int) int {
	f.scratched = true
	return i
}

// address is a memory operand without an index, at R6 where it had one.
func (f *function) address(operand string) (offset int, base string) {
	o, rest, _ := strings.Cut(operand, "(")
	if o != "" {
		var err error
		if offset, err = strconv.Atoi(o); err != nil {
			panic(f.name + ": " + operand)
		}
	}
	b, index, indexed := strings.Cut(strings.TrimSuffix(rest, ")"), ")(")
	base = generalNEON[b]
	if indexed {
		i, scale, _ := strings.Cut(index, "*")
		f.arm("ADD %s<<%d, %s, R6", generalNEON[i], strings.Index("1 2 4 8", scale)/2, base)
		base = "R6"
	}
	return offset, base
}

// addressTo brings the address of a memory operand to a register.
func (f *function) addressTo(operand, to string) {
	if offset, base := f.address(operand); offset == 0 {
		f.arm("MOVD %s, %s", base, to)
	} else {
		f.arm("ADD $%d, %s, %s", offset, base, to)
	}
}

// offsetOf is where in the table a constant is.
func (f *function) offsetOf(operand string) (offset int, name string, same bool) {
	name = strings.TrimSuffix(operand, "<>(SB)")
	for _, c := range f.constants {
		if same = c.same(); c.name == name {
			return offset, name, same
		}
		offset += c.bytes()
	}
	panic(f.name + " has no constant " + name)
}

// same is whether all lanes are, so that one half is enough.
func (c constant) same() bool {
	return !slices.ContainsFunc(c.lanes, func(l uint32) bool { return l != c.lanes[0] })
}

func (c constant) bytes() int {
	if c.same() {
		return 16
	}
	return 32
}

// uniform is whether an operand is a constant with the same halves.
func (f *function) uniform(operand string) bool {
	if !strings.HasSuffix(operand, "<>(SB)") {
		return false
	}
	_, _, same := f.offsetOf(operand)
	return same
}

// loadHalf brings half h of an operand in memory to register t.
func (f *function) loadHalf(operand string, h, t int) {
	if strings.HasSuffix(operand, "<>(SB)") {
		offset, name, same := f.offsetOf(operand)
		if !same {
			offset += 16 * h
		}
		f.usesConstants = true
		f.arm("FMOVQ %s, F%d // %s", at(offset, constants), t, name)
		return
	}
	offset, base := f.address(operand)
	f.arm("FMOVQ %s, F%d", at(offset+16*h, base), t)
}

// pair moves both halves between registers and memory.
func (f *function) pair(load bool, operand string, r []int) {
	offset, base := f.address(operand)
	if offset%16 == 0 && offset >= -1024 && offset < 1024 {
		if load {
			f.arm("FLDPQ %s, (F%d, F%d)", at(offset, base), r[0], r[1])
		} else {
			f.arm("FSTPQ (F%d, F%d), %s", r[0], r[1], at(offset, base))
		}
		return
	}
	for h, v := range r {
		if load {
			f.arm("FMOVQ %s, F%d", at(offset+16*h, base), v)
		} else {
			f.arm("FMOVQ F%d, %s", v, at(offset+16*h, base))
		}
	}
}

// translate writes what one of AVX2's instructions is here.
func (f *function) translate(mnemonic string, operands []any) {
	var o []string
	for _, operand := range operands {
		o = append(o, fmt.Sprint(operand))
		f.usesLast = f.usesLast || o[len(o)-1] == "Y15"
	}
	if f.scalar(mnemonic, o) {
		return
	}
	last := o[len(o)-1]
	if e, ok := unary[mnemonic]; ok {
		f.each(o, func(x, d int) { f.two(e, x, d) })
		return
	}
	switch mnemonic {
	case "VMOVUPS", "VMOVAPS":
		f.moveVector(o[0], last)
	case "VBROADCASTSS", "VPBROADCASTD":
		f.broadcastTo(o[0], halves(last))
	case "VPSLLD":
		f.each(o, func(x, d int) { f.arm("VSHL %s, V%d.S4, V%d.S4", o[0], x, d) })
	case "VPSRLD":
		f.each(o, func(x, d int) { f.arm("VUSHR %s, V%d.S4, V%d.S4", o[0], x, d) })
	case "VPSRAD":
		n, _ := strconv.Atoi(o[0][1:])
		f.each(o, func(x, d int) {
			f.word(0x4f000400|uint32(64-n)<<16|uint32(x)<<5|uint32(d), "sshr v%d.4s, v%d.4s, #%d", d, x, n)
		})
	case "VPMOVZXWD":
		d := halves(last)
		f.loadHalf(o[0], 0, f.scratch(temp))
		f.arm("VUXTL V%d.H4, V%d.S4", temp, d[0])
		f.arm("VUXTL2 V%d.H8, V%d.S4", temp, d[1])
	case "VEXTRACTF128":
		f.move(halves(o[1])[1], halves(last)[0])
	case "VPERMILPS":
		lane := map[string]string{"$0xee": "D[1]", "$0x55": "S[1]"}[o[0]]
		f.arm("VDUP V%d.%s, V%d.%s", halves(o[1])[0], lane, halves(last)[0], map[byte]string{'D': "D2", 'S': "S4"}[lane[0]])
	case "VPERM2F128":
		h := map[string]int{"$0x20": 0, "$0x31": 1}[o[0]]
		d := halves(last)
		f.move(halves(o[2])[h], d[0])
		f.move(halves(o[1])[h], d[1])
	default:
		for h, d := range halves(last) {
			f.ternary(mnemonic, o, h, d)
		}
	}
}

// each makes the halves of the last operand of those of the one before, both registers.
func (f *function) each(o []string, do func(x, d int)) {
	for h, d := range halves(o[len(o)-1]) {
		do(halves(o[len(o)-2])[h], d)
	}
}

// ternary is half h, in d, of an instruction of two or three operands beside.
func (f *function) ternary(mnemonic string, o []string, h, d int) {
	get := func(operand string) int {
		switch r := halves(operand); {
		case r != nil:
			return r[h]
		case h == 1 && f.uniform(operand): // there since the first half
			return temp2
		}
		f.loadHalf(operand, h, f.scratch(temp2))
		return temp2
	}
	switch mnemonic {
	case "VFMADD231PS":
		f.arm("VFMLA V%d.S4, V%d.S4, V%d.S4", get(o[0]), get(o[1]), d)
		return
	case "VFNMADD231PS":
		f.arm("VFMLS V%d.S4, V%d.S4, V%d.S4", get(o[0]), get(o[1]), d)
		return
	case "VFMADD213PS", "VFMSUB213PS": // what is added is the accumulator here
		sum := f.scratch(temp)
		switch r := halves(o[0]); {
		case mnemonic == "VFMSUB213PS":
			f.two(fneg, get(o[0]), sum)
		case r != nil:
			f.move(r[h], sum)
		default:
			f.loadHalf(o[0], h, sum)
		}
		f.arm("VFMLA V%d.S4, V%d.S4, V%d.S4", get(o[1]), d, sum)
		f.move(sum, d)
		return
	case "VMAXPS", "VMINPS": // y > x ? y : x, which is x where one is no number
		x, y := get(o[0]), get(o[1])
		if mnemonic == "VMAXPS" {
			f.three(fcmgt, x, y, f.scratch(temp))
		} else {
			f.three(fcmgt, y, x, f.scratch(temp))
		}
		f.choose(y, x, d)
		return
	case "VCMPPS":
		x, y := get(o[1]), get(o[2])
		switch o[0] {
		case greater:
			f.three(fcmgt, x, y, d)
		case unordered: // of a number with itself
			f.three(fcmeq, x, y, d)
			f.two(mvn, d, d)
		default:
			panic(f.name + ": comparison " + o[0])
		}
		return
	case "VBLENDVPS": // by signs
		f.two(cmlt0, get(o[0]), f.scratch(temp))
		f.choose(get(o[1]), get(o[2]), d)
		return
	}
	x, y := get(o[0]), get(o[1])
	if e, ok := binary[mnemonic]; ok {
		f.three(e, x, y, d)
	} else if k, ok := known[mnemonic]; ok {
		f.arm("%s V%d.%[3]s, V%[4]d.%[3]s, V%[5]d.%[3]s", k[0], x, k[1], y, d)
	} else {
		panic(f.name + ": NEON has no translation of " + mnemonic)
	}
}

// choose is d = yes where the mask in temp is set, else no.
func (f *function) choose(yes, no, d int) {
	if d == yes {
		f.arm("VBIF V%d.B16, V%d.B16, V%d.B16", temp, no, d)
		return
	}
	f.move(no, d)
	f.arm("VBIT V%d.B16, V%d.B16, V%d.B16", temp, yes, d)
}

func (f *function) moveVector(from, to string) {
	switch r, d := halves(from), halves(to); {
	case r != nil && d != nil:
		for h := range d {
			f.move(r[h], d[h])
		}
	case len(r) == 1:
		offset, base := f.address(to)
		f.arm("FMOVQ F%d, %s", r[0], at(offset, base))
	case r != nil:
		f.pair(false, to, r)
	case strings.HasSuffix(from, "<>(SB)"):
		f.loadHalf(from, 0, d[0])
		if f.uniform(from) {
			f.move(d[0], d[1])
		} else {
			f.loadHalf(from, 1, d[1])
		}
	default:
		f.pair(true, from, d)
	}
}

// broadcastTo fills registers with a number of 32 bits: lane 0 of a vector, or in memory.
func (f *function) broadcastTo(from string, d []int) {
	element := "R6"
	if r := halves(from); r != nil {
		element = fmt.Sprintf("V%d.S[0]", r[0])
	} else if strings.HasSuffix(from, "(FP)") {
		f.arm("MOVWU %s, R6", from)
	} else {
		offset, base := f.address(from)
		f.arm("MOVWU %s, R6", at(offset, base))
	}
	for _, v := range slices.Backward(d) {
		f.arm("VDUP %s, V%d.S4", element, v)
	}
}

// scalar writes instructions of general registers and single numbers, and reports whether it is one. Those that set flags on amd64 set them
// here where a jump asks for them.
func (f *function) scalar(mnemonic string, o []string) bool {
	if to, ok := jumps[mnemonic]; ok {
		f.arm("%s %s", to, o[0])
		return true
	}
	// in is an operand of the arithmetic: a register, a number, or a parameter, which is loaded to R6.
	in := func(operand string) string {
		switch r, ok := generalNEON[operand]; {
		case ok:
			return r
		case strings.HasSuffix(operand, "(FP)"):
			f.arm("MOVD %s, R6", operand)
			return "R6"
		}
		return operand
	}
	// onto does op to the last operand, which may be a parameter.
	onto := func(op, x string) {
		to := o[len(o)-1]
		r := in(to)
		f.arm("%s %s, %s, %[3]s", op, x, r)
		if r == "R6" {
			f.arm("MOVD R6, %s", to)
		}
	}
	switch mnemonic {
	case "VZEROUPPER":
	case "RET":
		f.arm("RET")
	case "PCALIGN":
		f.arm("PCALIGN %s", o[0])
	case "PREFETCHT0", "PREFETCHT1":
		offset, base := f.address(o[0])
		f.arm("PRFM %s, %s", at(offset, base), map[string]string{"PREFETCHT0": "PLDL1KEEP", "PREFETCHT1": "PLDL2KEEP"}[mnemonic])
	case "MOVQ":
		to := o[1]
		if r, ok := generalNEON[to]; ok {
			to = r
		}
		from := o[0]
		if r, ok := generalNEON[from]; ok {
			from = r
		}
		f.arm("MOVD %s, %s", from, to)
	case "XORL":
		f.arm("MOVD ZR, %s", in(o[1]))
	case "LEAQ":
		f.addressTo(o[0], in(o[1]))
	case "ADDQ":
		onto("ADDS", in(o[0]))
	case "SUBQ":
		onto("SUBS", in(o[0]))
	case "DECQ":
		onto("SUBS", "$1")
	case "SHLQ":
		onto("LSL", o[0])
	case "SHRQ":
		onto("LSR", o[0])
	case "ANDQ":
		onto("AND", o[0])
	case "IMULQ":
		f.arm("MOVD %s, R6", o[0])
		f.arm("MUL R6, %s, %[1]s", in(o[1]))
	case "CMPQ":
		f.arm("CMP %s, %s", in(o[1]), in(o[0]))
	case "TESTQ":
		f.arm("CMP $0, %s", in(o[0]))
	case "MOVSS":
		f.arm("FMOVS F%d, %s", halves(o[0])[0], o[1])
	case "VMOVSS":
		offset, name, _ := f.offsetOf(o[0])
		f.usesConstants = true
		f.arm("FMOVS %s, F%d // %s", at(offset, constants), halves(o[1])[0], name)
	case "VDIVSS":
		offset, base := f.address(o[0])
		f.arm("FMOVS %s, F%d", at(offset, base), f.scratch(temp))
		f.arm("FDIVS F%d, F%d, F%d", temp, halves(o[1])[0], halves(o[2])[0])
	default:
		return false
	}
	return true
}

// count is the general register that holds how many numbers mask m has, 0 to 8.
func (m mask) count() string { return fmt.Sprintf("R%d", 18+int(m)) }

// part loads or stores the first numbers of a vector, as many as mask m has; what is not loaded is 0.
func (f *function) part(load bool, m mask, operand string, r int) {
	n, low, high := m.count(), 2*r, 2*r+1
	few, some, done := f.label("few"), f.label("some"), f.label("done")
	f.addressTo(operand, "R7")
	if load {
		f.arm("VEOR V%d.B16, V%[1]d.B16, V%[1]d.B16", low)
		f.arm("VEOR V%d.B16, V%[1]d.B16, V%[1]d.B16", high)
	}
	access := func(instruction, where string, v int) {
		if load {
			f.arm("%s %s, F%d", instruction, where, v)
		} else {
			f.arm("%s F%d, %s", instruction, v, where)
		}
	}
	// below4 is up to three of them.
	below4 := func(v int) {
		one := f.label("one")
		f.arm("TBZ $1, %s, %s", n, one)
		access("FMOVD.P", "8(R7)", v)
		f.arm("TBZ $0, %s, %s", n, done)
		if load {
			f.arm("VLD1 (R7), V%d.S[2]", v)
		} else {
			f.arm("VST1 V%d.S[2], (R7)", v)
		}
		f.arm("B %s", done)
		f.place(one)
		f.arm("TBZ $0, %s, %s", n, done)
		access("FMOVS", "(R7)", v)
		f.arm("B %s", done)
	}
	f.arm("TBZ $3, %s, %s", n, some)
	if load {
		f.arm("FLDPQ (R7), (F%d, F%d)", low, high)
	} else {
		f.arm("FSTPQ (F%d, F%d), (R7)", low, high)
	}
	f.arm("B %s", done)
	f.place(some)
	f.arm("TBZ $2, %s, %s", n, few)
	access("FMOVQ.P", "16(R7)", low)
	below4(high)
	f.place(few)
	below4(low)
	f.place(done)
}

// maskHalf makes half h of mask m in register t.
func (f *function) maskHalf(m mask, h, t int) {
	f.lanemask = true
	f.arm("MOVD $lanemask<>+32(SB), R7")
	f.arm("SUB %s<<2, R7, R7", m.count())
	f.arm("FMOVQ %s, F%d", at(16*h, "R7"), t)
}

// products are the 64-bit products of lanes 0 and 1 of x and factor, and of lanes 2 and 3.
func (f *function) products(x, factor, low, high int) {
	bits := umull.bits | uint32(factor)<<16 | uint32(x)<<5
	f.word(bits|uint32(low), "umull v%d.2d, v%d.2s, v%d.2s", low, x, factor)
	f.word(bits|1<<30|uint32(high), "umull2 v%d.2d, v%d.4s, v%d.4s", high, x, factor)
}

// finish checks a function whose body begins at a byte of the file, and has it begin with the address of the constants.
func (f *function) finish(begin int) {
	if f.scratched && f.usesLast {
		panic(f.name + " uses both Y15 and what needs V30 or V31")
	}
	if f.usesConstants {
		body := strings.Clone(f.out.String()[begin:])
		f.out.Truncate(begin)
		f.arm("MOVD $constants<>(SB), %s", constants)
		f.out.WriteString(body)
	}
}

// pool is the table of the constants, in the order in which functions asked for them.
func (f *file) pool() {
	if len(f.constants) == 0 {
		return
	}
	f.out.WriteString("\n")
	offset := 0
	for _, c := range f.constants {
		fmt.Fprintf(&f.out, "// %s\n", c.name)
		for i := 0; i < c.bytes()/4; i += 2 {
			fmt.Fprintf(&f.out, "DATA constants<>+%d(SB)/8, $0x%08x%08x\n", offset+4*i, c.lanes[i+1], c.lanes[i])
		}
		offset += c.bytes()
	}
	fmt.Fprintf(&f.out, "GLOBL constants<>(SB), RODATA|NOPTR, $%d\n", offset)
}
