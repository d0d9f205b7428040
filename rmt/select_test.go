package rmt

import (
	"slices"
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

// FuzzSelect compares the choice with the definition of a pattern, character by character.
func FuzzSelect(f *testing.F) {
	f.Add("visual.*.attn.*_weight", "visual.0.attn.in_weight\nvisual.proj")
	f.Add("**\n*", "a\nb")
	f.Add("a*b*c\nd", "abc\naxbxc\nd")
	f.Add("", "\n")
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dev.Close() })
	matrix, vector := dev.Zeros(tensor.Full, 1, 1), dev.Zeros(tensor.Full, 1)
	f.Fuzz(func(t *testing.T, lines, names string) {
		if len(lines)+len(names) > 1<<10 {
			return
		}
		patterns := strings.Split(lines, "\n")
		var all []*nn.Param
		var want []string
		used, vectors := make([]bool, len(patterns)), false
		for _, name := range strings.Split(names, "\n") {
			p := &nn.Param{Name: name, Value: matrix}
			if strings.HasSuffix(name, "bias") {
				p.Value = vector
			}
			all = append(all, p)
			hit := false
			for i, pattern := range patterns {
				if fits(pattern, name) {
					used[i], hit = true, true
				}
			}
			if hit {
				want = append(want, name)
				vectors = vectors || p.Value == vector
			}
		}
		picked, err := Select(all, patterns)
		if refuse := vectors || slices.Contains(used, false); (err != nil) != refuse {
			t.Fatalf("%q of %q: error %v, want one: %v", patterns, names, err, refuse)
		}
		if err != nil {
			return
		}
		var got []string
		for _, p := range picked {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q of %q: %q, want %q", patterns, names, got, want)
		}
	})
}

// fits is what match should be, by dynamic programming: reached[i] says whether the pattern so far matches name[:i].
func fits(pattern, name string) bool {
	reached := make([]bool, len(name)+1)
	reached[0] = true
	for _, c := range []byte(pattern) {
		next := make([]bool, len(name)+1)
		for i, ok := range reached {
			if c == '*' {
				next[i] = ok || i > 0 && next[i-1]
			} else if ok && i < len(name) && name[i] == c {
				next[i+1] = true
			}
		}
		reached = next
	}
	return reached[len(name)]
}

// The patterns of a vision transformer's placement become a ResNet's where the encoder is one, and those that were
// chosen stay.
func TestPlacementOnResNets(t *testing.T) {
	transformer, net := []*nn.Param{{Name: "visual.conv1.weight"}}, []*nn.Param{{Name: "visual.conv1.weight"}, {Name: "visual.layer1.0.conv1.weight"}}
	for _, recipe := range Recipes() {
		for _, method := range Methods() {
			c, err := Defaults(method, recipe, "", 16, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.For(transformer); err != nil || !slices.Equal(got.Patterns, c.Patterns) {
				t.Errorf("%s, %s: %v, %v on a transformer", method, recipe, got.Patterns, err)
			}
			got, err := c.For(net)
			if pmt := strings.HasSuffix(method, "pmt") || strings.HasSuffix(method, "dmt"); pmt && (err != nil || !slices.Equal(got.Patterns, resNet)) {
				t.Errorf("%s, %s: %v, %v", method, recipe, got.Patterns, err)
			} else if !pmt && (err == nil || !strings.Contains(err.Error(), "pmt and r-pmt")) {
				t.Errorf("%s, %s: error %v", method, recipe, err)
			}
			if both, err := c.WithEncoder("both").For(net); err == nil && !slices.Equal(both.Patterns, slices.Concat(resNet, attentionOfText)) {
				t.Errorf("%s, %s: %v of both encoders", method, recipe, both.Patterns)
			}
			if words, err := c.WithEncoder("text").For(net); err != nil || !slices.Equal(words.Patterns, attentionOfText) {
				t.Errorf("%s, %s: %v, %v of the text encoder", method, recipe, words.Patterns, err)
			}
			c.Patterns = []string{"visual.layer4.*.conv2.weight"}
			if got, err := c.For(net); err != nil || !slices.Equal(got.Patterns, c.Patterns) {
				t.Errorf("%s, %s: chosen patterns become %v, %v", method, recipe, got.Patterns, err)
			}
		}
	}
}

// Where a query of its own width pools tokens its projections are attention, for methods that mask attention; where
// MLPs have gates these are of them.
func TestPlacementOnRelatives(t *testing.T) {
	for _, relative := range []struct {
		params       []*nn.Param
		with, masked []string
	}{
		{[]*nn.Param{{Name: "visual.conv1.weight"}, {Name: "visual.attn_pool.attn.q_proj_weight"}}, attention, query},
		{[]*nn.Param{{Name: "visual.conv1.weight"}, {Name: "visual.transformer.resblocks.0.mlp.c_gate.weight"}}, mlp, gate},
	} {
		for _, method := range Methods() {
			c, err := Defaults(method, "paper", "", 16, false)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.For(relative.params)
			if err == nil {
				got, err = got.For(relative.params) // a run that goes on
			}
			want := c.Patterns
			if slices.Contains(want, relative.with[0]) {
				want = slices.Concat(want, relative.masked)
			}
			if err != nil || !slices.Equal(got.Patterns, want) {
				t.Errorf("%s: %v, %v", method, got.Patterns, err)
			}
			c.Patterns = []string{relative.with[0]}
			if got, err := c.For(relative.params); err != nil || !slices.Equal(got.Patterns, c.Patterns) {
				t.Errorf("%s: patterns that were chosen became %v, %v", method, got.Patterns, err)
			}
		}
	}
}
