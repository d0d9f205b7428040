//go:build cuda

package cuda

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"fewshot/cuda/internal/driver"
	"fewshot/tensor"
)

// work calls every kernel that has a barrier, on sizes that need more than one tile, and returns what came out.
func work(t *testing.T, precision string) []float32 {
	t.Helper()
	d := device(t, tensor.Options{Precision: precision, Poison: true})
	defer closeDevice(t, d)
	numbers := func(seed uint64, shape ...int) *tensor.Tensor {
		x := d.New(tensor.Compute, shape...)
		tensor.Normal(x, tensor.NewKey(seed))
		return x
	}
	var all []float32
	keep := func(ts ...*tensor.Tensor) {
		for _, x := range ts {
			all = append(all, x.Floats()...)
		}
	}
	product := d.New(tensor.Compute, 70, 66)
	tensor.Gemm(product, numbers(1, 70, 50), numbers(2, 50, 66), tensor.GemmOptions{})
	keep(product)

	for _, width := range []int{32, 64} { // the second on tensor cores, where there is bfloat16
		const length = 70
		qkv := numbers(3, 1, length, 3*width)
		o := tensor.AttentionOptions{Heads: 1, K: width, V: 2 * width}
		out, lse := d.New(tensor.Compute, 1, length, width), d.New(tensor.Full, 1, 1, length)
		tensor.Attention(out, lse, qkv, qkv, o)
		grad := d.New(tensor.Compute, 2, 1, length, 3*width)
		tensor.AttentionGrad(grad, grad, numbers(4, 2, 1, length, width), qkv, qkv, out, lse, o)
		keep(out, lse, grad)
	}

	x, stats := numbers(5, 130, 40), d.New(tensor.Full, 130, 2)
	gain, bias := numbers(6, 40), numbers(7, 40)
	y := d.New(tensor.Compute, 130, 40)
	tensor.LayerNorm(y, stats, x, gain, bias, 1e-5)
	dw, db, sum := d.New(tensor.Full, 2, 40), d.New(tensor.Full, 2, 40), d.New(tensor.Full, 2, 40)
	ct := numbers(8, 2, 130, 40)
	tensor.LayerNormParamGrad(dw, db, ct, x, stats)
	tensor.SumTo(sum, ct)
	square := d.New(tensor.Full)
	tensor.SumSquares(square, ct)
	keep(y, dw, db, sum, square, resampled(d))
	return all
}

// resampled is an image of two tiles, each of which looks at more rows than go through the first pass at a time.
func resampled(d *tensor.Device) *tensor.Tensor {
	const size, w, h, taps = 33, 35, 120, 90
	pix := make([]byte, 3*w*h)
	for i := range pix {
		pix[i] = byte(i*i + i>>7)
	}
	filter := func(taps int) []int32 {
		f := make([]int32, 3*size)
		for i := range size {
			f[3*i], f[3*i+1], f[3*i+2] = int32(i*(h-taps)/h), int32(taps), 3*size
		}
		for range taps {
			f = append(f, 1<<22/int32(taps))
		}
		return f
	}
	p := d.NewPictures(1 << 20)
	n, _ := p.Add(pix, w, h)
	levels, image := d.New(tensor.Full, 3, 256), d.New(tensor.Compute, 1, 3, size, size)
	tensor.Uniform(levels, tensor.NewKey(9))
	tensor.Resample(image, levels, p, []tensor.Crop{{Picture: n, Columns: filter(3), Rows: filter(taps), Flip: true}})
	return image
}

func same(x, y []float32) bool {
	for i := range x {
		if math.Float32bits(x[i]) != math.Float32bits(y[i]) {
			return false
		}
	}
	return len(x) == len(y)
}

// In which order threads run between barriers makes no difference to any bit.
func TestThreadOrders(t *testing.T) {
	simulated(t)
	t.Setenv("FEWSHOT_CUBLASLT", "none")
	for _, precision := range []string{"float32", "bf16"} {
		t.Setenv("FEWSHOT_SIM_ORDER", "0")
		want := work(t, precision)
		for _, x := range want {
			if x != x {
				t.Fatalf("%s: there is a NaN: something was read before it was written", precision)
			}
		}
		for _, order := range []string{"1", "2"} {
			t.Setenv("FEWSHOT_SIM_ORDER", order)
			if !same(work(t, precision), want) {
				t.Errorf("%s: order %s changes the results", precision, order)
			}
		}
	}
}

