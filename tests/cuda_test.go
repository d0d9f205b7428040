//go:build cuda

package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "fewshot/cuda"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Where there is a GPU, or cuda/sim in its place, every comparison runs on it, too, in both of its formats.
var gpus = func() []string {
	if os.Getenv("FEWSHOT_GPU") == "" && os.Getenv("FEWSHOT_SIM") == "" {
		return nil
	}
	return []string{"cuda", "cuda bf16"}
}()

func init() { devices = append(devices, gpus...) }

// TestMain keeps a GPU open all the while: otherwise its context would be made anew for each test that opens it.
func TestMain(m *testing.M) {
	if os.Getenv("FEWSHOT_GPU") != "" {
		tensor.Open("cuda", tensor.Options{}) // what is wrong with it, tests say
	}
	os.Exit(m.Run())
}

// TestDeviceParity compares a GPU with the CPU on a model whose products fill its tiles: on a GPU blocks of ViT-B/16,
// in simulation smaller ones. Everything is judged by its relative error in the Euclidean norm, each mask's gradients
// by name and loss, against float64.
//
// Float32 may be off by slack times what the CPU's float32 is off. In bfloat16 what is stored is rounded 2¹⁵ times as
// coarsely, but not each partial sum; there is left the factor 3 between samples of rounding errors. The losses are
// two numbers, of which the CPU's may by luck be better than the format: no less than its unit roundoff counts.
func TestDeviceParity(t *testing.T) {
	if len(gpus) == 0 {
		t.Skip("there is neither a GPU (FEWSHOT_GPU=1) nor a simulated one (cuda/sim/test.sh)")
	}
	const batch, classes = 2, 10
	src := sizedCLIP(128, 2, 16, 8, 3)
	if os.Getenv("FEWSHOT_GPU") != "" {
		src = sizedCLIP(768, 3, 512, 16, 14)
	}
	exact := deviceSweep(t, "ref", src, batch, classes)
	cpu := deviceSweep(t, "cpu", src, batch, classes)
	for _, device := range gpus {
		got := deviceSweep(t, device, src, batch, classes)
		for _, what := range exact.order {
			yardstick := max(relative(cpu.values[what], exact.values[what]), 0x1p-24)
			off, allowed := relative(got.values[what], exact.values[what]), slack*yardstick
			if unit := unitRoundoff(device); unit > 0x1p-24 {
				allowed = 3 * yardstick * unit / 0x1p-24
			}
			t.Logf("%-9s %-62s off by %.1e, allowed %.1e", device, what, off, allowed)
			if !(off <= allowed) {
				t.Errorf("%s: %s: off by %.3g, allowed %.3g", device, what, off, allowed)
			}
		}
	}
}

// relative is ‖got − want‖/‖want‖.
func relative(got, want []float64) float64 {
	diff := make([]float64, len(want))
	for i := range want {
		diff[i] = got[i] - want[i]
	}
	return norm(diff) / norm(want)
}

// named are results in the order of their making.
type named struct {
	order  []string
	values map[string][]float64
}

func (n *named) add(what string, v []float64) {
	n.order = append(n.order, what)
	n.values[what] = v
}

// deviceSweep is a model's features, and both losses of a batch with their gradients, on a device. A tenth of the
// weights is off.
func deviceSweep(t *testing.T, device string, src tinyCLIP, batch, classes int) *named {
	t.Helper()
	dev := open(t, device, 0)
	c := newCLIP(t, dev, src, tensor.QuickGELU, 0, 0)
	size := c.student.ImageSize
	images := from(dev, tensor.Compute, normals(tensor.NewKey(5), batch*3*size*size), batch, 3, size, size)
	rows := dev.New(tensor.Full, classes, c.student.Embed)
	tensor.Normal(rows, tensor.NewKey(6))
	tensor.L2Normalize(rows, dev.New(tensor.Full, classes), rows)
	masks := c.mask(t, patterns(t, true), func(name string, i int) float64 {
		if tensor.NewKey(7).Name(name).Uniform(uint64(i)) < 0.1 {
			return 0.001
		}
		return 0.01
	})
	labels := make([]int32, batch)
	for i := range labels {
		labels[i] = int32(i % classes)
	}
	got := sweep(dev, c, train.Head{Classes: rows, Scale: 20}, masks, images, labels)
	r := &named{values: map[string][]float64{}}
	r.add("features", c.imageFeatures(dev, images))
	r.add("logits", got.logits)
	r.add("losses", []float64{got.ce[0], got.kd[0]})
	for _, m := range masks {
		for lane, loss := range []string{"CE", "KL"} {
			r.add(fmt.Sprintf("%s %s", loss, m.Param.Name), got.byName[m.Param.Name][lane])
		}
	}
	return r
}

// normals are the first n numbers of a stream, standard normal.
func normals(k tensor.Key, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = k.Normal(uint64(i))
	}
	return v
}

