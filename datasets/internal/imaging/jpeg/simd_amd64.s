//go:build !purego

#include "textflag.h"

// Rounding and the level shift of the two passes of the inverse DCT: see idct.go.
#define CONST8(name, value) \
	DATA name<>+0(SB)/4, value \
	DATA name<>+4(SB)/4, value \
	DATA name<>+8(SB)/4, value \
	DATA name<>+12(SB)/4, value \
	DATA name<>+16(SB)/4, value \
	DATA name<>+20(SB)/4, value \
	DATA name<>+24(SB)/4, value \
	DATA name<>+28(SB)/4, value \
	GLOBL name<>(SB), RODATA|NOPTR, $32

CONST8(fix0298, $2446)
CONST8(fix0390n, $-3196)
CONST8(fix0541, $4433)
CONST8(fix0765, $6270)
CONST8(fix0899n, $-7373)
CONST8(fix1175, $9633)
CONST8(fix1501, $12299)
CONST8(fix1847, $15137)
CONST8(fix1961n, $-16069)
CONST8(fix2053, $16819)
CONST8(fix2562n, $-20995)
CONST8(fix3072, $25172)
CONST8(half1, $0x400)      // 1<<10
CONST8(bias2, $0x2020000)  // 128<<18 + 1<<17

CONST8(bytes128, $128)
CONST8(bytes255, $255)
CONST8(crR, $91881)
CONST8(cbB, $116130)
CONST8(crG, $-46802)
CONST8(cbG, $-22554)
CONST8(halfY, $0x8000)

// The bytes of four columns by four rows, columns first, to rows first.
DATA turn<>+0(SB)/8, $0x0D0905010C080400
DATA turn<>+8(SB)/8, $0x0F0B07030E0A0602
DATA turn<>+16(SB)/8, $0x0D0905010C080400
DATA turn<>+24(SB)/8, $0x0F0B07030E0A0602
GLOBL turn<>(SB), RODATA|NOPTR, $32

// The first three bytes of each of four numbers.
DATA rgb<>+0(SB)/8, $0x0908060504020100
DATA rgb<>+8(SB)/8, $0x808080800E0D0C0A
DATA rgb<>+16(SB)/8, $0x0908060504020100
DATA rgb<>+24(SB)/8, $0x808080800E0D0C0A
GLOBL rgb<>(SB), RODATA|NOPTR, $32

// DEQUANT loads a row of coefficients and multiplies it by its steps.
#define DEQUANT(off, y) \
	VPMOVSXWD off(SI), y \
	VPMOVZXWD off(DX), Y15 \
	VPMULLD   Y15, y, y

// PASS is idct8 of idct.go on eight columns at once, for inputs x0..x7 in Y0..Y7. It leaves o0..o7 there. 8(SP).. keeps what
// registers cannot.
//
// Even part: e0, e1, a0..a3. Odd part: s, p17, p35, p37, p15, b0..b3.
#define PASS(bias, shift) \
	VPADDD  Y6, Y2, Y8 \
	VPMULLD fix0541<>(SB), Y8, Y8 \
	VPMULLD fix1847<>(SB), Y6, Y9 \
	VPSUBD  Y9, Y8, Y9 \
	VPMULLD fix0765<>(SB), Y2, Y10 \
	VPADDD  Y10, Y8, Y8 \
	VPADDD  Y4, Y0, Y10 \
	VPSLLD  $13, Y10, Y10 \
	VPSUBD  Y4, Y0, Y11 \
	VPSLLD  $13, Y11, Y11 \
	VPADDD  bias, Y10, Y10 \
	VPADDD  bias, Y11, Y11 \
	VPADDD  Y8, Y10, Y0 \
	VPSUBD  Y8, Y10, Y6 \
	VPADDD  Y9, Y11, Y2 \
	VPSUBD  Y9, Y11, Y4 \
	VPADDD  Y3, Y1, Y8 \
	VPADDD  Y7, Y5, Y9 \
	VPADDD  Y9, Y8, Y8 \
	VPMULLD fix1175<>(SB), Y8, Y8 \
	VPADDD  Y7, Y1, Y9 \
	VPMULLD fix0899n<>(SB), Y9, Y9 \
	VPADDD  Y5, Y3, Y10 \
	VPMULLD fix2562n<>(SB), Y10, Y10 \
	VPADDD  Y7, Y3, Y11 \
	VPMULLD fix1961n<>(SB), Y11, Y11 \
	VPADDD  Y8, Y11, Y11 \
	VPADDD  Y5, Y1, Y12 \
	VPMULLD fix0390n<>(SB), Y12, Y12 \
	VPADDD  Y8, Y12, Y12 \
	VPMULLD fix1501<>(SB), Y1, Y1 \
	VPMULLD fix3072<>(SB), Y3, Y3 \
	VPMULLD fix2053<>(SB), Y5, Y5 \
	VPMULLD fix0298<>(SB), Y7, Y7 \
	VPADDD  Y9, Y1, Y1 \
	VPADDD  Y12, Y1, Y8 \
	VPADDD  Y10, Y3, Y3 \
	VPADDD  Y11, Y3, Y13 \
	VPADDD  Y10, Y5, Y5 \
	VPADDD  Y12, Y5, Y12 \
	VPADDD  Y9, Y7, Y7 \
	VPADDD  Y11, Y7, Y11 \
	VPSUBD  Y8, Y0, Y7 \
	VPADDD  Y8, Y0, Y0 \
	VPADDD  Y13, Y2, Y1 \
	VPSUBD  Y13, Y2, Y13 \
	VPADDD  Y12, Y4, Y2 \
	VPSUBD  Y12, Y4, Y5 \
	VPADDD  Y11, Y6, Y3 \
	VPSUBD  Y11, Y6, Y4 \
	VMOVDQA Y13, Y6 \
	VPSRAD  shift, Y0, Y0 \
	VPSRAD  shift, Y1, Y1 \
	VPSRAD  shift, Y2, Y2 \
	VPSRAD  shift, Y3, Y3 \
	VPSRAD  shift, Y4, Y4 \
	VPSRAD  shift, Y5, Y5 \
	VPSRAD  shift, Y6, Y6 \
	VPSRAD  shift, Y7, Y7

