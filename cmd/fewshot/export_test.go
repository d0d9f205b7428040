package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/nn/checkpoint"
)

// TestExportFoldsMask: what a program computes that opens the export is what this one computes with the mask.
func TestExportFoldsMask(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	must(t, tune(t, run)...)
	mask := filepath.Join(run, "mask.safetensors")
	picture := firstImage(t, filepath.Join(tinyData(t), "few"))
	want := must(t, "encode", "-json", "-model", tiny(t), "-mask", mask, picture)
	plain := must(t, "encode", "-json", "-model", tiny(t), picture)
	if want == plain {
		t.Fatal("the mask changes nothing; the test would show nothing")
	}
	for _, form := range []string{"transformers", "open_clip", "openai"} {
		out := filepath.Join(t.TempDir(), form)
		r := last[exportedModel](t, must(t, "export", "-json", "-model", tiny(t), "-mask", mask, "-to", form, "-out", out))
		path := out
		if form == "openai" {
			path = filepath.Join(out, "model.pt")
		}
		if got := must(t, "encode", "-json", "-model", path, picture); got != want {
			t.Errorf("%s: other features than with the mask\n%.200s\n%.200s", form, got, want)
		}
		if code, _, errw := cli(t, "encode", "-model", path, "-text", "a star"); code != exitDone {
			t.Errorf("%s: texts cannot be read with it: %s", form, errw)
		}
		for _, name := range r.Files {
			if st, err := os.Lstat(filepath.Join(out, name)); err != nil || !st.Mode().IsRegular() {
				t.Errorf("%s: %s is no regular file: %v", form, name, err)
			}
		}
		if form == "openai" {
			continue
		}
		card, err := os.ReadFile(filepath.Join(out, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"accuracy", "Few", "weights switched off", "license: other", "r-amt"} {
			if !strings.Contains(string(card), want) {
				t.Errorf("%s: the card does not say %q:\n%s", form, want, card)
			}
		}
	}

	// The released code's form and back.
	official, back := filepath.Join(t.TempDir(), "official"), filepath.Join(t.TempDir(), "back.safetensors")
	must(t, "export", "-model", tiny(t), "-mask", mask, "-to", "official-mask", "-out", official)
	must(t, "import", "-model", tiny(t), "-out", back, filepath.Join(official, "model.pth.tar-3"))
	again := filepath.Join(t.TempDir(), "again") // an imported mask keeps the number
	must(t, "export", "-model", tiny(t), "-mask", back, "-to", "official-mask", "-out", again)
	a, err := os.ReadFile(filepath.Join(again, "model.pth.tar-3"))
	if b, _ := os.ReadFile(filepath.Join(official, "model.pth.tar-3")); err != nil || !bytes.Equal(a, b) {
		t.Errorf("exported, imported and exported again: other bytes, %v", err)
	}
	for _, path := range []string{official, filepath.Join(official, "model.pth.tar-3")} {
		i := last[fileInfo](t, must(t, "info", "-json", path))
		if i.Kind != "official-mask" || i.Epochs != 3 || len(i.Masks) != 3 || i.Masks[1].Bits != 3*64*64 || i.Masks[1].Kept >= 3*64*64 || !strings.Contains(i.Use, "fewshot import") {
			t.Errorf("info %s: %+v", path, i)
		}
	}
	if got := must(t, "encode", "-json", "-model", tiny(t), "-mask", back, picture); got != want {
		t.Error("other features after the way through the released code's form")
	}
}

// TestTextMasks: masks on the text encoder are put on by every command that takes a mask, and folded in as those of images are.
func TestTextMasks(t *testing.T) {
	data := []string{"-data", tinyData(t), "-dataset", "few"}
	picture := firstImage(t, filepath.Join(tinyData(t), "few"))
	encode := func(model string, more ...string) string {
		t.Helper()
		return must(t, append([]string{"encode", "-json", "-model", model, "-text", "a star", "-text", "a photo of a disc", "-text", "b", "-text", "c", "-text", "d", picture}, more...)...)
	}
	plain := encode(tiny(t))
	for _, encoder := range []string{"text", "both"} {
		run := filepath.Join(t.TempDir(), "run")
		must(t, tune(t, run, "-encoder", encoder)...)
		out := filepath.Join(t.TempDir(), "out")
		must(t, "export", "-model", tiny(t), "-mask", run, "-to", "open_clip", "-out", out)
		want, got := encode(tiny(t), "-mask", run), encode(out)
		if want != got {
			t.Errorf("%s: other features exported\n%.300s\n%.300s", encoder, got, want)
		}
		was, is := objects(t, plain), objects(t, want)
		if slices.Equal(was[0].Feature, is[0].Feature) || slices.Equal(was[5].Feature, is[5].Feature) != (encoder == "text") {
			t.Errorf("%s: the mask changes the features of what it is on, and of nothing else", encoder)
		}
		masked := last[evalResult](t, must(t, append([]string{"eval", "-json", "-model", tiny(t), "-mask", run}, data...)...))
		folded := last[evalResult](t, must(t, append([]string{"zeroshot", "-json", "-model", out}, data...)...))
		if masked.Test != folded.Test {
			t.Errorf("%s: %+v under the mask, %+v exported", encoder, masked.Test, folded.Test)
		}
		// What is trained under the mask is what is trained on the model that has it in its weights.
		under, on := filepath.Join(t.TempDir(), "under"), filepath.Join(t.TempDir(), "on")
		for to, model := range map[string][]string{under: {"-model", tiny(t), "-mask", run}, on: {"-model", out}} {
			must(t, slices.Concat([]string{"train", "-method", "coop", "-shots", "4", "-batch-size", "8", "-epochs", "1", "-zeroshot=false", "-out", to}, model, data)...)
		}
		a := last[evalResult](t, must(t, append([]string{"eval", "-json", "-model", tiny(t), "-mask", run, "-tuned", under}, data...)...))
		b := last[evalResult](t, must(t, append([]string{"eval", "-json", "-model", out, "-tuned", on}, data...)...))
		if a.Test != b.Test {
			t.Errorf("%s: CoOp under the mask %+v, on the exported model %+v", encoder, a.Test, b.Test)
		}
		if encoder == "text" {
			wrong := []string{"encode", "-model", tiny(t), "-mask", run, picture}
			if code, _, errw := cli(t, wrong...); code != exitFailed || !strings.Contains(errw, "no -text is given") {
				t.Errorf("a mask of the text encoder and an image alone: exit code %d, %s", code, errw)
			}
			wrong = []string{"export", "-model", tiny(t), "-mask", run, "-to", "official-mask", "-out", filepath.Join(t.TempDir(), "official")}
			if code, _, errw := cli(t, wrong...); code != exitFailed || !strings.Contains(errw, "released code has no mask for transformer.") {
				t.Errorf("a mask of the text encoder for the released code: exit code %d, %s", code, errw)
			}
		}
	}
}

// TestExportResNet: masks on a ResNet are folded in; what has no form for it is refused by name.
func TestExportResNet(t *testing.T) {
	model := filepath.Join(netFolder(t), "model.safetensors")
	data := []string{"-data", tinyData(t), "-dataset", "few"}
	picture := firstImage(t, filepath.Join(tinyData(t), "few"))
	run := filepath.Join(t.TempDir(), "run")
	must(t, slices.Concat([]string{"train", "-model", model, "-shots", "2", "-batch-size", "8", "-epochs", "2", "-lr", "3e-3", "-method", "r-pmt", "-encoder", "both",
		"-zeroshot=false", "-out", run}, data)...)
	out, classes := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "classes.txt")
	must(t, "export", "-model", model, "-mask", run, "-to", "open_clip", "-out", out)
	encode := func(args ...string) string {
		t.Helper()
		return must(t, append(append([]string{"encode", "-json", "-text", "a star"}, args...), picture)...)
	}
	want, got, plain := encode("-model", model, "-mask", run), encode("-model", out), encode("-model", model)
	if want != got || want == plain {
		t.Errorf("exported\n%.200s\nunder the mask\n%.200s\nuntouched\n%.200s", got, want, plain)
	}
	if err := os.WriteFile(classes, []byte("star\ndisc\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	must(t, "export", "-model", model, "-mask", run, "-to", "onnx", "-classes-file", classes, "-out", filepath.Join(t.TempDir(), "onnx"))
	for form, want := range map[string]string{
		"transformers":  "transformers has no class for CLIP's ResNets: use -to open_clip",
		"onnx":          "use -classes-file or -image-only",
		"openai":        "", // heads of 64
		"official-mask": "only vision transformers' masks can be written",
	} {
		code, _, errw := cli(t, "export", "-model", model, "-mask", run, "-to", form, "-out", filepath.Join(t.TempDir(), "out"))
		if (code == exitDone) != (want == "") || !strings.Contains(errw, want) {
			t.Errorf("%s: exit code %d, %s; want %q", form, code, errw, want)
		}
	}
}

// TestExportFoldsWeights: the exported model alone answers as the model with its tuned file does, in classes and in features.
func TestExportFoldsWeights(t *testing.T) {
	for _, settings := range [][]string{{"clip-lora", "-iterations", "20", "-lr", "1e-2", "-logit-scale", "30"}, {"finetune", "-epochs", "3", "-lr", "1e-3", "-wise", "0.5"}} {
		t.Run(settings[0], func(t *testing.T) { exportFolds(t, settings) })
	}
}

func exportFolds(t *testing.T, settings []string) {
	run, out := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "out")
	data := []string{"-data", tinyData(t), "-dataset", "few"}
	must(t, slices.Concat([]string{"train", "-model", tiny(t), "-shots", "4", "-batch-size", "8", "-zeroshot=false", "-out", run, "-method"}, settings, data)...)
	must(t, "export", "-model", tiny(t), "-tuned", run, "-to", "open_clip", "-out", out)
	encode := func(model string, more ...string) []encoded {
		t.Helper()
		return objects(t, must(t, append([]string{"encode", "-json", "-model", model, "-text", "a star", firstImage(t, filepath.Join(tinyData(t), "few"))}, more...)...))
	}
	was, with, alone := encode(tiny(t)), encode(tiny(t), "-tuned", run), encode(out)
	if e := furthest(with, alone); e > 1e-5 {
		t.Errorf("features differ by %g between the tuned file and what was exported", e)
	}
	if e := furthest(was[1:], with[1:]); e < 1e-4 {
		t.Errorf("features of the image differ by %g from the untouched model's: the test shows nothing", e)
	}
	test := func(args ...string) evalResult {
		t.Helper()
		return last[evalResult](t, must(t, append(append(args, "-json"), data...)...))
	}
	want, got, bare := test("eval", "-model", tiny(t), "-tuned", run), test("zeroshot", "-model", out), test("zeroshot", "-model", tiny(t))
	if got.Test != want.Test {
		t.Errorf("%+v with the tuned file, %+v exported", want.Test, got.Test)
	}
	if scale := logScale(t, out); settings[0] == "clip-lora" && scale != float32(math.Log(30)) || settings[0] != "clip-lora" && scale != logScale(t, tiny(t)) {
		t.Errorf("logit scale %g: want log 30 of clip-lora, by which cosines are multiplied, and else the model's", scale)
	}
	if bare.Test == want.Test {
		t.Errorf("%+v untouched: nothing was learned, and the test shows nothing", bare.Test)
	}
	must(t, append([]string{"train", "-method", "linear-probe", "-model", tiny(t), "-shots", "4", "-zeroshot=false", "-out", run + "2"}, data...)...)
	code, _, errw := cli(t, "export", "-model", tiny(t), "-tuned", run+"2", "-to", "open_clip", "-out", out+"2")
	if code != exitFailed || !strings.Contains(errw, "cannot be folded") {
		t.Errorf("a probe: exit code %d, %s", code, errw)
	}
}

// logScale is a model's logit scale as it is written.
func logScale(t *testing.T, path string) float32 {
	t.Helper()
	m, err := checkpoint.OpenModel(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var scale [1]float32
	if err := m.Read("logit_scale", scale[:]); err != nil {
		t.Fatal(err)
	}
	return scale[0]
}

// furthest is the largest difference of two lists of features, relative to the largest element.
func furthest(a, b []encoded) (far float64) {
	for i := range a {
		most, d := 0.0, 0.0
		for j, v := range a[i].Feature {
			most, d = max(most, math.Abs(float64(v))), max(d, math.Abs(float64(v-b[i].Feature[j])))
		}
		far = max(far, d/most)
	}
	return far
}

func firstImage(t *testing.T, folder string) (path string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(p string, d os.DirEntry, err error) error {
		if err == nil && path == "" && strings.HasSuffix(p, ".png") {
			path = p
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatal("no image", err)
	}
	return path
}

// TestExportRefuses: what cannot be exported leaves nothing behind, and says why.
func TestExportRefuses(t *testing.T) {
	full, names, bare := t.TempDir(), filepath.Join(t.TempDir(), "names"), filepath.Join(t.TempDir(), "bare.safetensors")
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names, []byte("cat\ncat\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	good := names + "-good"
	if err := os.WriteFile(good, []byte("cat\ndog\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bare, b, 0o666); err != nil { // without the vocabulary beside it
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{`-to "pytorch"`, []string{"-to", "pytorch"}},
		{"is not empty", []string{"-to", "open_clip", "-out", full}},
		{"-classes-file and -image-only are for -to onnx", []string{"-to", "openai", "-image-only"}},
		{"the class name goes in once", []string{"-to", "onnx", "-classes-file", good, "-template", "x"}},
		{"-template, -template-file and -class-prompts make a classifier", []string{"-to", "open_clip", "-template", "a {}"}},
		{"stands in line 1 too", []string{"-to", "onnx", "-classes-file", names}},
		{"name it with -mask", []string{"-to", "official-mask"}},
		{"no vocabulary", []string{"-to", "transformers", "-model", bare}},
		{"-image-only and -classes-file", []string{"-to", "onnx", "-image-only", "-classes-file", names}},
	} {
		out := filepath.Join(t.TempDir(), "out")
		args := append([]string{"export", "-model", tiny(t), "-out", out}, c.args...)
		code, _, errw := cli(t, args...)
		if code == exitDone || !strings.Contains(errw, c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, errw)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%v: left %s behind", c.args, out)
		}
	}
}

// TestExportONNX writes both kinds of graph.
func TestExportONNX(t *testing.T) {
	names := filepath.Join(t.TempDir(), "names")
	if err := os.WriteFile(names, []byte("cat\n\ndog\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{"onnx/model.onnx": nil, "model.onnx": {"-classes-file", names}} {
		r := last[exportedModel](t, must(t, append([]string{"export", "-json", "-model", tiny(t), "-to", "onnx", "-out", filepath.Join(t.TempDir(), "o")}, args...)...))
		if r.Files[0] != want || r.Bytes < 1000 {
			t.Errorf("%+v", r)
		}
	}
}

// Relatives of CLIP's go back into the form that they came in, with what was beside their weights, and become graphs; other forms do not
// have them.
func TestExportRelatives(t *testing.T) {
	cases := filepath.Join("..", "..", "tests", "testdata", "golden", "families", "cases")
	for name, form := range map[string]string{"siglip": "transformers", "metaclip2": "transformers", "clipa": "open_clip", "coca": "open_clip", "timm": "open_clip",
		"pe": "open_clip", "eva02": "open_clip", "eva02-post": "open_clip", "eva01": "open_clip", "blocks": "open_clip"} {
		t.Run(name, func(t *testing.T) {
			model := filepath.Join(cases, name, form)
			for _, to := range []string{"transformers", "open_clip", "openai", "onnx", "onnx -image-only"} {
				out := filepath.Join(t.TempDir(), "out")
				args := append([]string{"export", "-model", model, "-out", out, "-to"}, strings.Fields(to)...)
				code, _, errw := cli(t, args...)
				want := "" // of an error
				switch {
				case name == "coca" && to == "onnx":
					want = "use -classes-file or -image-only"
				case to == "openai", to == "transformers" && form != to, to == "open_clip" && form != to:
					want = "use -to " + form + ", or onnx"
				}
				if (code == 0) != (want == "") || !strings.Contains(errw, want) {
					t.Errorf("%s: exit code %d, %s", to, code, errw)
				}
				if _, err := os.Stat(out); (err == nil) != (want == "") {
					t.Errorf("%s: %v", to, err)
				}
			}
		})
	}
}

// What is written of a relative has the values that were learned, and says that they are float32, whatever its configuration said before.
func TestExportFoldsIntoRelatives(t *testing.T) {
	model, dir := filepath.Join(t.TempDir(), "model"), t.TempDir()
	if err := os.CopyFS(model, os.DirFS(siglipFolder(t))); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(model, "config.json"))
	if err == nil {
		config = bytes.Replace(config, []byte("{"), []byte(`{"torch_dtype": "float16", "x": 1.0, `), 1)
		err = os.WriteFile(filepath.Join(model, "config.json"), config, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	must(t, "train", "-model", model, "-data", tinyData(t), "-dataset", "few", "-method", "r-amt", "-shots", "4", "-out", run, "-batch-size", "8", "-epochs", "3", "-lr", "1e-2")
	out := filepath.Join(dir, "out")
	must(t, "export", "-model", model, "-mask", run, "-to", "transformers", "-out", out)
	pet := firstImage(t, filepath.Join(tinyData(t), "few"))
	masked := objects(t, must(t, "encode", "-model", model, "-mask", run, "-json", pet))[0]
	exported := objects(t, must(t, "encode", "-model", out, "-json", pet))[0]
	plain := objects(t, must(t, "encode", "-model", model, "-json", pet))[0]
	if !slices.Equal(masked.Feature, exported.Feature) || slices.Equal(plain.Feature, exported.Feature) {
		t.Errorf("exported %v, masked %v, without a mask %v", exported.Feature[:4], masked.Feature[:4], plain.Feature[:4])
	}
	written, err := os.ReadFile(filepath.Join(out, "config.json"))
	if err != nil || strings.Contains(string(written), "float16") || !strings.Contains(string(written), `"dtype": "float32"`) || !strings.Contains(string(written), `"x": 1.0`) {
		t.Errorf("%s, %v", written, err)
	}
}
