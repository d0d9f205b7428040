//go:build !purego

package simd

// machine is what every arm64 has: vectors of four floats are part of the architecture.
var machine = []*variant{&neon}

// neon goes by vectors of eight, two registers each, as avx2 does; see asm/neon.go. There is no Strassen's algorithm in
// it, as nobody has measured that it pays.
var neon = variant{
	name: "neon", lanes: 8, rows: 6, width: 16,
	tiles:     [2][]tileKernel{tiles1xNEON, tiles2xNEON},
	packRowsB: packRows16xNEON, packRowsA: packRows6xNEON, packColsB: packCols16xNEON,
	exp: expNEON, quickGELU: quickGELUNEON, quickGELUGrad: quickGELUGradNEON, gelu: geluNEON, geluGrad: geluGradNEON,
	add: addNEON, mul: mulNEON, scale: scaleNEON, axpy: axpyNEON, mask: maskNEON, relu: reluNEON,
	powers: powersNEON, powersBelowMax: powersBelowMaxNEON, logSums: logSumsNEON, divideRows: divideRowsNEON, softmaxGrad: softmaxGradNEON,
	sum: sumNEON, sumSquares: sumSquaresNEON, dot: dotNEON, countAbove: countAboveNEON,
	normalize: normalizeNEON, normalizeGradSums: normalizeGradSumsNEON, normalizeGrad: normalizeGradNEON,
	random: randomNEON, uniform: uniformNEON, gradDrop: gradDropNEON, adam: adamNEON,
	widen: widenNEON, narrow: narrowNEON,
}
