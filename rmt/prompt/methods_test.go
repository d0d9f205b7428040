package prompt

import (
	"context"
	"encoding/json"
	"flag"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// images are a job's, one batch an epoch.
type images struct{ dev *tensor.Device }

func (d images) Batches(int, method.Augment) (train.Data, error) { return epochs(d), nil }
func (d images) Count(method.Split) int                          { return 4 }
func (d images) Labels(method.Split) []int32                     { return []int32{2, 0, 3, 1} }

func (d images) Features(context.Context, method.Split, method.Augment, int) (*tensor.Tensor, error) {
	panic("these methods look at images")
}

func (d images) Frozen(int, method.Augment) (train.Data, train.Encoder, error) {
	panic("these methods change what the encoder sees")
}

type epochs images

func (d epochs) Batches() int { return 1 }

func (d epochs) Epoch(context.Context, int, int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		x, labels := batch(d.dev)
		yield(train.Batch{Pixels: x.Floats(), Labels: labels, Size: pixels}, nil)
	}
}

// newJob is a method's work on the small model, with flags of the user's.
func newJob(t *testing.T, m *CLIP, row *method.Method, flags ...string) *method.Job {
	t.Helper()
	s, err := row.Defaults(method.Task{Dataset: "caltech101", Published: true, Shots: 4})
	if err != nil {
		t.Fatal(err)
	}
	fs := flag.NewFlagSet(row.Name, flag.ContinueOnError)
	s.Declare(fs)
	if err := fs.Parse(flags); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(s)
	if err == nil {
		s, err = row.Settings(b) // as a spec has them
	}
	if err != nil {
		t.Fatal(err)
	}
	scale := m.Device.New(tensor.Full)
	tensor.Fill(scale, math.Log(m.Scale))
	return &method.Job{Dev: m.Device, Model: &clip.Model{CLIP: &clip.CLIP{Image: m.Image.(*vit.Encoder), Text: m.Text, Tokenizer: m.Tokenizer,
		LogitScale: &nn.Param{Name: "logit_scale", Value: scale}}}, Classes: classes, Templates: []string{"a photo of a {}."}, Settings: s, Seed: 3,
		Data: images{m.Device}, Micro: func(int) int { return 0 }}
}

func says(t *testing.T, m *CLIP, x method.Learned, names []string) []float64 {
	t.Helper()
	c, err := x.Classifier(context.Background(), names)
	if err != nil {
		t.Fatal(err)
	}
	images, _ := batch(m.Device)
	tape := autograd.NoGrad(m.Device)
	defer tape.Release()
	return c.Logits(tape.Const(images)).Value.Float64s()
}

// Every row of the table trains, by flags and settings that went through JSON, and what it leaves says the same, to the bit, when it is
// loaded from its tensors.
func TestRows(t *testing.T) {
	flags := map[string][]string{"maple": {"-depth=2"}, "promptsrc": {"-text-depth=2", "-image-depth=2"}, "plot": {"-contexts=2", "-context=3"}, "plot++": {"-sets=2"},
		"vpt-deep": {"-convention=kmnp"}}
	for _, row := range Methods() {
		t.Run(row.Name, func(t *testing.T) {
			m := rig(t, "cpu")
			args := append(flags[row.Name], "-epochs=2", "-lr=0.02", "-warmup-epochs=0")
			j := newJob(t, m, row, args...)
			tr, err := row.Begin(context.Background(), j)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			before := says(t, m, tr.Learned, classes)
			if err := tr.Run.Train(context.Background()); err != nil {
				t.Fatal(err)
			}
			want, others := says(t, m, tr.Learned, classes), says(t, m, tr.Learned, []string{"cat", "of"})
			if slices.Equal(before, want) {
				t.Error("nothing was learned")
			}
			file := map[string]*tensor.Tensor{}
			for _, x := range tr.Learned.Tensors() {
				file[x.Name] = x.Tensor
			}
			read := func(name string) (*tensor.Tensor, error) {
				x := m.Device.New(tensor.Full, file[name].Shape()...)
				tensor.Copy(x, file[name])
				return x, nil
			}
			loaded, err := row.Load(context.Background(), newJob(t, m, row, args...), read)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(says(t, m, loaded, classes), want) || !slices.Equal(says(t, m, loaded, []string{"cat", "of"}), others) {
				t.Error("what was loaded says something else")
			}
		})
	}
}

// A method that is not wanted any more does not begin; one on a model without texts says so.
func TestRowsRefuse(t *testing.T) {
	m := rig(t, "cpu")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	row := Methods()[0]
	if _, err := row.Begin(ctx, newJob(t, m, row)); err != context.Canceled {
		t.Errorf("begun when it was over: %v", err)
	}
	j := newJob(t, m, row)
	j.Model.Text = nil
	if _, err := row.Begin(context.Background(), j); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a text encoder: %v", err)
	}
}
