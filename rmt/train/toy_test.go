package train

import (
	"context"
	"crypto/sha256"
	"iter"
	"os"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/tensor"
)

const (
	toySize  = 4               // pixels a side
	toyIn    = 3 * toySize * 4 // numbers in an image
	toyEmbed = 6
	toyClass = 5
)

// toy learns one weight, features = images · weightᵀ, and with a teacher stays near what that says.
type toy struct {
	Base
	weight, teacher *nn.Param
	head            Head
	taught          bool
	group           Group
	began, ended    []int
	restored        int
}

func (l *toy) Groups() []Group { return []Group{l.group} }

func (l *toy) Plan() Plan {
	if l.taught {
		return Plan{Classes: toyClass, Lanes: 2, Targets: true}
	}
	return Plan{Classes: toyClass, Lanes: 1}
}

func (l *toy) Losses(t *autograd.Tape, p Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.head.Logits(l.Encode(t.Const(p.Images)))
	losses := []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}
	if l.taught {
		losses = append(losses, autograd.SoftCrossEntropy(logits, p.Targets))
	}
	return losses, logits
}

func (l *toy) Targets(images *tensor.Tensor) *tensor.Tensor {
	tape := autograd.NoGrad(images.Device())
	defer tape.Release()
	z := l.head.Logits(encode(l.teacher, tape.Const(images))).Value
	z.Retain()
	return z
}

func (l *toy) Begin(step int)     { l.began = append(l.began, step) }
func (l *toy) EndEpoch(epoch int) { l.ended = append(l.ended, epoch) }
func (l *toy) Restored()          { l.restored++ }

// Encode makes the toy's own weight an encoder.
func (l *toy) Encode(images *autograd.Var) *autograd.Var { return encode(l.weight, images) }

func encode(w *nn.Param, images *autograd.Var) *autograd.Var {
	return autograd.Linear(autograd.FirstToken(autograd.Patches(images, toySize)), w.On(images.Tape()), nil)
}

// bench is everything that a trainer needs, in small.
type bench struct {
	dev    *tensor.Device
	weight *tensor.Tensor // at the start
	head   Head
	taught bool
	micro  int
	name   string
	data   *toyData
}

func newBench(t *testing.T, device string) *bench {
	t.Helper()
	dev, err := tensor.Open(device, tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	w := dev.New(tensor.Compute, toyEmbed, toyIn)
	tensor.Normal(w, tensor.NewKey(1))
	classes, norm := dev.New(tensor.Full, toyClass, toyEmbed), dev.New(tensor.Full, toyClass)
	tensor.Normal(classes, tensor.NewKey(2))
	tensor.L2Normalize(classes, norm, classes)
	return &bench{dev: dev, weight: w, head: Head{Classes: classes, Scale: 10}, name: "weight", data: &toyData{batches: 4, size: 4}}
}

// learner begins anew.
func (b *bench) learner() *toy {
	w := b.dev.New(tensor.Full, toyEmbed, toyIn)
	tensor.Copy(w, b.weight)
	l := &toy{weight: &nn.Param{Name: b.name, Value: w}, teacher: &nn.Param{Name: b.name, Value: b.weight}, head: b.head, taught: b.taught}
	l.group = Group{Params: []*nn.Param{l.weight}, Optimizer: optim.NewAdam()}
	if b.taught {
		l.group.Rule = optim.Sum{Weight: 0.5}
	}
	return l
}

func (b *bench) trainer() *Trainer { return New(b.dev, b.learner(), tensor.NewKey(7), b.micro) }

func (b *bench) run(t *Trainer) Run {
	return Run{Trainer: t, Epochs: 3, Schedule: optim.Cosine(1e-2, 3), Data: b.data}
}

// weights are what a trainer has learned.
func weights(t *Trainer) []float32 { return t.params[0].Value.Floats() }

// toyData draws the images of an epoch by its number.
type toyData struct {
	batches, size int
	fail          error // in place of the last batch
}

func (d *toyData) Batches() int { return d.batches }

func (d *toyData) Epoch(ctx context.Context, epoch, from int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for i := from; i < d.batches; i++ {
			b := Batch{Size: toySize, Pixels: make([]float32, d.size*toyIn), Labels: make([]int32, d.size)}
			key := tensor.NewKey(3).Fold(uint64(epoch)).Fold(uint64(i))
			for j := range b.Pixels {
				b.Pixels[j] = float32(key.Normal(uint64(j)))
			}
			for j := range b.Labels {
				b.Labels[j] = int32(j+i) % toyClass
			}
			err := ctx.Err()
			if i == d.batches-1 && err == nil {
				err = d.fail
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reseal puts a right seal behind any bytes.
func reseal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b[:len(b):len(b)], sum[:]...)
}