// plainTuner is a tuner on a GPU of its own, all weights on, for a test that breaks the device.
func plainTuner(t *testing.T, config rmt.Config) (*tensor.Device, *train.Trainer) {
	t.Helper()
	dev, err := tensor.Open("cuda", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
	masks := c.mask(t, patterns(t, false), func(string, int) float64 { return 0.01 })
	return dev, rmt.NewTrainer(dev, rmt.NewLearner(c.student, c.teacher, train.Head{Classes: dev.Zeros(tensor.Full, 3, 8), Scale: 10}, masks, config.Rule()), config)
}

// A step that does not fit names the batch and the micro-batch that would, and these do.
func TestBatchThatFits(t *testing.T) {
	if os.Getenv("FEWSHOT_SIM") == "" {
		t.Skip("this is about the simulated device: run cuda/sim/test.sh")
	}
	const mib = 1 << 20
	step := func(batch, micro int) error {
		dev, tuner := plainTuner(t, rmt.Config{MicroBatch: micro})
		defer dev.Close()
		_, err := tuner.Step(t.Context(), dev.Zeros(tensor.Compute, batch, 3, paritySize, paritySize), make([]int32, batch), 0)
		return errors.Join(err, dev.Sync())
	}
	t.Setenv("FEWSHOT_SIM_MEMORY", fmt.Sprint(84*mib))
	const batch = 150
	err := step(batch, 0)
	var fits, micro int
	if err == nil {
		t.Fatalf("a batch of %d fits", batch)
	}
	text := "a step on 150 images does not fit the device, one on %d would, and so would all with micro-batches of %d:"
	if n, _ := fmt.Sscanf(err.Error(), text, &fits, &micro); n != 2 || fits < 1 || fits >= batch || micro < 1 || micro >= batch {
		t.Fatalf("the error is %v", err)
	}
	t.Log(err)
	if err := step(fits, 0); err != nil {
		t.Errorf("then a batch of %d does not fit: %v", fits, err)
	}
	if err := step(2*fits, 0); err == nil {
		t.Errorf("%d images fit, too, twice what was said", 2*fits)
	}
	if err := step(batch, micro); err != nil {
		t.Errorf("then a batch of %d in parts of %d does not fit: %v", batch, micro, err)
	}
}

// Once a step has run, the next ones ask the driver for no memory and record nothing; the sweep is one launch, and the
// device is waited for once.
func TestStepAllocatesNothing(t *testing.T) {
	if os.Getenv("FEWSHOT_SIM") == "" {
		t.Skip("this is about the simulated device: run cuda/sim/test.sh")
	}
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprintf("weights off %t", off), func(t *testing.T) { stepAllocatesNothing(t, off) })
	}
}

// stepAllocatesNothing looks at steps while no weight is off, which are watched for the first, or with some off.
func stepAllocatesNothing(t *testing.T, off bool) {
	dev := open(t, "cuda bf16", 1)
	c := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
	masks := c.mask(t, patterns(t, false), func(_ string, i int) float64 {
		if off && i%40 == 0 {
			return 0
		}
		return 0.01
	})
	config, err := rmt.Defaults("r-amt", "paper", "", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	classes := dev.New(tensor.Full, 3, 8)
	tensor.Normal(classes, tensor.NewKey(1))
	tuner := rmt.NewTrainer(dev, rmt.NewLearner(c.student, c.teacher, train.Head{Classes: classes, Scale: 10}, masks, config.Rule()), config)
	images, pixels := dev.New(tensor.Compute, 2, 3, paritySize, paritySize), make([]float32, 2*3*paritySize*paritySize)
	log := filepath.Join(t.TempDir(), "calls")
	for i := range 4 {
		if i == 1 {
			t.Setenv("FEWSHOT_SIM_LOG", log)
		}
		images.Set(pixels)
		if _, err := tuner.Step(t.Context(), images, []int32{0, 1}, 1e-5); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("FEWSHOT_SIM_LOG", "")
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, call := range strings.Fields(string(calls)) {
		count[call]++
	}
	t.Log(count)
	for call := range count {
		if strings.HasPrefix(call, "cuMemAlloc") || strings.HasPrefix(call, "cuMemFree") || strings.Contains(call, "Capture") || call == "cuGraphInstantiateWithFlags" {
			t.Errorf("three steps call %s %d times", call, count[call])
		}
	}
	if waits := count["cuStreamSynchronize"] + count["cuEventSynchronize"]; waits != 3 {
		t.Errorf("three steps wait %d times", waits)
	}
	if count["cuGraphLaunch"] != 3 {
		t.Errorf("three steps launch %d graphs", count["cuGraphLaunch"])
	}
	if err := tuner.Release(); err != nil {
		t.Error(err)
	}
}

// An update that fails is the next step's error, and until then no checkpoint is written of what it left.
func TestFailedUpdateIsNotSaved(t *testing.T) {
	if os.Getenv("FEWSHOT_SIM") == "" {
		t.Skip("this is about the simulated device: run cuda/sim/test.sh")
	}
	dev, tuner := plainTuner(t, rmt.Config{})
	defer dev.Close()
	images, labels := dev.Zeros(tensor.Compute, 2, 3, paritySize, paritySize), []int32{0, 1}
	t.Setenv("FEWSHOT_SIM_FAIL", "grad_drop_adam")
	if _, err := tuner.Step(t.Context(), images, labels, 1e-5); err != nil {
		t.Fatalf("the step whose update fails: %v", err)
	}
	dir := t.TempDir()
	if err := train.SaveState(dir, tuner, train.Position{}, train.Progress{}, nil); err == nil || !strings.Contains(err.Error(), "ILLEGAL_ADDRESS") {
		t.Errorf("SaveState gives %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("there are %v, %v", files, err)
	}
	if _, err := tuner.Step(t.Context(), images, labels, 1e-5); err == nil || !strings.Contains(err.Error(), "ILLEGAL_ADDRESS") {
		t.Errorf("the step after it gives %v", err)
	}
}
