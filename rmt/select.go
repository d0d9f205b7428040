package rmt

import (
	"fmt"
	"slices"
	"strings"

	"fewshot/nn"
)

// Kinds of mask placement, by patterns over checkpoint names in which * matches any characters.
var (
	attention = []string{"visual.*.attn.in_proj_weight", "visual.*.attn.out_proj.weight"}
	mlp       = []string{"visual.*.mlp.c_fc.weight", "visual.*.mlp.c_proj.weight"}
	stem      = []string{"visual.conv1.weight"}

	// Those of the text encoder, whose attention alone is masked (R-AMT, table 13).
	attentionOfText = []string{"transformer.*.attn.in_proj_weight", "transformer.*.attn.out_proj.weight"}

	// The attention of a query that pools tokens of another width than its own (CoCa), whose projections are not one
	// matrix.
	query = []string{"visual.attn_pool.attn.*_proj_weight"}

	// What gates MLPs (EVA-02's).
	gate = []string{"visual.*.mlp.c_gate.weight"}

	// All that carries masks in a ResNet: every convolution, and the attention pool's projections.
	resNet = []string{"visual.conv*.weight", "visual.layer*.conv*.weight", "visual.layer*.downsample.0.weight", "visual.attnpool.*_proj.weight"}
)

// WithEncoder is c with the patterns of another encoder, or of both: in the text encoder attention is masked, whatever
// the method masks in the image encoder.
func (c Config) WithEncoder(encoder string) Config {
	switch c.Encoder = encoder; encoder {
	case "text":
		c.Patterns = slices.Clone(attentionOfText)
	case "both":
		c.Patterns = slices.Concat(c.Patterns, attentionOfText)
	}
	return c
}

// For is c with the patterns of its method's weights in an encoder of these parameters. Those that [Defaults] gives are
// a vision transformer's; a ResNet has no attention or MLPs in its blocks, so that of the methods only pmt and r-pmt,
// and dmt and r-dmt, say what is masked there; where a query pools tokens (CoCa) its projections are attention too, and
// where MLPs have gates (EVA-02) these are of them. Patterns that somebody chose stay.
func (c Config) For(params []*nn.Param) (Config, error) {
	has := func(name string) bool {
		return slices.ContainsFunc(params, func(p *nn.Param) bool { return p.Name == name })
	}
	net, queries, gates := has("visual.layer1.0.conv1.weight"), has("visual.attn_pool.attn.q_proj_weight"), has("visual.transformer.resblocks.0.mlp.c_gate.weight")
	if !net && !queries && !gates {
		return c, nil
	}
	kind := strings.TrimPrefix(c.Method, "r-")
	published, err := Defaults(c.Method, c.Recipe, "", 16, false)
	switch {
	case err != nil:
		return c, err
	case c.Encoder == "text" || !slices.Equal(c.Patterns, published.WithEncoder(c.Encoder).Patterns):
		return c, nil
	case gates:
		if slices.Contains(c.Patterns, mlp[0]) {
			c.Patterns = slices.Concat(c.Patterns, gate)
		}
		return c, nil
	case queries:
		if slices.Contains(c.Patterns, attention[0]) {
			c.Patterns = slices.Concat(c.Patterns, query)
		}
		return c, nil
	case kind != "pmt" && kind != "dmt":
		return c, fmt.Errorf("method %s masks weights that a ResNet does not have; pmt and r-pmt mask its convolutions and attention pool, dmt and r-dmt those that they choose", c.Method)
	}
	c.Patterns = slices.Clone(resNet)
	return c.WithEncoder(c.Encoder), nil
}

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
			return nil, fmt.Errorf("mask pattern %q matches no parameter", patterns[i])
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
