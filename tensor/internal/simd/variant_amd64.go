//go:build !purego

package simd

import "golang.org/x/sys/cpu"

//go:generate go run ./asm

// machine holds the variants that this machine can run, best first. The kernels of avx512 need the
// foundation subset alone, and BZHI.
var machine = func() (vs []*variant) {
	if cpu.X86.HasAVX512F && cpu.X86.HasBMI2 {
		if cpu.X86.HasAVX512BF16 {
			avx512.bf16 = &avx512bf16
		}
		if cpu.X86.HasAVX512VNNI {
			avx512.int8 = &avx512vnni
		}
		vs = append(vs, &avx512)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		vs = append(vs, &avx2)
	}
	return vs
}()

var avx512 = variant{
	name: "avx512", lanes: 16, rows: 14, width: 32,
	tiles:     [2][]tileKernel{tiles1xAVX512, tiles2xAVX512},
	packRowsB: packRows32xAVX512, packRowsA: packRows14xAVX512, packColsB: packCols32xAVX512,
	strassenSumsA: strassenSumsAAVX512, strassenSumsB: strassenSumsBAVX512,
	strassenTiles: strassenTilesAVX512, strassenJoin: strassenJoinAVX512, strassenEnds: strassenEndsAVX512, strassenRows: 1024, strassenRowsTransA: 512, strassenPays: true,
	exp: expAVX512, quickGELU: quickGELUAVX512, quickGELUGrad: quickGELUGradAVX512, gelu: geluAVX512, geluGrad: geluGradAVX512,
	add: addAVX512, mul: mulAVX512, scale: scaleAVX512, axpy: axpyAVX512, mask: maskAVX512, relu: reluAVX512,
	powers: powersAVX512, powersBelowMax: powersBelowMaxAVX512, logSums: logSumsAVX512, divideRows: divideRowsAVX512, softmaxGrad: softmaxGradAVX512,
	sum: sumAVX512, sumSquares: sumSquaresAVX512, dot: dotAVX512, countAbove: countAboveAVX512,
	normalize: normalizeAVX512, normalizeGradSums: normalizeGradSumsAVX512, normalizeGrad: normalizeGradAVX512,
	random: randomAVX512, uniform: uniformAVX512, gradDrop: gradDropAVX512, adam: adamAVX512,
	widen: widenAVX512, narrow: narrowAVX512,
}

// avx512bf16 has products alone.
var avx512bf16 = variant{
	name: "avx512_bf16", lanes: 16, rows: 14, width: 32, pairs: true,
	tiles:     [2][]tileKernel{dots1xAVX512, dots2xAVX512},
	packRowsB: packPairs32xAVX512, packRowsA: packPairs14xAVX512, packColsB: packCols32xAVX512,
}

// avx512vnni has products alone, and what they need.
var avx512vnni = variant{
	name: "avx512_vnni", lanes: 16, rows: 14, width: 32,
	tiles: [2][]tileKernel{quads1xAVX512, quads2xAVX512},
	ends:  endsAVX512, quantize: quantizeAVX512, dequantize: dequantizeAVX512,
}

var avx2 = variant{
	name: "avx2", lanes: 8, rows: 6, width: 16,
	tiles:     [2][]tileKernel{tiles1xAVX2, tiles2xAVX2},
	packRowsB: packRows16xAVX2, packRowsA: packRows6xAVX2, packColsB: packCols16xAVX2,
	strassenSumsA: strassenSumsAAVX2, strassenSumsB: strassenSumsBAVX2,
	strassenTiles: strassenTilesAVX2, strassenJoin: strassenJoinAVX2, strassenEnds: strassenEndsAVX2, strassenRows: 2048, strassenRowsTransA: 2048,
	exp: expAVX2, quickGELU: quickGELUAVX2, quickGELUGrad: quickGELUGradAVX2, gelu: geluAVX2, geluGrad: geluGradAVX2,
	add: addAVX2, mul: mulAVX2, scale: scaleAVX2, axpy: axpyAVX2, mask: maskAVX2, relu: reluAVX2,
	powers: powersAVX2, powersBelowMax: powersBelowMaxAVX2, logSums: logSumsAVX2, divideRows: divideRowsAVX2, softmaxGrad: softmaxGradAVX2,
	sum: sumAVX2, sumSquares: sumSquaresAVX2, dot: dotAVX2, countAbove: countAboveAVX2,
	normalize: normalizeAVX2, normalizeGradSums: normalizeGradSumsAVX2, normalizeGrad: normalizeGradAVX2,
	random: randomAVX2, uniform: uniformAVX2, gradDrop: gradDropAVX2, adam: adamAVX2,
	widen: widenAVX2, narrow: narrowAVX2,
}
