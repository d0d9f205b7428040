// Command asm writes the assembly of package simd, and the Go declarations that go with it, into the
// directory above. Run it there with "go generate"; a test compares what it writes with what is there.
//
// Every kernel is written once, for an abstract instruction set with vectors of some width, and comes
// out twice: for AVX-512 (32 registers of 16 floats, mask registers) and for AVX2 with FMA (16 registers
// of 8 floats). What differs is behind the methods of type function in emit.go. The files by idea:
//
//	gemm.go      the multiplication of a tile: the only kernel whose speed is a matter of every instruction
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
	var stubs stubs
	for _, s := range []*set{avx512, avx2} {
		for _, part := range []struct {
			name string
			emit func(*file)
		}{{"gemm", emitGemm}, {"strassen", emitStrassen}, {"pack", emitPack}, {"vector", emitVector}, {"softmax", emitSoftmax}, {"random", emitRandom}, {"update", emitUpdate}, {"bf16", emitConversions}, {"dot", emitDot}, {"quads", emitQuads}, {"peak", emitPeak}} {
			if (part.name == "dot" || part.name == "quads") && s != avx512 {
				continue // only AVX-512 has the instructions
			}
			f := newFile(s, &stubs)
			part.emit(f)
			files[part.name+"_"+s.fileName+"_amd64.s"] = f.bytes()
		}
	}
	source, err := format.Source(stubs.bytes())
	if err != nil {
		panic(err)
	}
	files["stubs_amd64.go"] = source
	return files
}
