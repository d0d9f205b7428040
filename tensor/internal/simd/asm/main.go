// Command asm writes the assembly of package simd, and the Go declarations that go with it, into the
// directory above. Run it there with "go generate"; a test compares what it writes with what is there.
//
// Every kernel is written once, for an abstract instruction set with vectors of some width, and comes
// out three times: for AVX-512 (32 registers of 16 floats, mask registers), for AVX2 with FMA (16 registers
// of 8 floats), and for NEON (as AVX2, each register two of arm64's). What differs is behind the methods of type function in emit.go. The files by idea:
//
//	gemm.go      the multiplication of a tile: the only kernel whose speed is a matter of every instruction
//	neon.go      what the instructions of AVX2 are on arm64; gemm_neon.go is the inner loop of its tile
//	strassen.go  the multiplication of blocks by fewer products than there are pairs of them
//	pack.go      copies that bring operands into the order in which the tile kernel reads them
//	exp.go       eˣ, and the kernels around it
//	softmax.go   powers of two and logarithms of scores
//	gelu.go      the normal distribution function, and GELU
//	vector.go    sums and element by element kernels
//	random.go    Philox4x32-10
//	update.go    gradient dropout and Adam
//	bf16.go      bfloat16: conversion, and products of pairs of numbers
//	quads.go     integers of eight bits: quantisation, and products of four at a time
//	peak.go      nothing but multiply-adds: the speed that there is to reach
package main

import (
	"fmt"
	"go/format"
	"os"
	"path/filepath"
)

func main() {
	for name, text := range generate() {
		if err := os.WriteFile(filepath.Clean(name), text, 0o666); err != nil {
			fmt.Fprintln(os.Stderr, "asm:", err)
			os.Exit(1)
		}
	}
}

// generate returns the contents of the generated files by name.
func generate() map[string][]byte {
	files := map[string][]byte{}
	stubs := map[string]*stubs{"amd64": {}, "arm64": {}}
	for _, s := range []*set{avx512, avx2, neon} {
		for _, part := range []struct {
			name string
			emit func(*file)
		}{{"gemm", emitGemm}, {"strassen", emitStrassen}, {"pack", emitPack}, {"vector", emitVector}, {"softmax", emitSoftmax}, {"random", emitRandom}, {"update", emitUpdate}, {"bf16", emitConversions}, {"dot", emitDot}, {"quads", emitQuads}, {"peak", emitPeak}} {
			if (part.name == "dot" || part.name == "quads") && s != avx512 {
				continue // only AVX-512 has the instructions
			}
			if part.name == "strassen" && s == neon {
				continue // nobody has measured that it pays
			}
			f := newFile(s, stubs[s.arch])
			part.emit(f)
			files[part.name+"_"+s.fileName+"_"+s.arch+".s"] = f.bytes()
		}
	}
	for arch, s := range stubs {
		source, err := format.Source(s.bytes())
		if err != nil {
			panic(err)
		}
		files["stubs_"+arch+".go"] = source
	}
	return files
}
