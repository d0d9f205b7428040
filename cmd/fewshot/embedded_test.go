package main

import (
	"testing"

	"fewshot/rmt/clip"
)

// The model in the program is what pretrain writes, and knows its own vocabulary.
func TestEmbedded(t *testing.T) {
	i := last[modelInfo](t, must(t, "info", "-json", clip.Embedded))
	c := defaultPretrain()
	if i.Activation != "quickgelu" || i.Image == nil || i.Text == nil || i.Image.Width != c.Width || i.Image.Layers != c.Layers || i.Text.Layers != c.TextLayers {
		t.Errorf("%+v", i)
	}
	got := objects(t, must(t, "encode", "-json", "-text", "a photo of a red star.", images(t, 1)[0]))
	if len(got) != 2 || len(got[0].Feature) != i.Image.Embed {
		t.Errorf("%d objects", len(got))
	}
	// It has learned something: far better than guessing on a task that it never saw.
	r := last[evalResult](t, must(t, "zeroshot", "-json", "-data", tinyData(t), "-dataset", "few"))
	if r.Test.Accuracy < 2*100/12. {
		t.Errorf("%.1f %% of 12 classes", r.Test.Accuracy)
	}
}
