package jpeg

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// withoutAVX2 runs f with the kernels in Go alone.
func withoutAVX2(t *testing.T, f func()) {
	t.Helper()
	if !useAVX2 {
		t.Skip("no assembly here")
	}
	portable(f)
}

// The kernels in assembly give the bytes of those in Go, whatever comes in: coefficients and steps of damaged files overflow.
func TestKernelsAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			switch rnd.IntN(4) {
			case 0:
				b[i] = 255 * byte(rnd.IntN(2))
			default:
				b[i] = byte(rnd.Uint32())
			}
		}
		return b
	}
	// compare makes output of n bytes both ways; nothing else may be written.
	compare := func(name string, n int, f func(dst []byte)) {
		t.Helper()
		const beyond = 64
		quick := bytes.Repeat([]byte{77}, n+beyond)
		slow := bytes.Clone(quick)
		f(quick[:n])
		withoutAVX2(t, func() { f(slow[:n]) })
		if !bytes.Equal(quick, slow) {
			t.Fatalf("%s: the kernels differ", name)
		}
	}
	for i := range 20000 {
		var coefs [64]int16
		var quant [64]uint16
		count, shift := 1+rnd.IntN(64), rnd.IntN(16)
		if i%8 == 0 {
			shift = 0
		}
		for range count {
			coefs[rnd.IntN(64)] = int16(rnd.Uint32()) >> shift
		}
		for k := range quant {
			quant[k] = uint16(rnd.Uint32()) >> rnd.IntN(16)
		}
		if i%5 == 0 {
			coefs = [64]int16{coefs[0]}
			got, want := flat(coefs[0], quant[0]), make([]byte, 64)
			idctGo(want, 8, &coefs, &quant)
			if !bytes.Equal(want, bytes.Repeat([]byte{got}, 64)) {
				t.Fatalf("flat(%d, %d) = %d, want %d", coefs[0], quant[0], got, want)
			}
		}
		stride := 8 + rnd.IntN(20)
		compare(fmt.Sprint("idct ", coefs, quant), 7*stride+8, func(dst []byte) { idct(dst, stride, &coefs, &quant) })
	}
	for n := 1; n < 100; n++ {
		y, cb, cr := random(n), random(n), random(n)
		compare(fmt.Sprint("yccToRGB of ", n), 3*n, func(dst []byte) { yccToRGB(dst, y, cb, cr) })
		if n > 2 {
			compare(fmt.Sprint("triangle of ", n), 2*n, func(dst []byte) { triangle(dst, y, cb, 8, 7) })
			compare(fmt.Sprint("triangleH2 of ", n), 2*n, func(dst []byte) { triangleH2(dst, y) })
		}
	}
	for cb := range 256 {
		y, b, r := make([]byte, 256*16), make([]byte, 256*16), make([]byte, 256*16)
		for i := range y {
			y[i], b[i], r[i] = byte(i&15*17), byte(cb), byte(i>>4)
		}
		compare(fmt.Sprint("yccToRGB of all Cr with Cb ", cb), 3*len(y), func(dst []byte) { yccToRGB(dst, y, b, r) })
	}
}

// Whole pictures come out the same without assembly.
func TestDecodeWithoutAssembly(t *testing.T) {
	for _, name := range []string{"420-large.jpg", "422.jpg", "440-progressive.jpg", "cmyk.jpg", "ycck.jpg", "missing-scans-420-0.jpg", "q1.jpg"} {
		data := readFixture(t, name)
		want, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		withoutAVX2(t, func() {
			if got, err := Decode(data); err != nil || !bytes.Equal(got.Pix, want.Pix) {
				t.Errorf("%s: other pixels, %v", name, err)
			}
		})
	}
}

func BenchmarkKernels(b *testing.B) {
	const n = 512
	y, cb, cr, dst := make([]byte, n), make([]byte, n), make([]byte, n), make([]byte, 3*n)
	var coefs [64]int16
	var quant [64]uint16
	for i := range coefs {
		coefs[i], quant[i] = int16(i), uint16(1+i)
	}
	run := func(name string, bytes int64, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(bytes)
			for b.Loop() {
				f()
			}
		})
	}
	for _, assembly := range []bool{true, false} {
		how := map[bool]string{true: "assembly", false: "Go"}[assembly]
		kernels := func() {
			run("idct/"+how, 64, func() { idct(dst, 64, &coefs, &quant) })
			run("triangle/"+how, n, func() { triangle(dst, y[:n/2], cb[:n/2], 8, 7) })
			run("yccToRGB/"+how, 3*n, func() { yccToRGB(dst, y, cb, cr) })
		}
		switch {
		case !assembly:
			portable(kernels)
		case useAVX2:
			kernels()
		}
	}
}