// func idctAVX2(dst *byte, stride int, coefs *int16, quant *uint16)
TEXT ·idctAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ stride+8(FP), R8
	MOVQ coefs+16(FP), SI
	MOVQ quant+24(FP), DX
	DEQUANT(0, Y0)
	DEQUANT(16, Y1)
	DEQUANT(32, Y2)
	DEQUANT(48, Y3)
	DEQUANT(64, Y4)
	DEQUANT(80, Y5)
	DEQUANT(96, Y6)
	DEQUANT(112, Y7)
	VMOVDQU half1<>(SB), Y14
	PASS(Y14, $11)

	// Rows become columns.
	VPUNPCKLDQ Y1, Y0, Y8
	VPUNPCKHDQ Y1, Y0, Y9
	VPUNPCKLDQ Y3, Y2, Y10
	VPUNPCKHDQ Y3, Y2, Y11
	VPUNPCKLDQ Y5, Y4, Y12
	VPUNPCKHDQ Y5, Y4, Y13
	VPUNPCKLDQ Y7, Y6, Y14
	VPUNPCKHDQ Y7, Y6, Y15
	VPUNPCKLQDQ Y10, Y8, Y0
	VPUNPCKHQDQ Y10, Y8, Y1
	VPUNPCKLQDQ Y11, Y9, Y2
	VPUNPCKHQDQ Y11, Y9, Y3
	VPUNPCKLQDQ Y14, Y12, Y4
	VPUNPCKHQDQ Y14, Y12, Y5
	VPUNPCKLQDQ Y15, Y13, Y6
	VPUNPCKHQDQ Y15, Y13, Y7
	VPERM2I128 $0x20, Y4, Y0, Y8
	VPERM2I128 $0x31, Y4, Y0, Y12
	VPERM2I128 $0x20, Y5, Y1, Y9
	VPERM2I128 $0x31, Y5, Y1, Y13
	VPERM2I128 $0x20, Y6, Y2, Y10
	VPERM2I128 $0x31, Y6, Y2, Y14
	VPERM2I128 $0x20, Y7, Y3, Y11
	VPERM2I128 $0x31, Y7, Y3, Y15
	VMOVDQA Y8, Y0
	VMOVDQA Y9, Y1
	VMOVDQA Y10, Y2
	VMOVDQA Y11, Y3
	VMOVDQA Y12, Y4
	VMOVDQA Y13, Y5
	VMOVDQA Y14, Y6
	VMOVDQA Y15, Y7

	VMOVDQU bias2<>(SB), Y14
	PASS(Y14, $18)

	// Columns of numbers become rows of bytes; both packs saturate.
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKSSDW Y5, Y4, Y4
	VPACKSSDW Y7, Y6, Y6
	VPACKUSWB Y2, Y0, Y0
	VPACKUSWB Y6, Y4, Y4
	VMOVDQU turn<>(SB), Y8
	VPSHUFB Y8, Y0, Y0
	VPSHUFB Y8, Y4, Y4
	VPUNPCKLDQ Y4, Y0, Y1
	VPUNPCKHDQ Y4, Y0, Y2
	VEXTRACTI128 $1, Y1, X3
	VEXTRACTI128 $1, Y2, X4
	LEAQ (R8)(R8*2), R9
	VMOVQ X1, (DI)
	VPEXTRQ $1, X1, (DI)(R8*1)
	VMOVQ X2, (DI)(R8*2)
	VPEXTRQ $1, X2, (DI)(R9*1)
	LEAQ (DI)(R8*4), DI
	VMOVQ X3, (DI)
	VPEXTRQ $1, X3, (DI)(R8*1)
	VMOVQ X4, (DI)(R8*2)
	VPEXTRQ $1, X4, (DI)(R9*1)
	VZEROUPPER
	RET

