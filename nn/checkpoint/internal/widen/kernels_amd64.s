//go:build !purego

#include "textflag.h"

// The exponent of binary16, in every lane.
DATA exponent16<>+0(SB)/4, $0x7c007c00
GLOBL exponent16<>(SB), RODATA|NOPTR, $4

// The exponent of float32.
DATA exponent32<>+0(SB)/4, $0x7f800000
GLOBL exponent32<>(SB), RODATA|NOPTR, $4

// func halvesF16C(n int, dst *float32, src *byte) int
TEXT ·halvesF16C(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	XORQ AX, AX
	VPBROADCASTD exponent16<>(SB), Y15
block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPAND Y15, Y0, Y2
	VPAND Y15, Y1, Y3
	VPCMPEQW Y15, Y2, Y2
	VPCMPEQW Y15, Y3, Y3
	VPOR Y2, Y3, Y2
	VPTEST Y2, Y2
	JNZ done
	VCVTPH2PS (SI), Y4
	VCVTPH2PS 16(SI), Y5
	VCVTPH2PS 32(SI), Y6
	VCVTPH2PS 48(SI), Y7
	VMOVUPS Y4, (DI)
	VMOVUPS Y5, 32(DI)
	VMOVUPS Y6, 64(DI)
	VMOVUPS Y7, 96(DI)
	ADDQ $64, SI
	ADDQ $128, DI
	ADDQ $32, AX
	CMPQ AX, CX
	JLT block
done:
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

// func brainsAVX2(n int, dst *float32, src *byte) int
TEXT ·brainsAVX2(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	XORQ AX, AX
block:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPMOVZXWD 32(SI), Y2
	VPMOVZXWD 48(SI), Y3
	VPSLLD $16, Y0, Y0
	VPSLLD $16, Y1, Y1
	VPSLLD $16, Y2, Y2
	VPSLLD $16, Y3, Y3
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $64, SI
	ADDQ $128, DI
	ADDQ $32, AX
	CMPQ AX, CX
	JLT block
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

// func floatsAVX2(n int, dst *float32, src *byte) int
TEXT ·floatsAVX2(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	XORQ AX, AX
block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $128, SI
	ADDQ $128, DI
	ADDQ $32, AX
	CMPQ AX, CX
	JLT block
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

// func bytesAVX2(n int, dst *byte, src *float32) int
//
// The same bytes, the other way.
TEXT ·bytesAVX2(SB), NOSPLIT, $0-32
	JMP ·floatsAVX2(SB)

// func finiteAVX2(n int, x *float32) int
TEXT ·finiteAVX2(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ x+8(FP), SI
	XORQ AX, AX
	VPBROADCASTD exponent32<>(SB), Y15
block:
	VPAND (SI), Y15, Y0
	VPAND 32(SI), Y15, Y1
	VPAND 64(SI), Y15, Y2
	VPAND 96(SI), Y15, Y3
	VPMAXSD Y0, Y1, Y0
	VPMAXSD Y2, Y3, Y2
	VPMAXSD Y0, Y2, Y0
	VPCMPEQD Y15, Y0, Y0
	VPTEST Y0, Y0
	JNZ done
	ADDQ $128, SI
	ADDQ $32, AX
	CMPQ AX, CX
	JLT block
done:
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET
