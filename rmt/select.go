package rmt

import (
	"fmt"
	"strings"

	"fewshot/nn"
)

// Kinds of mask placement, by patterns over checkpoint names in which * matches any characters.
var (
	attention = []string{"visual.*.attn.in_proj_weight", "visual.*.attn.out_proj.weight"}
	mlp       = []string{"visual.*.mlp.c_fc.weight", "visual.*.mlp.c_proj.weight"}
	stem      = []string{"visual.conv1.weight"}
)

// Select picks the parameters whose names match any of the patterns, in the parameters' order. It is an
// error if a pattern matches nothing, or a vector: biases and norms carry no masks.
func Select(params []*nn.Param, patterns []string) ([]*nn.Param, error) {
	matched := make([]bool, len(patterns))
	var picked []*nn.Param
	for _, p := range params {
		hit := false
		for i, pat := range patterns {
			if match(pat, p.Name) {
				matched[i], hit = true, true
			}
		}
		if !hit {
			continue
		}
		if p.Value.Rank() < 2 {
			return nil, fmt.Errorf("mask pattern matches %s, a vector; only weight matrices carry masks", p.Name)
		}
		picked = append(picked, p)
	}
	for i, ok := range matched {
		if !ok {
			return nil, fmt.Errorf("mask pattern %q matches no parameter of the image encoder", patterns[i])
		}
	}
	return picked, nil
}

// match reports whether name fits a pattern in which each * stands for any characters.
func match(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !strings.HasPrefix(name, head) {
		return false
	}
	if !star {
		return name == head
	}
	for name = name[len(head):]; ; name = name[1:] {
		if match(rest, name) {
			return true
		}
		if name == "" {
			return false
		}
	}
}
