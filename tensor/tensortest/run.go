package tensortest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/tensor"
)

// testCase checks one kernel. Its name starts with the method of tensor.Backend that it is about;
// after a slash it may say which side of it.
type testCase struct {
	name string
	run  func(*rig)
	full bool // all operands are of kind Full
}

// method is the method of tensor.Backend that the case is about.
func (c testCase) method() string {
	m, _, _ := strings.Cut(c.name, "/")
	return m
}

// table is every case, by the files of package tensor.
func table() []testCase {
	return slices.Concat(deviceCases, elementwiseCases, activationCases, gemmCases, headsCases, rowwiseCases, attentionCases,
		convCases, layoutCases, pictureCases, reduceCases, lossCases, randomCases, updateCases, transportCases)
}

// casesOf is the table for main operands of kind k.
func casesOf(k tensor.Kind) []testCase {
	return slices.DeleteFunc(table(), func(c testCase) bool { return c.full && k != tensor.Full })
}

// Run checks the device that open opens against the definitions of all kernels. Memory that nobody
// has written yet is NaN throughout (Options.Poison); the other options are open's own.
func Run(t *testing.T, open func(o tensor.Options) (*tensor.Device, error)) {
	t.Helper()
	d := start(t, open, tensor.Options{Poison: true})
	for _, k := range d.kinds() {
		t.Run(d.formats[k].name, func(t *testing.T) {
			for _, c := range casesOf(k) {
				t.Run(c.name, func(t *testing.T) {
					for _, f := range runCase(d, c, k, nil) {
						t.Error(f)
					}
				})
			}
		})
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// SameBits checks that all kernels of a host device give the same bits with each of these numbers of workers.
func SameBits(t *testing.T, open func(o tensor.Options) (*tensor.Device, error), workers ...int) {
	t.Helper()
	var want []result
	for i, w := range workers {
		d := start(t, open, tensor.Options{Poison: true, Workers: w})
		got, failed := results(d, casesOf)
		for _, f := range failed {
			t.Errorf("%d workers: %s", w, f)
		}
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if i == 0 {
			want = got
			continue
		}
		for _, f := range different(want, got) {
			t.Errorf("%d workers, not %d: %s", w, workers[0], f)
		}
	}
}

// results runs cases for their outputs alone.
func results(d *device, cases func(k tensor.Kind) []testCase) (all []result, failed []string) {
	for _, k := range d.kinds() {
		for _, c := range cases(k) {
			var bits []result
			for _, f := range runCase(d, c, k, &bits) {
				failed = append(failed, c.name+": "+f)
			}
			for _, b := range bits {
				all = append(all, result{c.name + ": " + b.where, b.bits})
			}
		}
	}
	return all, failed
}

// different says which outputs are not the same.
func different(want, got []result) (names []string) {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("%d outputs instead of %d", len(got), len(want))}
	}
	for i, w := range want {
		for j, b := range w.bits {
			if g := got[i].bits[j]; g != b {
				names = append(names, fmt.Sprintf("%s: element %d is %v instead of %v", w.where, j, math.Float64frombits(g), math.Float64frombits(b)))
				break
			}
		}
	}
	return names
}

// start opens the device and learns its formats.
func start(t *testing.T, open func(o tensor.Options) (*tensor.Device, error), o tensor.Options) *device {
	t.Helper()
	dev, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDevice(dev)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
