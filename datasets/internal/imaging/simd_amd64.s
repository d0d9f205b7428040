//go:build !purego

#include "textflag.h"

// Half of what the fractional bits of a sum can hold.
DATA halves<>+0(SB)/8, $0x0020000000200000
DATA halves<>+8(SB)/8, $0x0020000000200000
DATA halves<>+16(SB)/8, $0x0020000000200000
DATA halves<>+24(SB)/8, $0x0020000000200000
GLOBL halves<>(SB), RODATA|NOPTR, $32

// The two halves of a vector one after the other, four bytes at a time in turn.
DATA zip<>+0(SB)/4, $0
DATA zip<>+4(SB)/4, $4
DATA zip<>+8(SB)/4, $1
DATA zip<>+12(SB)/4, $5
DATA zip<>+16(SB)/4, $2
DATA zip<>+20(SB)/4, $6
DATA zip<>+24(SB)/4, $3
DATA zip<>+28(SB)/4, $7
GLOBL zip<>(SB), RODATA|NOPTR, $32

// func alongAVX2(n int, dst, src *uint8, taps *taps, weights *int32, first int)
//
// n pixels of eight rows: 24 bytes a pixel, eight of each channel, in src from pixel first on. A lane is a row.
TEXT ·alongAVX2(SB), NOSPLIT, $0-48
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ taps+24(FP), DX
	MOVQ weights+32(FP), R8
	MOVQ first+40(FP), R9
	VMOVDQU halves<>(SB), Y8
	VMOVDQU zip<>(SB), Y9
pixel:
	MOVQ 0(DX), R10
	MOVQ 8(DX), R12
	MOVQ 16(DX), R11
	SUBQ R9, R10
	IMULQ $24, R10
	ADDQ SI, R10
	LEAQ (R8)(R11*4), R11
	VMOVDQA Y8, Y0
	VMOVDQA Y8, Y1
	VMOVDQA Y8, Y2
tap:
	VPBROADCASTD (R11), Y3
	VPMOVZXBD (R10), Y4
	VPMOVZXBD 8(R10), Y5
	VPMOVZXBD 16(R10), Y6
	VPMULLD Y3, Y4, Y4
	VPMULLD Y3, Y5, Y5
	VPMULLD Y3, Y6, Y6
	VPADDD Y4, Y0, Y0
	VPADDD Y5, Y1, Y1
	VPADDD Y6, Y2, Y2
	ADDQ $24, R10
	ADDQ $4, R11
	DECQ R12
	JNZ tap
	VPSRAD $22, Y0, Y0
	VPSRAD $22, Y1, Y1
	VPSRAD $22, Y2, Y2
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y2, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y9, Y0
	VEXTRACTI128 $1, Y0, X1
	VMOVDQU X0, (DI)
	VMOVQ X1, 16(DI)
	ADDQ $24, DI
	ADDQ $24, DX
	DECQ CX
	JNZ pixel
	VZEROUPPER
	RET

// func turnAVX2(n int, dst *uint8, dstStride, dstStep int, src *uint8, srcStride, srcStep int)
TEXT ·turnAVX2(SB), NOSPLIT, $0-56
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ dstStride+16(FP), R8
	MOVQ dstStep+24(FP), R9
	MOVQ src+32(FP), SI
	MOVQ srcStride+40(FP), R10
	MOVQ srcStep+48(FP), R11
	LEAQ (R8)(R8*2), R12
	LEAQ (R10)(R10*2), R13
square:
	LEAQ (SI)(R10*4), DX
	VMOVQ (SI), X0
	VMOVQ (SI)(R10*1), X1
	VMOVQ (SI)(R10*2), X2
	VMOVQ (SI)(R13*1), X3
	VMOVQ (DX), X4
	VMOVQ (DX)(R10*1), X5
	VMOVQ (DX)(R10*2), X6
	VMOVQ (DX)(R13*1), X7
	VPUNPCKLBW X1, X0, X0
	VPUNPCKLBW X3, X2, X2
	VPUNPCKLBW X5, X4, X4
	VPUNPCKLBW X7, X6, X6
	VPUNPCKHWD X2, X0, X1
	VPUNPCKLWD X2, X0, X0
	VPUNPCKHWD X6, X4, X5
	VPUNPCKLWD X6, X4, X4
	VPUNPCKHDQ X4, X0, X2
	VPUNPCKLDQ X4, X0, X0
	VPUNPCKHDQ X5, X1, X3
	VPUNPCKLDQ X5, X1, X1
	LEAQ (DI)(R8*4), DX
	VMOVQ X0, (DI)
	VMOVHPS X0, (DI)(R8*1)
	VMOVQ X2, (DI)(R8*2)
	VMOVHPS X2, (DI)(R12*1)
	VMOVQ X1, (DX)
	VMOVHPS X1, (DX)(R8*1)
	VMOVQ X3, (DX)(R8*2)
	VMOVHPS X3, (DX)(R12*1)
	ADDQ R9, DI
	ADDQ R11, SI
	DECQ CX
	JNZ square
	RET

// func acrossAVX2(n int, dst, src *uint8, stride int, weights *int32, taps int)
//
// n is a multiple of 32.
TEXT ·acrossAVX2(SB), NOSPLIT, $0-48
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ stride+24(FP), R8
	MOVQ weights+32(FP), DX
	MOVQ taps+40(FP), R9
	VMOVDQU halves<>(SB), Y8
	VMOVDQU zip<>(SB), Y9
columns:
	MOVQ SI, R10
	MOVQ DX, R11
	MOVQ R9, R12
	VMOVDQA Y8, Y0
	VMOVDQA Y8, Y1
	VMOVDQA Y8, Y2
	VMOVDQA Y8, Y3
row:
	VPBROADCASTD (R11), Y4
	VPMOVZXBD (R10), Y5
	VPMOVZXBD 8(R10), Y6
	VPMOVZXBD 16(R10), Y7
	VPMOVZXBD 24(R10), Y10
	VPMULLD Y4, Y5, Y5
	VPMULLD Y4, Y6, Y6
	VPMULLD Y4, Y7, Y7
	VPMULLD Y4, Y10, Y10
	VPADDD Y5, Y0, Y0
	VPADDD Y6, Y1, Y1
	VPADDD Y7, Y2, Y2
	VPADDD Y10, Y3, Y3
	ADDQ R8, R10
	ADDQ $4, R11
	DECQ R12
	JNZ row
	VPSRAD $22, Y0, Y0
	VPSRAD $22, Y1, Y1
	VPSRAD $22, Y2, Y2
	VPSRAD $22, Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y9, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, DI
	ADDQ $32, SI
	SUBQ $32, CX
	JNZ columns
	VZEROUPPER
	RET
