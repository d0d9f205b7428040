package main

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/tensor"
)

// Integers are for inference alone: masks and what else was tuned are tested with them, together and one by one alike,
// and come to about what they do in float32; training, ResNets and processors that would be slower are refused in a
// line.
func TestInt8(t *testing.T) {
	mask, _ := undisturbedRun(t)
	test := func(flags ...string) []string {
		return append([]string{"eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-json", "-mask", mask}, flags...)
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if code, _, errw := cli(t, args...); code == 0 || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, errw, want)
		}
	}
	refused("-precision int8 is for inference", "train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-precision", "int8", "-out", t.TempDir())
	refused("-precision int8 is for inference", quick(t, "-methods", "zero-shot", "-precision", "int8", "-out", "-")...)
	refused(`-precision "fp8": there are float32 and bf16`, quick(t, "-methods", "zero-shot", "-precision", "fp8", "-out", "-")...)
	if !tensor.Int8Pays() {
		refused("has no AVX512_VNNI", test("-precision", "int8")...)
		t.Skip("this processor does not multiply integers")
	}
	exact, one := last[evalResult](t, must(t, test()...)), last[evalResult](t, must(t, test("-precision", "int8")...))
	if n := float64(exact.Test.Images); math.Abs(one.Test.Accuracy-exact.Test.Accuracy) > 100*3/n || !strings.Contains(one.Device, "int8") {
		t.Errorf("%s: %+v, float32 %+v", one.Device, one.Test, exact.Test)
	}
	dir := filepath.Join(t.TempDir(), "run")
	must(t, learn(t, "clip-lora", dir)...)
	three := slices.Collect(strings.Lines(must(t, test("-precision", "int8", "-tuned", dir, "-tuned", dir)...)))
	if got := last[evalResult](t, three[len(three)-3]); got.Mask == "" || got.Test != one.Test {
		t.Errorf("together %+v, alone %+v", got.Test, one.Test)
	}
	for _, input := range [][]string{{images(t, 1)[0]}, {"-text", "a photo of a cat."}} {
		encode := append([]string{"encode", "-model", tiny(t), "-json"}, input...)
		float := last[encoded](t, must(t, encode...))
		ints := last[encoded](t, must(t, append(encode, "-precision", "int8")...))
		dot, a, b := 0.0, 0.0, 0.0
		for i, v := range float.Feature {
			w := float64(ints.Feature[i])
			dot, a, b = dot+float64(v)*w, a+float64(v)*float64(v), b+w*w
		}
		if cos := dot / math.Sqrt(a*b); cos < 0.999 || cos == 1 {
			t.Errorf("the cosine of the feature of the %s to that of float32 is %g", float.Kind, cos)
		}
	}
}