// The simulation would notice if a barrier were missing: each one in the sources is left out in turn, and at
// least one order of the threads must give other results.
func TestEveryBarrierIsNeeded(t *testing.T) {
	simulated(t)
	t.Setenv("FEWSHOT_CUBLASLT", "none")
	files, err := filepath.Glob("kernels/*.cu")
	if err != nil {
		t.Fatal(err)
	}
	want := work(t, "bf16")
	barriers := 0
	for _, path := range files {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(source), "\n") {
			if !strings.Contains(line, "__syncthreads();") && !strings.Contains(line, "__syncwarp();") {
				continue
			}
			barriers++
			site := filepath.Base(path) + ":" + strconv.Itoa(i+1)
			t.Setenv("FEWSHOT_SIM_SKIP", site)
			noticed := false
			for _, order := range []string{"0", "1", "2"} {
				t.Setenv("FEWSHOT_SIM_ORDER", order)
				noticed = noticed || !same(work(t, "bf16"), want)
			}
			if !noticed {
				t.Errorf("nothing changes without the barrier at %s", site)
			}
		}
	}
	if barriers < 19 {
		t.Errorf("only %d barriers were found", barriers)
	}
}

// The first error stays, names the kernel or the work it turned up in, and stops everything after it.
func TestFirstErrorStays(t *testing.T) {
	simulated(t)
	d := device(t, tensor.Options{})
	x := d.Zeros(tensor.Full, 100)
	t.Setenv("FEWSHOT_SIM_FAIL", "add")
	tensor.Add(x, x, x)
	err := d.Sync()
	if err == nil || !strings.Contains(err.Error(), "CUDA_ERROR_ILLEGAL_ADDRESS (700)") {
		t.Fatalf("Sync gives %v", err)
	}
	t.Setenv("FEWSHOT_SIM_FAIL", "")
	tensor.Fill(x, 1)
	if again := d.Sync(); again == nil || again.Error() != err.Error() {
		t.Errorf("then Sync gives %v instead of %v", again, err)
	}
	for _, v := range x.Floats() {
		if v == v {
			t.Fatalf("a failed device hands out %v", v)
		}
	}
	d.Close()
}

func TestDebugNamesTheKernel(t *testing.T) {
	simulated(t)
	t.Setenv("FEWSHOT_CUDA_DEBUG", "1")
	d := device(t, tensor.Options{})
	x := d.Zeros(tensor.Full, 100)
	t.Setenv("FEWSHOT_SIM_FAIL", "mul")
	tensor.Mul(x, x, x)
	tensor.Add(x, x, x)
	if err := d.Sync(); err == nil || !strings.HasPrefix(err.Error(), "mul: ") {
		t.Errorf("Sync gives %v", err)
	}
	d.Close()
}

func TestOutOfMemory(t *testing.T) {
	simulated(t)
	t.Setenv("FEWSHOT_SIM_MEMORY", strconv.Itoa(100<<20))
	d := device(t, tensor.Options{})
	d.New(tensor.Full, 2<<20)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	d.New(tensor.Full, 20<<20)
	err := d.Sync()
	if err == nil {
		t.Fatal("80 MiB fit where 100 MiB minus staging are")
	}
	for _, want := range []string{"memory: 80.0 MiB were asked for", "of 100.0 MiB are free", "tensors hold 8.0 MiB", "a smaller batch takes less", "CUDA_ERROR_OUT_OF_MEMORY"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	var memory *tensor.OutOfMemory
	if !errors.As(err, &memory) || memory.Asked != 80<<20 || memory.Held != 8<<20 || memory.Free <= 0 || memory.Free >= 80<<20 {
		t.Errorf("the error says %+v", memory)
	}
	d.Close()
}

// What is larger than the staging ring goes through it in turns, and small copies that come one after the
// other do not overwrite each other while they are queued.
func TestStaging(t *testing.T) {
	for _, precision := range []string{"float32", "bf16"} {
		d := device(t, tensor.Options{Precision: precision})
		n := slotCount*slotBytes/4 + 4*slotBytes/4 + 17
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i%251) - 125 // bfloat16 has these, too
		}
		x := d.New(tensor.Compute, n)
		x.Set(v)
		if !same(x.Floats(), v) {
			t.Errorf("%s: a large tensor does not come back as it went", precision)
		}
		x.Release()
		var small []*tensor.Tensor
		for i := range 3 * slotCount {
			s := d.New(tensor.Compute, 3)
			s.Set([]float32{float32(i), 1, 2})
			rows := d.New(tensor.Compute, 1, 1)
			tensor.Gather(rows, s.View(3, 1), []int32{int32(i % 3)})
			small = append(small, s, rows)
		}
		for i := range 3 * slotCount {
			want := []float32{float32(i), 1, 2}
			if got := small[2*i].Floats(); !same(got, want) {
				t.Errorf("%s: upload %d became %v", precision, i, got)
			}
			if got := small[2*i+1].Item(); got != float64(want[i%3]) {
				t.Errorf("%s: row %d of upload %d is %v", precision, i%3, i, got)
			}
		}
		many := make([]int32, slotBytes/4+5)
		many[len(many)-1] = 2
		rows := d.New(tensor.Compute, len(many), 1)
		tensor.Gather(rows, small[0].View(3, 1), many)
		if got := rows.Floats()[len(many)-1]; got != 2 {
			t.Errorf("%s: the last of %d ids gives %v", precision, len(many), got)
		}
		closeDevice(t, d)
	}
}

