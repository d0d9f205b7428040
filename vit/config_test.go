package vit_test

import (
	"fmt"
	"strings"
	"testing"

	"fewshot/tensor"
	"fewshot/vit"
)

type shapes map[string][]int

func (s shapes) Shape(name string) ([]int, bool) { v, ok := s[name]; return v, ok }

func checkpoint(width, patch, rows, embed, layers int) shapes {
	s := shapes{"visual.proj": {width, embed}, "visual.conv1.weight": {width, 3, patch, patch}, "visual.positional_embedding": {rows, width}}
	for i := range layers {
		s[fmt.Sprintf("visual.transformer.resblocks.%d.attn.in_proj_weight", i)] = []int{3 * width, width}
	}
	return s
}

func TestConfigOf(t *testing.T) {
	for name, c := range map[string]struct {
		shapes
		want vit.Config
	}{
		"ViT-B/32":       {checkpoint(768, 32, 50, 512, 12), vit.Config{ImageSize: 224, Patch: 32, Width: 768, Layers: 12, Heads: 12, Embed: 512}},
		"ViT-B/16":       {checkpoint(768, 16, 197, 512, 12), vit.Config{ImageSize: 224, Patch: 16, Width: 768, Layers: 12, Heads: 12, Embed: 512}},
		"ViT-L/14":       {checkpoint(1024, 14, 257, 768, 24), vit.Config{ImageSize: 224, Patch: 14, Width: 1024, Layers: 24, Heads: 16, Embed: 768}},
		"ViT-L/14@336px": {checkpoint(1024, 14, 577, 768, 24), vit.Config{ImageSize: 336, Patch: 14, Width: 1024, Layers: 24, Heads: 16, Embed: 768}},
	} {
		got, err := vit.ConfigOf(c.shapes, tensor.QuickGELU)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestConfigOfRefuses(t *testing.T) {
	noBlocks := checkpoint(768, 16, 197, 512, 0)
	wide := checkpoint(100, 16, 197, 512, 1)
	oblong := checkpoint(768, 16, 198, 512, 1)
	for want, s := range map[string]shapes{
		"ResNet":           {"visual.layer1.0.conv1.weight": {64, 64, 1, 1}},
		"no visual.proj":   {},
		"no blocks":        noBlocks,
		"multiple of 64":   wide,
		"no square grid":   oblong,
		"no vision transf": {"visual.proj": {768, 512}, "visual.conv1.weight": {768, 3, 16}},
	} {
		if _, err := vit.ConfigOf(s, tensor.QuickGELU); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
