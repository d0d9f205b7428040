//go:build cuda

package cuda

import (
	"fmt"
	"testing"

	"fewshot/tensor"
)

// Images a second from crops of 375x375 of pictures of 500x375 to 224 pixels, about what training asks for, with what
// the host has to hand over for them.
func BenchmarkResample(b *testing.B) {
	const w, h, size, taps = 500, 375, 224, 8
	d := device(b, tensor.Options{Precision: "bf16"})
	defer closeDevice(b, d)
	f := make([]int32, 3*size)
	for i := range size {
		f[3*i], f[3*i+1], f[3*i+2] = int32(i*(h-taps)/(size-1)), taps, int32(len(f))
		for range taps {
			f = append(f, 1<<22/taps)
		}
	}
	p := d.NewPictures(1 << 30)
	levels := d.Zeros(tensor.Full, 3, 256)
	for _, n := range []int{32, 256} {
		var crops []tensor.Crop
		for i := range n {
			if i == p.Len() {
				p.Add(make([]byte, 3*w*h), w, h)
			}
			crops = append(crops, tensor.Crop{Picture: i, Left: i % (w - h), Columns: f, Rows: f, Flip: i%2 > 0})
		}
		images := d.New(tensor.Compute, n, 3, size, size)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				tensor.Resample(images, levels, p, crops)
				if err := d.Sync(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