// A step that repeats allocates nothing on the device.
func TestSteadyStepAllocatesNothing(t *testing.T) {
	d := device(t, tensor.Options{Precision: "bf16"})
	b := d.Backend().(*backend)
	labels := make([]int32, 40)
	step := func() {
		x := d.New(tensor.Compute, 40, 64)
		tensor.Normal(x, tensor.NewKey(1))
		logits, prob, loss := d.New(tensor.Full, 40, 64), d.New(tensor.Full, 40, 64), d.New(tensor.Full)
		tensor.Copy(logits, x)
		tensor.CrossEntropy(loss, prob, logits, labels)
		sum := d.New(tensor.Full, 1, 64)
		tensor.SumTo(sum, logits.View(1, 40, 64))
		for _, t := range []*tensor.Tensor{x, logits, prob, loss, sum} {
			t.Release()
		}
	}
	step()
	held, size := b.held, b.scratch.size
	for range 5 {
		step()
	}
	if b.held != held || b.scratch.size != size {
		t.Errorf("tensors hold %d bytes, then %d; scratch memory %d, then %d", held, b.held, size, b.scratch.size)
	}
	closeDevice(t, d)
}

// No kernel keeps numbers outside its registers.
func TestNoLocalMemory(t *testing.T) {
	d := device(t, tensor.Options{})
	b := d.Backend().(*backend)
	for name, k := range b.kernels {
		n, err := b.dev.LocalBytes(k.f)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			t.Errorf("%s keeps %d bytes a thread in local memory", name, n)
		}
	}
	closeDevice(t, d)
}

func TestWideHeadsAreRefused(t *testing.T) {
	d := device(t, tensor.Options{})
	qkv, out, lse := d.Zeros(tensor.Full, 1, 2, 3*160), d.New(tensor.Full, 1, 2, 160), d.New(tensor.Full, 1, 1, 2)
	tensor.Attention(out, lse, qkv, qkv, tensor.AttentionOptions{Heads: 1, K: 160, V: 320})
	if err := d.Sync(); err == nil || !strings.Contains(err.Error(), "attention: a head has 160 elements; this device takes at most 128") {
		t.Errorf("Sync gives %v", err)
	}
	d.Close()
}

// The same calls give the same bits. The test is also what is run under compute-sanitizer, as it calls all kernels that
// share memory between threads.
func TestRepeatable(t *testing.T) {
	for _, precision := range []string{"float32", "bf16"} {
		want := work(t, precision)
		for range 3 {
			if !same(work(t, precision), want) {
				t.Errorf("%s: the second time the results are others", precision)
			}
		}
	}
}

// What is captured runs when the graph is launched, as often as it is.
func TestGraph(t *testing.T) {
	d := device(t, tensor.Options{})
	b := d.Backend().(*backend)
	x := d.From([]float32{1, 2, 3}, 3)
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	g, err := b.dev.Capture(func() error {
		tensor.Add(x, x, x)
		tensor.Scale(x, x, 3)
		return b.err
	})
	runtime.UnlockOSThread()
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Floats(); got[2] != 3 {
		t.Errorf("capturing ran the work: %v", got)
	}
	for range 2 {
		if err := g.Launch(); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.Floats(); got[0] != 36 || got[2] != 108 {
		t.Errorf("two launches make %v", got)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// Events measure time on the device.
func TestEvents(t *testing.T) {
	d := device(t, tensor.Options{})
	dev := d.Backend().(*backend).dev
	var marks [2]driver.Event
	for i := range marks {
		e, err := dev.NewEvent(true)
		if err != nil {
			t.Fatal(err)
		}
		marks[i] = e
	}
	x := d.Zeros(tensor.Full, 1<<16)
	if err := dev.Record(marks[0]); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		tensor.Add(x, x, x)
	}
	if err := dev.Record(marks[1]); err != nil {
		t.Fatal(err)
	}
	if err := dev.Wait(marks[1]); err != nil {
		t.Fatal(err)
	}
	if took, err := dev.Elapsed(marks[0], marks[1]); err != nil || took <= 0 {
		t.Errorf("ten additions take %v, %v", took, err)
	}
	for _, e := range marks {
		if err := dev.DestroyEvent(e); err != nil {
			t.Error(err)
		}
	}
	closeDevice(t, d)
}
