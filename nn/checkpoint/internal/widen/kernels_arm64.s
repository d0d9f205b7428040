//go:build !purego

#include "textflag.h"

// What Go's assembler does not know is written as its encoding, with its text beside it.

// func halvesNEON(n int, dst *float32, src *byte) int
TEXT ·halvesNEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R2
	MOVD dst+8(FP), R5
	MOVD src+16(FP), R4
	MOVD ZR, R0
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
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R5)
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R5)
	ADD $32, R0, R0
	CMP R2, R0
	BLT block
done:
	MOVD R0, ret+24(FP)
	RET

// func brainsNEON(n int, dst *float32, src *byte) int
TEXT ·brainsNEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R2
	MOVD dst+8(FP), R5
	MOVD src+16(FP), R4
	MOVD ZR, R0
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
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R5)
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R5)
	ADD $32, R0, R0
	CMP R2, R0
	BLT block
	MOVD R0, ret+24(FP)
	RET

// func floatsNEON(n int, dst *float32, src *byte) int
TEXT ·floatsNEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R2
	MOVD dst+8(FP), R5
	MOVD src+16(FP), R4
	MOVD ZR, R0
block:
	VLD1.P 64(R4), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1.P 64(R4), [V4.B16, V5.B16, V6.B16, V7.B16]
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R5)
	VST1.P [V4.B16, V5.B16, V6.B16, V7.B16], 64(R5)
	ADD $32, R0, R0
	CMP R2, R0
	BLT block
	MOVD R0, ret+24(FP)
	RET

// func bytesNEON(n int, dst *byte, src *float32) int
//
// The same bytes, the other way.
TEXT ·bytesNEON(SB), NOSPLIT, $0-32
	B ·floatsNEON(SB)

// func finiteNEON(n int, x *float32) int
TEXT ·finiteNEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R2
	MOVD x+8(FP), R4
	MOVD ZR, R0
	// The exponent of float32, in every lane.
	MOVD $0x7f800000, R1
	VDUP R1, V16.S4
block:
	VLD1.P 64(R4), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R4), [V4.S4, V5.S4, V6.S4, V7.S4]
	VAND V16.B16, V0.B16, V0.B16
	VAND V16.B16, V1.B16, V1.B16
	VAND V16.B16, V2.B16, V2.B16
	VAND V16.B16, V3.B16, V3.B16
	VAND V16.B16, V4.B16, V4.B16
	VAND V16.B16, V5.B16, V5.B16
	VAND V16.B16, V6.B16, V6.B16
	VAND V16.B16, V7.B16, V7.B16
	VUMAX V0.S4, V1.S4, V0.S4
	VUMAX V2.S4, V3.S4, V2.S4
	VUMAX V4.S4, V5.S4, V4.S4
	VUMAX V6.S4, V7.S4, V6.S4
	VUMAX V0.S4, V2.S4, V0.S4
	VUMAX V4.S4, V6.S4, V4.S4
	VUMAX V0.S4, V4.S4, V0.S4
	WORD $0x6eb0a800 // umaxv s0, v0.4s
	FMOVS F0, R3
	CMPW R1, R3
	BEQ done
	ADD $32, R0, R0
	CMP R2, R0
	BLT block
done:
	MOVD R0, ret+16(FP)
	RET
