//go:build cuda

package cuda

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/tensor"
)

// layer is a step in small: a product with a bias, in the device's format, a loss to labels with its gradient, a
// gradient of the weight, and sums that need scratch memory.
type layer struct {
	d              *tensor.Device
	x, w, bias     *tensor.Tensor
	labels         []int32
	loss, dw, sums *tensor.Tensor // results
}

const layerRows, layerIn, layerOut = 600, 48, 40

func newLayer(d *tensor.Device) *layer {
	l := &layer{d: d, x: d.New(tensor.Compute, layerRows, layerIn), w: d.New(tensor.Compute, layerIn, layerOut), bias: d.New(tensor.Full, layerOut),
		labels: make([]int32, layerRows)}
	tensor.Normal(l.w, tensor.NewKey(1))
	tensor.Normal(l.bias, tensor.NewKey(2))
	return l
}

// fill gives step i its inputs.
func (l *layer) fill(i int) {
	v := make([]float32, l.x.Len())
	for j := range v {
		v[j] = float32(tensor.NewKey(3).Fold(uint64(i)).Normal(uint64(j)))
	}
	l.x.Set(v)
	for j := range l.labels {
		l.labels[j] = int32((i + 3*j) % layerOut)
	}
}

// step leaves its results with the caller and gives back what else it took.
func (l *layer) step() {
	d := l.d
	logits, prob, grad := d.New(tensor.Compute, layerRows, layerOut), d.New(tensor.Full, layerRows, layerOut), d.New(tensor.Compute, 1, layerRows, layerOut)
	one := d.New(tensor.Full, 1)
	tensor.Fill(one, 1)
	l.loss, l.dw, l.sums = d.New(tensor.Full), d.New(tensor.Full, layerIn, layerOut), d.New(tensor.Full, 1, layerOut)
	tensor.Gemm(logits, l.x, l.w, tensor.GemmOptions{Bias: l.bias})
	tensor.CrossEntropy(l.loss, prob, logits, l.labels)
	tensor.CrossEntropyGrad(grad, one, prob, l.labels)
	tensor.Gemm(l.dw, l.x, grad.View(layerRows, layerOut), tensor.GemmOptions{TransA: true})
	tensor.SumTo(l.sums, grad)
	for _, t := range []*tensor.Tensor{logits, prob, grad, one} {
		t.Release()
	}
}

func (l *layer) results() []float32 {
	return slices.Concat(l.loss.Floats(), l.dw.Floats(), l.sums.Floats())
}

// A program does to the bit what its operations do one by one, on whatever inputs and labels it finds.
func TestProgramBits(t *testing.T) {
	for _, c := range []struct{ precision, products string }{{"float32", ""}, {"bf16", ""}, {"bf16", "none"}} {
		if c.products != "" {
			t.Setenv("FEWSHOT_CUBLASLT", c.products)
		}
		d := device(t, tensor.Options{Precision: c.precision, Poison: true})
		l := newLayer(d)
		var want [][]float32
		for i := range 4 {
			l.fill(i)
			l.step()
			want = append(want, l.results())
			for _, t := range []*tensor.Tensor{l.loss, l.dw, l.sums} {
				t.Release()
			}
		}
		p, err := d.Record(l.step)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			l.fill(i)
			p.Run()
			if !same(l.results(), want[i]) {
				t.Errorf("%s %s: run %d gives other bits than the operations one by one", c.precision, c.products, i)
			}
		}
		if err := p.Release(); err != nil {
			t.Error(err)
		}
		closeDevice(t, d)
	}
}

