package rmt

import (
	"strings"
	"testing"

	"fewshot/nn"
	"fewshot/tensor"
)

func params(t *testing.T, dev *tensor.Device, shapes map[string][]int, order ...string) []*nn.Param {
	t.Helper()
	var all []*nn.Param
	for _, name := range order {
		all = append(all, &nn.Param{Name: name, Value: dev.Zeros(tensor.Compute, shapes[name]...)})
	}
	return all
}

func TestSelect(t *testing.T) {
	dev := newBench(t, "cpu").dev
	all := params(t, dev, map[string][]int{
		"visual.conv1.weight": {4, 3, 2, 2}, "visual.class_embedding": {4}, "visual.proj": {4, 4},
		"visual.transformer.resblocks.0.attn.in_proj_weight": {12, 4}, "visual.transformer.resblocks.0.attn.in_proj_bias": {12},
		"visual.transformer.resblocks.0.attn.out_proj.weight": {4, 4}, "visual.transformer.resblocks.0.mlp.c_fc.weight": {16, 4},
		"visual.transformer.resblocks.0.mlp.c_proj.weight": {4, 16}, "visual.transformer.resblocks.10.mlp.c_proj.weight": {4, 16},
	}, "visual.conv1.weight", "visual.class_embedding", "visual.transformer.resblocks.0.attn.in_proj_weight", "visual.transformer.resblocks.0.attn.in_proj_bias",
		"visual.transformer.resblocks.0.attn.out_proj.weight", "visual.transformer.resblocks.0.mlp.c_fc.weight", "visual.transformer.resblocks.0.mlp.c_proj.weight",
		"visual.transformer.resblocks.10.mlp.c_proj.weight", "visual.proj")
	for _, c := range []struct{ patterns, want string }{
		{"visual.proj", "visual.proj"},
		{"visual.*.attn.*_weight", "0.attn.in_proj_weight"},
		{"*.c_proj.weight visual.proj *.c_proj.weight", "0.mlp.c_proj.weight 10.mlp.c_proj.weight visual.proj"}, // the parameters' order, each once
		{"visual.*.1*.mlp.*", "10.mlp.c_proj.weight"},
		{"visual.conv1.weight *attn.out_proj.weight", "visual.conv1.weight 0.attn.out_proj.weight"},
	} {
		picked, err := Select(all, strings.Fields(c.patterns))
		var names []string
		for _, p := range picked {
			names = append(names, strings.TrimPrefix(p.Name, "visual.transformer.resblocks."))
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%s: %s, %v", c.patterns, got, err)
		}
	}
	for _, c := range []struct{ patterns, want string }{
		{"visual.proj nope", `"nope" matches no parameter`},
		{"", `"" matches no parameter`},
		{"visual.*.attn.in_proj*", "visual.transformer.resblocks.0.attn.in_proj_bias, a vector"},
		{"*", "visual.class_embedding, a vector"},
	} {
		if _, err := Select(all, strings.Split(c.patterns, " ")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.patterns, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"**", "abc", true},
		{"a", "a", true}, {"a", "ab", false}, {"a*", "abc", true}, {"a*", "ba", false}, {"*c", "abc", true}, {"*c", "abcd", false},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"ab*bc", "abc", false}, {"ab*bc", "abbc", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},
		{"*b*b", "ab", false}, {"*b*b", "abb", true}, {"*ab*ab*", "abab", true}, {"*ab*ab*", "aab", false}, {"a.c", "abc", false},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%q, %q) is %v", c.pattern, c.name, got)
		}
	}
	// Trying every place for every star would not end.
	if match(strings.Repeat("*a", 1000)+"*b", strings.Repeat("a", 100000)) {
		t.Error("many stars match what has no b")
	}
}
