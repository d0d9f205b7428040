package main

import (
	"testing"

	"fewshot/rmt"
	"fewshot/rmt/run"
	"fewshot/tensor"
	"fewshot/vit"
)

// Weights are packed for steps on few images, those under masks only as the teacher reads them, and for others not.
func TestPackFew(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c, err := randomEncoder(dev, vit.Config{ImageSize: 8, Patch: 4, Width: 64, Layers: 1, Heads: 1, Embed: 8})
	if err != nil {
		t.Fatal(err)
	}
	student := c.Teacher()
	picked, err := rmt.Select(student.Params(), []string{"visual.transformer.resblocks.*.attn.out_proj.weight"})
	if err != nil {
		t.Fatal(err)
	}
	defer rmt.Attach(picked, 1, 0)[0].Detach()
	others, err := rmt.Select(student.Params(), []string{"visual.transformer.resblocks.*.mlp.c_fc.weight"})
	if err != nil {
		t.Fatal(err)
	}
	masked, free := picked[0].Value, others[0].Value
	config, err := rmt.Defaults("r-amt", "paper", "", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	few := tensor.FewRows / student.Sizes().Tokens
	config.Batch = few + 1
	if run.PackFew(student, c.Image, config); free.Buf().Packed != (tensor.Packed{}) {
		t.Errorf("packed for %d images", config.Batch)
	}
	config.Batch = few
	if run.PackFew(student, c.Image, config); free.Buf().Packed == (tensor.Packed{}) {
		t.Skip("this processor packs nothing")
	}
	if p := free.Buf().Packed; p.Plain == nil || p.Transposed == nil {
		t.Error("a frozen weight is not packed both ways")
	}
	if p := masked.Buf().Packed; p.Plain != nil || p.Transposed == nil {
		t.Error("a masked weight is not packed for the teacher alone")
	}
	student.Unpack()
	for _, p := range student.Params() {
		if p.Value.Buf().Packed != (tensor.Packed{}) {
			t.Errorf("%s is still packed", p.Name)
		}
	}
}