// Nothing waits between these runs: labels are kept while they are queued, and are the run's own.
func TestProgramRunsAhead(t *testing.T) {
	d := device(t, tensor.Options{})
	table := d.From([]float32{0, 10, 20, 30, 40, 50, 60, 70}, 8, 1)
	ids := make([]int32, 2)
	var picked *tensor.Tensor
	p, err := d.Record(func() {
		picked = d.New(tensor.Full, 2, 1)
		tensor.Gather(picked, table, ids)
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []*tensor.Tensor
	for i := range 3 * slotCount {
		ids[0], ids[1] = int32(i%8), int32((i+5)%8)
		p.Run()
		out := d.New(tensor.Full, 2, 1)
		tensor.Copy(out, picked)
		got = append(got, out)
	}
	clear(ids)
	for i, out := range got {
		if want := []float32{float32(10 * (i % 8)), float32(10 * ((i + 5) % 8))}; !same(out.Floats(), want) {
			t.Errorf("run %d picked %v, want %v", i, out.Floats(), want)
		}
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// A program keeps its memory for partial results, however much others need meanwhile. The simulated device notices
// what is written to memory that was given back.
func TestProgramKeepsItsScratch(t *testing.T) {
	d := device(t, tensor.Options{Poison: true})
	l := newLayer(d)
	l.fill(0)
	p, err := d.Record(l.step)
	if err != nil {
		t.Fatal(err)
	}
	p.Run()
	want := l.results()
	table, many := d.Zeros(tensor.Full, 1, 1), make([]int32, slotBytes/4+5)
	tensor.Gather(d.New(tensor.Full, len(many), 1), table, many) // ids that many grow the device's own
	tensor.Gather(d.New(tensor.Full, 1, 1), table, []int32{0})   // which gives back what it outgrew
	p.Run()
	if !same(l.results(), want) {
		t.Error("results changed when scratch memory grew")
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// An operation that outgrows the scratch memory when it is first done finds what it needs when it is captured, and
// nothing is given back by then.
func TestScratchGrowsBeforeCapture(t *testing.T) {
	d := device(t, tensor.Options{})
	b := d.Backend().(*backend)
	p, err := b.Record(func() {
		b.scratch.reset(b)
		for _, kib := range []int{600, 900, 900} {
			b.scratch.take(b, kib<<10)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// calls are the driver's functions that f calls, on the simulated device.
func calls(t *testing.T, f func()) []string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "calls")
	t.Setenv("FEWSHOT_SIM_LOG", log)
	f()
	t.Setenv("FEWSHOT_SIM_LOG", "")
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// A run is a copy of the labels and one launch: nothing is allocated, planned or waited for, on the device or in Go.
func TestProgramRunIsTwoCalls(t *testing.T) {
	simulated(t)
	d := device(t, tensor.Options{Precision: "bf16"})
	l := newLayer(d)
	l.fill(0)
	p, err := d.Record(l.step)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	want := []string{"cuMemcpyHtoDAsync_v2", "cuEventRecord", "cuGraphLaunch"}
	for range 2 * slotCount {
		got := calls(t, p.Run)
		// The ring has come round: its slot's last copy is awaited.
		if got = slices.DeleteFunc(got, func(s string) bool { return s == "cuEventSynchronize" }); !slices.Equal(got, want) {
			t.Fatalf("a run calls %v, want %v", got, want)
		}
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, p.Run); n > 0 {
		t.Errorf("a run allocates %v times in Go", n)
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// What cannot be captured ends the recording with the kernel's name, and the device goes on.
func TestCaptureFails(t *testing.T) {
	simulated(t)
	d := device(t, tensor.Options{})
	l := newLayer(d)
	l.fill(0)
	t.Setenv("FEWSHOT_SIM_REFUSE", "cross_entropy_grad")
	_, err := d.Record(l.step)
	if err == nil || !strings.HasPrefix(err.Error(), "recording: cross_entropy_grad: cuLaunchKernel: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900)") {
		t.Errorf("Record gives %v", err)
	}
	t.Setenv("FEWSHOT_SIM_REFUSE", "")
	if err := d.Sync(); err != nil {
		t.Fatalf("then the device is lost: %v", err)
	}
	p, err := d.Record(l.step)
	if err != nil {
		t.Fatal(err)
	}
	p.Run()
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// Errors of kernels are found before anything is captured, and later by whoever waits for a run.
func TestProgramErrors(t *testing.T) {
	simulated(t)
	d := device(t, tensor.Options{})
	l := newLayer(d)
	l.fill(0)
	p, err := d.Record(l.step)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FEWSHOT_SIM_FAIL", "total")
	if _, err := d.Record(l.step); err == nil || !strings.Contains(err.Error(), "recording: the work queued so far") || !strings.Contains(err.Error(), "ILLEGAL_ADDRESS") {
		t.Errorf("Record of a kernel that fails gives %v", err)
	}
	d.Close()

	t.Setenv("FEWSHOT_SIM_FAIL", "")
	d = device(t, tensor.Options{})
	l = newLayer(d)
	l.fill(0)
	if p, err = d.Record(l.step); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FEWSHOT_SIM_FAIL", "total")
	p.Run()
	err = d.Sync()
	if err == nil || !strings.Contains(err.Error(), "FEWSHOT_CUDA_DEBUG=1 finds the kernel") {
		t.Errorf("Sync after a run that fails gives %v", err)
	}
	p.Run()
	if again := d.Sync(); again != err {
		t.Errorf("then Sync gives %v", again)
	}
	d.Close()

	// With the setting that the message names, it does find the kernel: the program is a list of calls.
	t.Setenv("FEWSHOT_SIM_FAIL", "")
	t.Setenv("FEWSHOT_CUDA_DEBUG", "1")
	d = device(t, tensor.Options{})
	l = newLayer(d)
	l.fill(0)
	if p, err = d.Record(l.step); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FEWSHOT_SIM_FAIL", "total")
	p.Run()
	if err := d.Sync(); err == nil || !strings.HasPrefix(err.Error(), "total: ") {
		t.Errorf("Sync after a run that fails gives %v", err)
	}
	d.Close()
}

// What waits for the device cannot be part of a program, however it is asked for.
func TestProgramRefusesToWait(t *testing.T) {
	d := device(t, tensor.Options{})
	b := d.Backend().(*backend)
	x := d.Zeros(tensor.Full, 4)
	for op, f := range map[string]func(){
		"Sync":     func() { b.Sync() },
		"Alloc":    func() { b.Alloc(4, tensor.Full) },
		"Free":     func() { b.Free(x.Buf()) },
		"Upload":   func() { b.Upload(x.Buf(), make([]float32, 4)) },
		"Download": func() { b.Download(make([]float32, 4), x.Buf()) },
	} {
		for _, when := range []int{1, 2} { // while it is done, and while it is captured
			func() {
				defer func() {
					if got, want := recover(), "cuda: "+op+" while a program is recorded: it would wait for the device"; got != want {
						t.Errorf("%s gives %v", op, got)
					}
				}()
				n := 0
				b.Record(func() {
					if n++; n == when {
						f()
					}
				})
			}()
		}
	}
	// The device is as before.
	x.Set([]float32{1, 2, 3, 4})
	if x.Floats()[3] != 4 {
		t.Error("the device lost a value")
	}
	closeDevice(t, d)
}

// A product whose algorithm is not known yet cannot be captured: the library may not be asked.
func TestCaptureOfNewProduct(t *testing.T) {
	d := device(t, tensor.Options{})
	b := d.Backend().(*backend)
	if b.about().CuBLASLt == 0 {
		t.Skip("there is no cuBLASLt")
	}
	x, y := d.Zeros(tensor.Full, 24, 24), d.New(tensor.Full, 24, 24)
	n := 0
	_, err := b.Record(func() {
		if n++; n == 2 {
			tensor.Gemm(y, x, x, tensor.GemmOptions{})
		}
	})
	if want := "gemm: a product of 24×24×24 was not made before it was recorded"; err == nil || err.Error() != want {
		t.Errorf("Record gives %v, want %s", err, want)
	}
	closeDevice(t, d)
}
