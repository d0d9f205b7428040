package synth

import "testing"

func BenchmarkPair(b *testing.B) {
	var pix [imageBytes]uint8
	for i := range uint64(200) { // compute the distance fields first
		Pair(pix[:], 1, i)
	}
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		Pair(pix[:], 1, i)
	}
}

func BenchmarkCaption(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Captions(1, 1)
	}
}
