package tensor_test

import (
	"errors"
	"slices"
	"testing"

	"fewshot/tensor"
)

// chain is what the tests record: each link takes memory and gives back what the one before it took.
func chain(d *tensor.Device, x *tensor.Tensor, links int) *tensor.Tensor {
	y := d.New(tensor.Full, x.Shape()...)
	tensor.Scale(y, x, 2)
	for range links {
		z := d.New(tensor.Full, x.Shape()...)
		tensor.Add(z, y, x)
		y.Release()
		y = z
	}
	return y
}

func TestProgram(t *testing.T) {
	for _, name := range []string{"cpu", "ref"} {
		d := openDevice(t, name)
		x := d.From([]float32{1, 2, 3}, 3)
		labels := []int32{0, 2}
		var y, picked *tensor.Tensor
		p, err := d.Record(func() {
			y = chain(d, x, 100)
			picked = d.New(tensor.Full, 2, 1)
			tensor.Gather(picked, y.View(3, 1), labels)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range []struct {
			x           []float32
			labels      []int32
			y, gathered []float32
		}{
			{[]float32{1, 2, 3}, []int32{0, 2}, []float32{102, 204, 306}, []float32{102, 306}},
			{[]float32{-1, 0, 1}, []int32{1, 0}, []float32{-102, 0, 102}, []float32{0, -102}},
		} {
			x.Set(run.x)
			copy(labels, run.labels)
			p.Run()
			if got := y.Floats(); !slices.Equal(got, run.y) {
				t.Errorf("%s: y = %v, want %v", name, got, run.y)
			}
			if got := picked.Floats(); !slices.Equal(got, run.gathered) {
				t.Errorf("%s: picked = %v, want %v", name, got, run.gathered)
			}
		}
		// Two links of the chain live at a time, and the last with what is picked.
		if got, most := p.Bytes(), int64(3*256); got > most {
			t.Errorf("%s: the program takes %d bytes, want at most %d", name, got, most)
		}
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	}
}

// A program calls functions in their place, which see what was done before them and do something themselves, at each
// Run; one may end it.
func TestProgramCalls(t *testing.T) {
	d := openDevice(t, "cpu")
	if !d.Calls() {
		t.Fatal("no calls")
	}
	x, y := d.From([]float32{1, 2}, 2), d.Zeros(tensor.Full, 2)
	var seen [][]float32
	end := false
	p, err := d.Record(func() {
		double := d.New(tensor.Full, 2)
		tensor.Scale(double, x, 2)
		d.Call(func() bool {
			seen = append(seen, double.Floats())
			one := d.From([]float32{1, 1}, 2)
			tensor.Add(x, x, one)
			one.Release()
			return !end
		})
		tensor.Add(y, double, x)
		double.Release()
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Run()
	if got, want := y.Floats(), []float32{4, 7}; !slices.Equal(got, want) {
		t.Errorf("y = %v, want %v", got, want)
	}
	end = true
	p.Run()
	if got, want := y.Floats(), []float32{4, 7}; !slices.Equal(got, want) {
		t.Errorf("ended before its last operation: y = %v, want %v", got, want)
	}
	end = false
	p.Run()
	if got, want := y.Floats(), []float32{10, 13}; !slices.Equal(got, want) {
		t.Errorf("y = %v, want %v", got, want)
	}
	if len(seen) != 3 || !slices.Equal(seen[2], []float32{6, 8}) {
		t.Errorf("functions saw %v", seen)
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
}

// unable is a backend that has a form for sequences of operations of its own, but not as it was opened.
type unable struct{ tensor.Backend }

func (unable) Record(f func()) (tensor.Recording, error) {
	f() // it may look at what it would have to do
	return nil, errors.ErrUnsupported
}

func TestProgramWithoutOwnForm(t *testing.T) {
	tensor.Register("unable", func(string, tensor.Options) (tensor.Backend, error) {
		return unable{openDevice(t, "cpu").Backend()}, nil
	})
	d := openDevice(t, "unable")
	if d.Calls() {
		t.Error("a backend with a form of its own for programs calls functions")
	}
	x := d.From([]float32{1, 2, 3}, 3)
	var y *tensor.Tensor
	p, err := d.Record(func() { y = chain(d, x, 5) })
	if err != nil {
		t.Fatal(err)
	}
	x.Set([]float32{2, 3, 4})
	p.Run()
	if got, want := y.Floats(), []float32{14, 21, 28}; !slices.Equal(got, want) {
		t.Errorf("y = %v, want %v", got, want)
	}
}

// What a program would take is known without anything being taken.
func TestMeasure(t *testing.T) {
	d := openDevice(t, "cpu")
	held := d.PeakBytes()
	for _, n := range []int{1, 100, 1000} {
		f := func() { chain(d, d.New(tensor.Full, n), 5) }
		got := d.Measure(f)
		if d.PeakBytes() != held {
			t.Fatalf("measuring took %d bytes", d.PeakBytes()-held)
		}
		p, err := d.Record(f)
		if err != nil {
			t.Fatal(err)
		}
		if got != p.Bytes() || got < int64(3*4*n) {
			t.Errorf("%d elements: measured %d bytes, the program takes %d", n, got, p.Bytes())
		}
		if err := p.Release(); err != nil {
			t.Error(err)
		}
		d.Trim()
		held = d.PeakBytes()
	}
}

// What a program's function may not do is a bug, and says so.
func TestProgramRefuses(t *testing.T) {
	d := openDevice(t, "cpu")
	x := d.Zeros(tensor.Full, 4)
	for name, f := range map[string]func(){
		"reading": func() { x.Floats() },
		"setting": func() { x.Set(make([]float32, 4)) },
		"nesting": func() { d.Record(func() {}) },
		"growing": func() func() {
			n := 0
			return func() { n++; d.New(tensor.Full, n).Release() }
		}(),
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
	x.Set([]float32{1, 2, 3, 4}) // the device is as before
	if x.Floats()[3] != 4 {
		t.Error("the device lost a value")
	}
}

func openDevice(t *testing.T, name string) *tensor.Device {
	t.Helper()
	d, err := tensor.Open(name, tensor.Options{Workers: 2, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
