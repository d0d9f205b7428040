package tests

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// devices are the ones every comparison runs on: the oracle in float64, and the processor in float32 and in bfloat16.
// What follows a space is the precision.
var devices = []string{"ref", "cpu", "cpu bf16"}

func open(t testing.TB, name string, workers int) *tensor.Device {
	t.Helper()
	name, precision, _ := strings.Cut(name, " ")
	dev, err := tensor.Open(name, tensor.Options{Workers: workers, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(dev.Sync(), dev.Close()); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// clip is a CLIP on a device: a student whose weights may be masked, and the same without masks.
type clip struct {
	student, teacher *vit.Encoder
	text             *text.Encoder
	params           []*nn.Param
}

// newCLIP builds the encoders that a source has weights for. Numbers of heads are 0 where they are the usual ones.
func newCLIP(t testing.TB, dev *tensor.Device, src nn.Source, a tensor.Activation, visionHeads, textHeads int) clip {
	t.Helper()
	vc, err := vit.ConfigOf(src, vit.Config{Activation: a, Heads: visionHeads})
	if err != nil {
		t.Fatal(err)
	}
	tc, err := text.ConfigOf(src, text.Config{Activation: a, Heads: textHeads})
	if err != nil {
		t.Fatal(err)
	}
	w := nn.NewWeights(dev, src)
	c := clip{student: vit.New(w, vc), teacher: vit.New(w, vc), text: text.New(w, tc)}
	c.params = w.Params()
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	if left := w.Unused(); !slices.Equal(left, []string{"logit_scale"}) {
		t.Fatalf("weights that no encoder asked for: %v", left)
	}
	return c
}

// value runs f without gradients.
func value(dev *tensor.Device, f func(*autograd.Tape) *autograd.Var) []float64 {
	t := autograd.NoGrad(dev)
	defer t.Release()
	return f(t).Value.Float64s()
}

func (c clip) imageFeatures(dev *tensor.Device, images *tensor.Tensor) []float64 {
	return value(dev, func(t *autograd.Tape) *autograd.Var { return c.teacher.Encode(t.Const(images)) })
}

func (c clip) textFeatures(dev *tensor.Device, tokens [][]int32) []float64 {
	return value(dev, func(t *autograd.Tape) *autograd.Var { return c.text.Encode(t, tokens) })
}

// mask puts masks with given scores on the student's weights of those names.
func (c clip) mask(t testing.TB, patterns []string, score func(name string, i int) float64) []*rmt.Mask {
	t.Helper()
	params, err := rmt.Select(c.student.Params(), patterns)
	if err != nil {
		t.Fatal(err)
	}
	masks := rmt.Attach(params, 0.01, 0.005)
	for _, m := range masks {
		v := make([]float64, m.Scores.Len())
		for i := range v {
			v[i] = score(m.Param.Name, i)
		}
		m.Scores.SetFloat64(v)
	}
	return masks
}

// patterns are the names of what AMT masks, in the recipe with or without the stem.
func patterns(t testing.TB, stem bool) []string {
	t.Helper()
	recipe := "paper"
	if stem {
		recipe = "released"
	}
	c, err := rmt.Defaults("amt", recipe, "", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	return c.Patterns
}

// lanes are both losses of a batch, the logits they came from, and the gradients of both for each mask.
type lanes struct {
	logits, ce, kd []float64
	byName         map[string][2][]float64
}

// sweep differentiates both losses by the scores of masks.
func sweep(dev *tensor.Device, c clip, head train.Head, masks []*rmt.Mask, images *tensor.Tensor, labels []int32) lanes {
	x, release := ask(dev, c, head, masks, images, labels)
	defer release()
	r := lanes{x.logits.Float64s(), x.ce.Float64s(), x.kd.Float64s(), map[string][2][]float64{}}
	for i, m := range masks {
		r.byName[m.Param.Name] = [2][]float64{x.grads[i].Index(0).Float64s(), x.grads[i].Index(1).Float64s()}
	}
	return r
}

// asked are the tensors of a sweep, gradients by mask.
type asked struct {
	logits, ce, kd *tensor.Tensor
	grads          []*tensor.Tensor
}

// ask asks the device for a sweep. The results are valid until release.
func ask(dev *tensor.Device, c clip, head train.Head, masks []*rmt.Mask, images *tensor.Tensor, labels []int32) (x asked, release func()) {
	target, tape := autograd.NoGrad(dev), autograd.NewTape(dev)
	logits := head.Logits(c.student.Encode(tape.Const(images)))
	ce := autograd.CrossEntropy(logits, labels)
	kd := autograd.SoftCrossEntropy(logits, head.Logits(c.teacher.Encode(target.Const(images))).Value)
	x = asked{logits: logits.Value, ce: ce.Value, kd: kd.Value}
	grads := autograd.Backward(ce, kd)
	for _, m := range masks {
		x.grads = append(x.grads, grads.Of(m.Scores))
	}
	return x, func() {
		tape.Release()
		target.Release()
	}
}

// from puts float64 values on a device.
func from(dev *tensor.Device, k tensor.Kind, v []float64, shape ...int) *tensor.Tensor {
	x := dev.New(k, shape...)
	x.SetFloat64(v)
	return x
}

// unit makes the rows of a matrix one long.
func unit(rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows))
	for i, r := range rows {
		n := norm(r)
		for _, x := range r {
			out[i] = append(out[i], x/n)
		}
	}
	return out
}

func norm(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum)
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

// apart is the largest deviation, in units of the root mean square of what is wanted.
func apart(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	return farthest(got, want) / (norm(want) / math.Sqrt(float64(len(want))))
}

// farthest is the largest deviation. Where there is NaN it is infinite.
func farthest(got, want []float64) float64 {
	d := 0.0
	for i := range got {
		e := math.Abs(got[i] - want[i])
		if math.IsNaN(e) {
			return math.Inf(1)
		}
		d = max(d, e)
	}
	return d
}

// readJSON reads a file below testdata.
func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
