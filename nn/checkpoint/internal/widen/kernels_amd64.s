//go:build !purego

#include "textflag.h"

// The exponent of binary16, in every lane.
DATA exponent16<>+0(SB)/4, $0x7c007c00
GLOBL exponent16<>(SB), RODATA|NOPTR, $4

// The exponent of float32.
DATA exponent32<>+0(SB)/4, $0x7f800000
GLOBL exponent32<>(SB), RODATA|NOPTR, $4

// What the kernels that widen have in common. BEGIN counts the numbers that are done in AX and has a format's exponent in every lane of Y15.
#define BEGIN(exponent) \
	MOVQ n+0(FP), CX    \
	MOVQ dst+8(FP), DI  \
	MOVQ src+16(FP), SI \
	XORQ AX, AX         \
	VPBROADCASTD exponent, Y15

// INFINITE clears the zero flag if a number in Y0 to Y3 has the exponent Y15, that of float32's infinities and NaNs.
#define INFINITE \
	VPAND Y15, Y0, Y4    \
	VPAND Y15, Y1, Y5    \
	VPAND Y15, Y2, Y6    \
	VPAND Y15, Y3, Y7    \
	VPMAXSD Y4, Y5, Y4   \
	VPMAXSD Y6, Y7, Y6   \
	VPMAXSD Y4, Y6, Y4   \
	VPCMPEQD Y15, Y4, Y4 \
	VPTEST Y4, Y4

// NEXT stores the block in Y0 to Y3, and is less where there is another one.
#define NEXT \
	VMOVDQU Y0, (DI)   \
	VMOVDQU Y1, 32(DI) \
	VMOVDQU Y2, 64(DI) \
	VMOVDQU Y3, 96(DI) \
	ADDQ $64, SI       \
	ADDQ $128, DI      \
	ADDQ $32, AX       \
	CMPQ AX, CX

// func halvesF16C(n int, dst *float32, src *byte) int
TEXT ·halvesF16C(SB), NOSPLIT, $0-32
	BEGIN(exponent16<>(SB))
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
	VCVTPH2PS (SI), Y0
	VCVTPH2PS 16(SI), Y1
	VCVTPH2PS 32(SI), Y2
	VCVTPH2PS 48(SI), Y3
	NEXT
	JLT block
done:
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

// func brainsAVX2(n int, dst *float32, src *byte) int
TEXT ·brainsAVX2(SB), NOSPLIT, $0-32
	BEGIN(exponent32<>(SB))
block:
	VPMOVZXWD (SI), Y0
	VPMOVZXWD 16(SI), Y1
	VPMOVZXWD 32(SI), Y2
	VPMOVZXWD 48(SI), Y3
	VPSLLD $16, Y0, Y0
	VPSLLD $16, Y1, Y1
	VPSLLD $16, Y2, Y2
	VPSLLD $16, Y3, Y3
	INFINITE
	JNZ done
	NEXT
	JLT block
done:
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET

// func finiteAVX2(n int, x *float32) int
TEXT ·finiteAVX2(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ x+8(FP), SI
	XORQ AX, AX
	VPBROADCASTD exponent32<>(SB), Y15
block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	INFINITE
	JNZ done
	ADDQ $128, SI
	ADDQ $32, AX
	CMPQ AX, CX
	JLT block
done:
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET
