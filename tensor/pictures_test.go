package tensor_test

import (
	"testing"

	"fewshot/tensor"
)

// still is the filter that leaves n samples as they are.
func still(n int) []int32 {
	f := make([]int32, 4*n)
	for i := range n {
		f[3*i], f[3*i+1], f[3*i+2], f[3*n+i] = int32(i), 1, int32(3*n+i), 1<<22
	}
	return f
}

// Pictures count as memory of the device, a full store leaves it alone, and a store that was emptied takes none.
func TestPicturesMemory(t *testing.T) {
	d := openDevice(t, "cpu")
	p := d.NewPictures(50 << 20)
	pix := make([]byte, 3*3000*1000)
	for i := range 5 {
		if n, ok := p.Add(pix, 3000, 1000); !ok || n != i {
			t.Fatalf("picture %d: number %d, %v", i, n, ok)
		}
	}
	// A block holds three pictures; the second is cut to what may still be taken.
	if p.Bytes() != 50<<20 || d.PeakBytes() != 50<<20 {
		t.Errorf("the store takes %d bytes, the device %d", p.Bytes(), d.PeakBytes())
	}
	if _, ok := p.Add(pix, 1000, 3000); ok {
		t.Error("six pictures of 9 MB in 50 MiB, of which a block wastes 5")
	}
	p.Clear()
	if n, ok := p.Add(pix, 3000, 1000); !ok || n != 0 || p.Bytes() != 50<<20 {
		t.Errorf("after Clear: picture %d, %v, %d bytes", n, ok, p.Bytes())
	}
	p.Release()
	large := d.NewPictures(50 << 20)
	if _, ok := large.Add(make([]byte, 3*4000*4000), 4000, 4000); !ok || large.Bytes() != 48_000_000 {
		t.Errorf("a picture larger than a block: %v, %d bytes", ok, large.Bytes())
	}
	// It does not stay in the way of others.
	large.Clear()
	if _, ok := large.Add(make([]byte, 3*2000*4000), 2000, 4000); !ok || large.Bytes() != 32<<20 {
		t.Errorf("a smaller one after it: %v, %d bytes", ok, large.Bytes())
	}
	if d.PeakBytes() != 50<<20 || d.OwnMemory() != 0 {
		t.Errorf("the device held up to %d bytes, and has %d to itself", d.PeakBytes(), d.OwnMemory())
	}
}

// While a program is recorded there is nothing to add pictures to, and nobody to make images.
func TestPicturesWhileRecording(t *testing.T) {
	d := openDevice(t, "cpu")
	p := d.NewPictures(1 << 20)
	p.Add(make([]byte, 12), 2, 2)
	images, levels := d.New(tensor.Compute, 1, 3, 2, 2), d.Zeros(tensor.Full, 3, 256)
	for name, f := range map[string]func(){
		"Add":      func() { p.Add(make([]byte, 12), 2, 2) },
		"Resample": func() { tensor.Resample(images, levels, p, []tensor.Crop{{Columns: still(2), Rows: still(2)}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s while recording was not refused", name)
				}
			}()
			d.Record(f)
		}()
	}
}

// Resample costs the garbage collector nothing.
func TestResampleDoesNotAllocate(t *testing.T) {
	d := openDevice(t, "cpu")
	p := d.NewPictures(1 << 20)
	p.Add(make([]byte, 3*40*40), 40, 40)
	images, levels := d.New(tensor.Compute, 8, 3, 32, 32), d.Zeros(tensor.Full, 3, 256)
	crops := make([]tensor.Crop, 8)
	for i := range crops {
		crops[i] = tensor.Crop{Left: i, Columns: still(32), Rows: still(32)}
	}
	f := func() { tensor.Resample(images, levels, p, crops) }
	f()
	if n := testing.AllocsPerRun(20, f); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
