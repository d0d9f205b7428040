package clip

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// tinyCLIP are the tensors of a CLIP of one block an encoder, of widths and lengths of one digit.
func tinyCLIP() []checkpoint.Entry {
	entry := func(name string, shape ...int) checkpoint.Entry {
		return checkpoint.Entry{Name: name, DType: checkpoint.F16, Shape: shape, Data: zeros(shape)}
	}
	all := []checkpoint.Entry{
		entry("logit_scale"),
		entry("visual.conv1.weight", 4, 3, 2, 2), entry("visual.class_embedding", 4), entry("visual.positional_embedding", 5, 4), entry("visual.proj", 4, 3),
		entry("token_embedding.weight", 6, 4), entry("positional_embedding", 3, 4), entry("text_projection", 4, 3),
	}
	for _, name := range []string{"visual.ln_pre", "visual.ln_post", "ln_final"} {
		all = append(all, entry(name+".weight", 4), entry(name+".bias", 4))
	}
	for _, b := range []string{"visual.transformer.resblocks.0.", "transformer.resblocks.0."} {
		all = append(all, entry(b+"ln_1.weight", 4), entry(b+"ln_1.bias", 4), entry(b+"ln_2.weight", 4), entry(b+"ln_2.bias", 4),
			entry(b+"attn.in_proj_weight", 12, 4), entry(b+"attn.in_proj_bias", 12), entry(b+"attn.out_proj.weight", 4, 4), entry(b+"attn.out_proj.bias", 4),
			entry(b+"mlp.c_fc.weight", 8, 4), entry(b+"mlp.c_fc.bias", 8), entry(b+"mlp.c_proj.weight", 4, 8), entry(b+"mlp.c_proj.bias", 4))
	}
	return all
}

// zeros writes the payload of an F16 tensor.
func zeros(shape []int) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(make([]byte, 2*tensor.Len(shape)))
		return err
	}
}

// FuzzOpenModel opens a file as every command does, builds its encoders and runs them once. The file is a CLIP in
// order, of which one tensor gets another shape and name, with a payload to match where that has a sane size, and
// some bytes are overwritten; or, if raw is not empty, anything.
func FuzzOpenModel(f *testing.F) {
	f.Add(2, 2, uint(99), 0, 0, "", uint(0), []byte{}, []byte{})
	f.Add(12, 8, uint(99), 0, 0, "", uint(0), []byte{}, []byte{}) // config.json's default numbers of heads
	f.Add(0, 0, uint(99), 0, 0, "", uint(0), []byte{}, []byte{})
	f.Add(1, 1, uint(4), 0, 1<<33, "", uint(0), []byte{}, []byte{})
	f.Add(1, 1, uint(1), 2, 0, "", uint(0), []byte{}, []byte{})
	f.Add(1, 1, uint(5), 0, 7, "visual.ln_pre.weight", uint(0), []byte{}, []byte{})
	f.Add(4, 4, uint(99), 0, 0, "", uint(60), []byte("9"), []byte{})
	f.Add(4, 4, uint(99), 0, 0, "", uint(0), []byte{}, []byte("PK\x03\x04"))
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dev.Close() })
	f.Fuzz(func(t *testing.T, heads, words int, at uint, axis, length int, name string, patchAt uint, patch, raw []byte) {
		b := raw
		if len(raw) == 0 {
			entries := tinyCLIP()
			if at < uint(len(entries)) {
				e := &entries[at]
				if axis >= 0 && axis < len(e.Shape) {
					e.Shape = slices.Clone(e.Shape)
					e.Shape[axis] = length
				}
				if name != "" {
					e.Name = name
				}
				if n := int64(length); n >= 0 && n < 1<<12 {
					e.Data = zeros(e.Shape)
				}
			}
			var file bytes.Buffer
			if checkpoint.WriteSafetensors(&file, nil, entries) != nil {
				return
			}
			b = file.Bytes()
			copy(b[patchAt%uint(len(b)):], patch)
		}
		ordinary := len(raw) == 0 && at >= 99 && len(patch) == 0 && (heads == 1 || heads == 2 || heads == 4) && (words == 1 || words == 2 || words == 4)
		file, err := checkpoint.NewFile("fuzz", bytes.NewReader(b), int64(len(b)))
		var src *checkpoint.Model
		if err == nil {
			src, err = checkpoint.NewModel(file)
		}
		var c *CLIP
		if err == nil {
			c, err = New(dev, src, Config{vit.Config{Heads: heads}, text.Config{Heads: words}})
		}
		if err != nil {
			if ordinary || len(err.Error()) > 1<<14 {
				t.Fatalf("%.2000v", err)
			}
			return
		}
		total := 0
		for _, p := range c.Weights.Params() {
			total += p.Value.Len()
		}
		if total > len(b) {
			t.Fatalf("%d parameters of a file of %d bytes", total, len(b))
		}
		tape := autograd.NoGrad(dev)
		if c.Image.Sizes().Image <= 64 {
			c.Image.Encode(tape.Const(dev.Zeros(tensor.Full, 1, 3, c.Image.Sizes().Image, c.Image.Sizes().Image)))
		}
		if c.Text != nil {
			c.Text.Encode(tape, [][]int32{{int32(c.Text.Vocab - 1)}})
		}
		tape.Release()
		for _, p := range c.Weights.Params() {
			p.Value.Release()
		}
	})
}

// TestOpenModelRefuses repeats what once panicked, or asked for more memory than any machine has.
func TestOpenModelRefuses(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for _, c := range []struct {
		want         string
		heads, words int
		change       func(e *checkpoint.Entry)
	}{
		{"which 12 attention heads do not divide", 12, 4, nil},
		{"which 8 attention heads do not divide", 4, 8, nil},
		{"give the model's folder", 0, 0, nil},
		{"no elements", 1, 1, func(e *checkpoint.Entry) {
			if e.Name == "visual.proj" {
				e.Shape = []int{0, 1 << 33}
			}
		}},
		{"pixels is 8000", 1, 1, func(e *checkpoint.Entry) {
			switch e.Name {
			case "visual.conv1.weight":
				e.Shape = []int{4, 3, 1000, 1000}
			case "visual.positional_embedding":
				e.Shape = []int{65, 4}
			}
		}},
		{"width of visual.conv1.weight is 512000", 1, 1, func(e *checkpoint.Entry) {
			if e.Name == "visual.conv1.weight" {
				e.Shape = []int{512000, 3, 1, 1}
			}
		}},
	} {
		entries := tinyCLIP()
		for i := range entries {
			if c.change != nil {
				c.change(&entries[i])
				entries[i].Data = zeros(entries[i].Shape)
			}
		}
		var b bytes.Buffer
		if err := checkpoint.WriteSafetensors(&b, nil, entries); err != nil {
			t.Fatal(err)
		}
		file, err := checkpoint.NewFile("tiny", bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		src, err := checkpoint.NewModel(file)
		if err == nil {
			_, err = New(dev, src, Config{vit.Config{Heads: c.heads}, text.Config{Heads: c.words}})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := New(dev, nn.Source(everything{}), Config{vit.Config{Heads: 1}, text.Config{Heads: 1}}); err == nil {
		t.Error("a source that claims every tensor was built")
	}
}

// everything claims to have each tensor anybody asks for, of the shape of a scalar.
type everything struct{}

func (everything) Names() []string              { return nil }
func (everything) Shape(string) ([]int, bool)   { return nil, true }
func (everything) Read(string, []float32) error { return errors.New("read") }