// func triangleAVX2(n int, dst, near, far *byte, even, odd uint16)
//
// n is a multiple of 16. With s(i) = 3·near[i] + far[i] for -1 <= i <= n, dst[2i] = (3·s(i) + s(i-1) + even) >> 4 and
// dst[2i+1] = (3·s(i) + s(i+1) + odd) >> 4.
#define COLUMN(off, y) \
	VPMOVZXBW off(SI)(AX*1), y \
	VPMOVZXBW off(DX)(AX*1), Y6 \
	VPADDW    y, Y6, Y6 \
	VPADDW    y, y, y \
	VPADDW    Y6, y, y

TEXT ·triangleAVX2(SB), NOSPLIT, $0-36
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ near+16(FP), SI
	MOVQ far+24(FP), DX
	VPBROADCASTW even+32(FP), Y4
	VPBROADCASTW odd+34(FP), Y5
	XORQ AX, AX
loop:
	COLUMN(0, Y0)
	COLUMN(-1, Y1)
	COLUMN(1, Y2)
	VPADDW Y0, Y0, Y3
	VPADDW Y0, Y3, Y0
	VPADDW Y0, Y1, Y1
	VPADDW Y0, Y2, Y2
	VPADDW Y4, Y1, Y1
	VPADDW Y5, Y2, Y2
	VPSRLW $4, Y1, Y1
	VPSRLW $4, Y2, Y2
	VPSLLW $8, Y2, Y2
	VPOR Y1, Y2, Y1
	VMOVDQU Y1, (DI)(AX*2)
	ADDQ $16, AX
	CMPQ AX, CX
	JLT loop
	VZEROUPPER
	RET

// func yccToRGBAVX2(n int, dst, y, cb, cr *byte)
//
// n is a multiple of 8. Four bytes after the last pixel are written, too.
TEXT ·yccToRGBAVX2(SB), NOSPLIT, $0-40
	MOVQ n+0(FP), CX
	MOVQ dst+8(FP), DI
	MOVQ y+16(FP), SI
	MOVQ cb+24(FP), DX
	MOVQ cr+32(FP), R8
	VMOVDQU bytes128<>(SB), Y8
	VMOVDQU bytes255<>(SB), Y9
	VMOVDQU halfY<>(SB), Y10
	VMOVDQU crR<>(SB), Y11
	VMOVDQU cbB<>(SB), Y12
	VMOVDQU crG<>(SB), Y13
	VMOVDQU cbG<>(SB), Y14
	VMOVDQU rgb<>(SB), Y15
	VPXOR Y7, Y7, Y7
	XORQ AX, AX
pixels:
	VPMOVZXBD (SI)(AX*1), Y0
	VPMOVZXBD (DX)(AX*1), Y1
	VPMOVZXBD (R8)(AX*1), Y2
	VPSUBD Y8, Y1, Y1
	VPSUBD Y8, Y2, Y2
	VPMULLD Y11, Y2, Y3
	VPMULLD Y14, Y1, Y4
	VPMULLD Y13, Y2, Y5
	VPMULLD Y12, Y1, Y6
	VPADDD Y10, Y3, Y3
	VPADDD Y5, Y4, Y4
	VPADDD Y10, Y6, Y6
	VPADDD Y10, Y4, Y4
	VPSRAD $16, Y3, Y3
	VPSRAD $16, Y4, Y4
	VPSRAD $16, Y6, Y6
	VPADDD Y0, Y3, Y3
	VPADDD Y0, Y4, Y4
	VPADDD Y0, Y6, Y6
	VPMAXSD Y7, Y3, Y3
	VPMAXSD Y7, Y4, Y4
	VPMAXSD Y7, Y6, Y6
	VPMINSD Y9, Y3, Y3
	VPMINSD Y9, Y4, Y4
	VPMINSD Y9, Y6, Y6
	VPSLLD $8, Y4, Y4
	VPSLLD $16, Y6, Y6
	VPOR Y4, Y3, Y3
	VPOR Y6, Y3, Y3
	VPSHUFB Y15, Y3, Y3
	VEXTRACTI128 $1, Y3, X4
	VMOVDQU X3, (DI)
	VMOVDQU X4, 12(DI)
	ADDQ $24, DI
	ADDQ $8, AX
	CMPQ AX, CX
	JLT pixels
	VZEROUPPER
	RET
