package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/rmt/run"
	"fewshot/text"
)

// objects reads one JSON object a line, and nothing else.
func objects(t *testing.T, out string) (all []encoded) {
	t.Helper()
	for l := range strings.Lines(out) {
		all = append(all, last[encoded](t, l))
	}
	return all
}

// images are a few image files of the fixture.
func images(t *testing.T, n int) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(tinyData(t), "few", "images", "*", "*.png"))
	if err != nil || len(all) < n {
		t.Fatalf("%d images, %v", len(all), err)
	}
	return all[:n]
}

// tinyTokenizer reads the tiny model's vocabulary.
func tinyTokenizer(t *testing.T) *text.BPE {
	t.Helper()
	f, err := os.Open(filepath.Join(tinyFolder(t), "merges.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tok, err := text.ReadMerges("merges.txt", f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestEncode(t *testing.T) {
	files := images(t, 5)
	texts := []string{"a red circle", "", "two striped stars & a house"}
	args := []string{"encode", "-model", tiny(t), "-json"}
	for _, s := range texts {
		args = append(args, "-text", s)
	}
	got := objects(t, must(t, append(args, files...)...))
	if len(got) != len(texts)+len(files) {
		t.Fatalf("%d objects", len(got))
	}
	tok := tinyTokenizer(t)
	for i, s := range texts {
		ids, err := tok.Tokenize(s, 32, false)
		if err != nil {
			t.Fatal(err)
		}
		if g := got[i]; g.Kind != "text" || g.Input != s || !slices.Equal(g.Tokens, ids) || g.Tokens[0] != tok.SOT() || g.Tokens[len(ids)-1] != tok.EOT() {
			t.Errorf("%q: %s %q %v, want %v", s, g.Kind, g.Input, g.Tokens, ids)
		}
	}
	for i, name := range files {
		if g := got[len(texts)+i]; g.Kind != "image" || g.Input != name || g.Tokens != nil {
			t.Errorf("%s: %s %q %v", name, g.Kind, g.Input, g.Tokens)
		}
	}
	for _, g := range got {
		norm := 0.0
		for _, v := range g.Feature {
			norm += float64(v) * float64(v)
		}
		if len(g.Feature) != 128 || norm < 1.5 {
			t.Errorf("%s %q: %d values of norm² %g; features are not normalised", g.Kind, g.Input, len(g.Feature), norm)
		}
	}

	// One by one, in batches of two, on one thread: the same numbers.
	for i, name := range files {
		if one := objects(t, must(t, "encode", "-model", tiny(t), "-json", name)); !slices.Equal(one[0].Feature, got[len(texts)+i].Feature) {
			t.Errorf("%s alone has another feature", name)
		}
	}
	again := objects(t, must(t, append([]string{"encode", "-model", tiny(t), "-json", "-batch-size", "2", "-workers", "1", "-decoders", "1"}, files...)...))
	for i := range files {
		if !slices.Equal(again[i].Feature, got[len(texts)+i].Feature) {
			t.Errorf("%s has another feature in a batch of two", files[i])
		}
	}
}

// Numbers are written in the shortest form that reads back as the same float32.
func TestEncodePrecision(t *testing.T) {
	out := must(t, "encode", "-model", tiny(t), "-json", "-text", "a star")
	var raw struct{ Feature []json.Number }
	if err := json.Unmarshal([]byte(out), &raw); err != nil {
		t.Fatal(err)
	}
	for _, n := range raw.Feature {
		v, err := strconv.ParseFloat(n.String(), 32)
		if err != nil {
			t.Fatal(err)
		}
		shortest := strconv.FormatFloat(v, 'g', -1, 32)
		if w, err := strconv.ParseFloat(shortest, 64); err != nil || strconv.FormatFloat(w, 'g', -1, 64) != canonicalNumber(t, n) {
			t.Errorf("%s, shortest is %s", n, shortest)
		}
	}
}

func canonicalNumber(t *testing.T, n json.Number) string {
	t.Helper()
	v, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func TestEncodeText(t *testing.T) {
	file := images(t, 1)[0]
	out := must(t, "encode", "-model", tiny(t), "-text", "a \x1b[31mstar", file)
	for _, want := range []string{"text  ", "tokens [", "image " + strconv.Quote(file), "128 values, length "} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("an escape sequence reaches the terminal")
	}
	long := strings.Repeat("star ", 40)
	got := objects(t, must(t, "encode", "-model", tiny(t), "-json", "-truncate", "-text", long))
	if n := len(got[0].Tokens); n != 32 || got[0].Tokens[31] != slices.Max(got[0].Tokens) {
		t.Errorf("cut to %d tokens %v", n, got[0].Tokens)
	}
}

func TestEncodeWithMask(t *testing.T) {
	dir, _ := undisturbedRun(t)
	file, mask := images(t, 1)[0], filepath.Join(dir, run.MaskName)
	plain := objects(t, must(t, "encode", "-model", tiny(t), "-json", "-text", "a star", file))
	masked := objects(t, must(t, "encode", "-model", tiny(t), "-json", "-mask", mask, "-text", "a star", file))
	if !slices.Equal(plain[0].Feature, masked[0].Feature) || slices.Equal(plain[1].Feature, masked[1].Feature) {
		t.Error("a mask changes the features of images, not of texts")
	}
	if whole := objects(t, must(t, "encode", "-model", tiny(t), "-json", "-mask", dir, file)); !slices.Equal(whole[0].Feature, masked[1].Feature) {
		t.Error("the folder of a run does not stand for its mask")
	}
	if code, _, errw := cli(t, "encode", "-model", tiny(t), "-mask", mask, "-text", "a star"); code != exitFailed || !strings.Contains(errw, "no image is given") {
		t.Errorf("a mask of the image encoder and a text alone: exit code %d, %s", code, errw)
	}
	if code, _, errw := cli(t, "encode", "-model", other(t), "-mask", mask, file); code != exitFailed || !strings.Contains(errw, "another backbone") {
		t.Errorf("a mask of other weights: exit code %d, %s", code, errw)
	}
}

// only is a source with some of a model's tensors.
type only struct {
	*checkpoint.Model
	names []string
}

func (o only) Names() []string { return o.names }

// imagesOnly writes the image encoder of the tiny model, without text encoder and vocabulary.
func imagesOnly(t *testing.T) string {
	t.Helper()
	m, err := checkpoint.OpenModel(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	src := only{Model: m}
	for _, n := range m.Names() {
		if strings.HasPrefix(n, "visual.") {
			src.names = append(src.names, n)
		}
	}
	path := filepath.Join(t.TempDir(), "visual.safetensors")
	err = checkpoint.WriteFile(path, func(w io.Writer) error {
		return checkpoint.WriteModel(w, map[string]string{checkpoint.ActivationKey: "quickgelu"}, src, checkpoint.F16)
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Images alone need no text encoder and no vocabulary; texts say which of them is missing.
func TestEncodeImagesAlone(t *testing.T) {
	file, visual := images(t, 1)[0], imagesOnly(t)
	want := objects(t, must(t, "encode", "-model", tiny(t), "-json", file))
	if got := objects(t, must(t, "encode", "-model", visual, "-json", file)); !slices.Equal(got[0].Feature, want[0].Feature) {
		t.Error("without text encoder: another feature")
	}
	alone := filepath.Join(t.TempDir(), "alone.safetensors")
	if err := os.WriteFile(alone, read(t, tiny(t)), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := objects(t, must(t, "encode", "-model", alone, "-json", file)); !slices.Equal(got[0].Feature, want[0].Feature) {
		t.Error("without vocabulary: another feature")
	}
	if code, _, errw := cli(t, "encode", "-model", visual, "-text", "a star"); code != exitFailed || !strings.Contains(errw, "has no text encoder") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	if code, _, errw := cli(t, "encode", "-model", alone, "-text", "a star"); code != exitUsage || !strings.Contains(errw, "no BPE vocabulary") || !strings.Contains(errw, "-vocab") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	got := objects(t, must(t, "encode", "-model", alone, "-vocab", filepath.Join(tinyFolder(t), "merges.txt"), "-json", "-text", "a star"))
	if with := objects(t, must(t, "encode", "-model", tiny(t), "-json", "-text", "a star")); !slices.Equal(got[0].Feature, with[0].Feature) {
		t.Error("-vocab: another feature")
	}
	i := last[modelInfo](t, must(t, "info", "-json", visual))
	if i.Image == nil || i.Text != nil || i.Vocabulary != "" {
		t.Errorf("info says %+v", i)
	}
}

// A prompt ensemble is the data set's own, or the seven for ImageNet and the data set's prompt.
func TestEnsemble(t *testing.T) {
	imagenet, _ := datasets.Lookup("imagenet")
	for _, c := range []struct {
		ds   datasets.Dataset
		want []string
	}{
		{datasets.Dataset{Template: imagenet.Template, Templates: imagenet.Templates}, imagenet.Templates},
		{datasets.Dataset{Template: "my {}", Templates: []string{"my {}"}}, append(slices.Clone(imagenet.Templates), "my {}")},
		{datasets.Dataset{Template: "my {}", Templates: []string{"my {}", "your {}"}}, []string{"my {}", "your {}"}},
	} {
		if got := ensemble(&c.ds); !slices.Equal(got, c.want) {
			t.Errorf("%v", got)
		}
	}
	run := func(args ...string) evalResult {
		return last[evalResult](t, must(t, append([]string{"zeroshot", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-json"}, args...)...))
	}
	if r := run("-ensemble"); len(r.Templates) != 8 || r.Templates[7] != "a photo of a {} texture." {
		t.Errorf("%q", r.Templates)
	}
	if r := run("-template", "imagenet80"); len(r.Templates) != 80 || r.Templates[79] != "a tattoo of the {}." {
		t.Errorf("%q", r.Templates)
	}
	if r := run("-template", "a {}", "-template", "the {}"); !slices.Equal(r.Templates, []string{"a {}", "the {}"}) {
		t.Errorf("%q", r.Templates)
	}
}

// Tall images have other features by the order of passes that Pillow had until version 12; wide ones have not.
func TestEncodeAsOlderPillow(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, w, h int) string {
		m := image.NewGray(image.Rect(0, 0, w, h))
		for i := range m.Pix {
			m.Pix[i] = byte(i * i >> 5)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tall, wide := write("tall.png", 100, 300), write("wide.png", 300, 100)
	features := func(flags ...string) []encoded {
		return objects(t, must(t, append(append([]string{"encode", "-model", tiny(t), "-json"}, flags...), tall, wide)...))
	}
	today, newest, old := features(), features("-pillow", "13"), features("-pillow", "12")
	for i, same := range []bool{false, true} {
		if !slices.Equal(today[i].Feature, newest[i].Feature) {
			t.Errorf("%s: -pillow 13 is not the default", today[i].Input)
		}
		if slices.Equal(old[i].Feature, newest[i].Feature) != same {
			t.Errorf("%s: features equal with -pillow 12 and 13: %v", today[i].Input, !same)
		}
	}
}
