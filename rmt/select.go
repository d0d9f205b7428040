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
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return name == pattern
	}
	if !strings.HasPrefix(name, parts[0]) || !strings.HasSuffix(name[len(parts[0]):], parts[last]) {
		return false
	}
	name = name[len(parts[0]) : len(name)-len(parts[last])]
	// The first place for a part leaves the most room to those after it.
	for _, p := range parts[1:last] {
		_, rest, found := strings.Cut(name, p)
		if !found {
			return false
		}
		name = rest
	}
	return true
}
