package main

import (
	"testing"

	"fewshot/rmt"
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
	c, err := randomViT(dev, vit.Config{ImageSize: 8, Patch: 4, Width: 64, Layers: 1, Heads: 1, Embed: 8})
	if err != nil {
		t.Fatal(err)
	}
	student := c.teacher()
	picked, err := rmt.Select(student.Params(), []string{"visual.transformer.resblocks.*.attn.out_proj.weight"})
	if err != nil {
		t.Fatal(err)
	}
	defer rmt.Attach(picked, 1, 0)[0].Detach()
	masked, free := picked[0], student.Params()[0]
	for _, p := range student.Params() {
		if p.Name == "visual.transformer.resblocks.0.mlp.c_fc.weight" {
			free = p
		}
	}
	plain, transposed := func(p tensor.Packed) bool { return p.Plain != nil }, func(p tensor.Packed) bool { return p.Transposed != nil }
	config, err := rmt.Defaults("r-amt", "paper", "", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	few := tensor.FewRows / tokens(student.Config)
	for _, config.Batch = range []int{few + 1, few} {
		packFew(student, c.image, config)
		want := config.Batch == few
		if p := free.Value.Buf().Packed; plain(p) && !want || transposed(p) && !want {
			t.Errorf("%d images: packed %v", config.Batch, p)
		}
	}
	if free.Value.Buf().Packed == (tensor.Packed{}) {
		t.Skip("this processor packs nothing")
	}
	if p := free.Value.Buf().Packed; !plain(p) || !transposed(p) {
		t.Error("a frozen weight is not packed both ways")
	}
	if p := masked.Value.Buf().Packed; plain(p) || !transposed(p) {
		t.Error("a masked weight is not packed for the teacher alone")
	}
	student.Unpack()
	for _, p := range student.Params() {
		if p.Value.Buf().Packed != (tensor.Packed{}) {
			t.Errorf("%s is still packed", p.Name)
		}
	}
}
