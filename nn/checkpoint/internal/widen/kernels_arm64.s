//go:build !purego

#include "textflag.h"

// What Go's assembler does not know is written as its encoding, with its text beside it.

// What the kernels that widen have in common. BEGIN counts the numbers that are done in R0; NEXT stores the block in V8 to V15, and is less where
// there is another one.
#define BEGIN \
	MOVD n+0(FP), R2    \
	MOVD dst+8(FP), R5  \
	MOVD src+16(FP), R4 \
	MOVD ZR, R0

#define NEXT \
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R5)   \
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R5) \
	ADD $32, R0, R0                                 \
	CMP R2, R0

// func halvesNEON(n int, dst *float32, src *byte) int
TEXT ·halvesNEON(SB), NOSPLIT, $0-32
	BEGIN
	// The exponent of binary16, in every lane.
	MOVD $0x7c00, R1
	VDUP R1, V16.H8
block:
	VLD1.P 64(R4), [V0.H8, V1.H8, V2.H8, V3.H8]
	VAND V16.B16, V0.B16, V4.B16
	VAND V16.B16, V1.B16, V5.B16
	VAND V16.B16, V2.B16, V6.B16
	VAND V16.B16, V3.B16, V7.B16
	VCMEQ V16.H8, V4.H8, V4.H8
	VCMEQ V16.H8, V5.H8, V5.H8
	VCMEQ V16.H8, V6.H8, V6.H8
	VCMEQ V16.H8, V7.H8, V7.H8
	VORR V4.B16, V5.B16, V4.B16
	VORR V6.B16, V7.B16, V6.B16
	VORR V4.B16, V6.B16, V4.B16
	WORD $0x6e30a884 // umaxv b4, v4.16b
	FMOVS F4, R3
	CBNZ R3, done
	WORD $0x0e217808 // fcvtl v8.4s, v0.4h
	WORD $0x4e217809 // fcvtl2 v9.4s, v0.8h
	WORD $0x0e21782a // fcvtl v10.4s, v1.4h
	WORD $0x4e21782b // fcvtl2 v11.4s, v1.8h
	WORD $0x0e21784c // fcvtl v12.4s, v2.4h
	WORD $0x4e21784d // fcvtl2 v13.4s, v2.8h
	WORD $0x0e21786e // fcvtl v14.4s, v3.4h
	WORD $0x4e21786f // fcvtl2 v15.4s, v3.8h
	NEXT
	BLT block
done:
	MOVD R0, ret+24(FP)
	RET

// EXPONENT is that of float32, in R1 and in every lane of V16.
#define EXPONENT \
	MOVD $0x7f800000, R1 \
	VDUP R1, V16.S4

// FINITE compares with R1 the largest exponent in V8 to V15: equal is one of an infinity or NaN. The WORD is umaxv s17, v17.4s.
#define FINITE \
	VAND V16.B16, V8.B16, V17.B16  \
	VAND V16.B16, V9.B16, V18.B16  \
	VAND V16.B16, V10.B16, V19.B16 \
	VAND V16.B16, V11.B16, V20.B16 \
	VAND V16.B16, V12.B16, V21.B16 \
	VAND V16.B16, V13.B16, V22.B16 \
	VAND V16.B16, V14.B16, V23.B16 \
	VAND V16.B16, V15.B16, V24.B16 \
	VUMAX V17.S4, V18.S4, V17.S4   \
	VUMAX V19.S4, V20.S4, V19.S4   \
	VUMAX V21.S4, V22.S4, V21.S4   \
	VUMAX V23.S4, V24.S4, V23.S4   \
	VUMAX V17.S4, V19.S4, V17.S4   \
	VUMAX V21.S4, V23.S4, V21.S4   \
	VUMAX V17.S4, V21.S4, V17.S4   \
	WORD $0x6eb0aa31               \
	FMOVS F17, R3                  \
	CMPW R1, R3

// func brainsNEON(n int, dst *float32, src *byte) int
TEXT ·brainsNEON(SB), NOSPLIT, $0-32
	BEGIN
	EXPONENT
block:
	VLD1.P 64(R4), [V0.H8, V1.H8, V2.H8, V3.H8]
	WORD $0x2e613808 // shll v8.4s, v0.4h, #16
	WORD $0x6e613809 // shll2 v9.4s, v0.8h, #16
	WORD $0x2e61382a // shll v10.4s, v1.4h, #16
	WORD $0x6e61382b // shll2 v11.4s, v1.8h, #16
	WORD $0x2e61384c // shll v12.4s, v2.4h, #16
	WORD $0x6e61384d // shll2 v13.4s, v2.8h, #16
	WORD $0x2e61386e // shll v14.4s, v3.4h, #16
	WORD $0x6e61386f // shll2 v15.4s, v3.8h, #16
	FINITE
	BEQ done
	NEXT
	BLT block
done:
	MOVD R0, ret+24(FP)
	RET

// func finiteNEON(n int, x *float32) int
TEXT ·finiteNEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R2
	MOVD x+8(FP), R4
	MOVD ZR, R0
	EXPONENT
block:
	VLD1.P 64(R4), [V8.B16, V9.B16, V10.B16, V11.B16]
	VLD1.P 64(R4), [V12.B16, V13.B16, V14.B16, V15.B16]
	FINITE
	BEQ done
	ADD $32, R0, R0
	CMP R2, R0
	BLT block
done:
	MOVD R0, ret+16(FP)
	RET
