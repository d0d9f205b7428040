package main

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/rmt"
	"fewshot/rmt/run"
	"fewshot/tensor"
	"fewshot/vit"
)

// netSource is a small ResNet beside the text encoder of the tiny model.
type netSource struct {
	initialNet
	text *checkpoint.Model
}

func (s netSource) Names() []string {
	names := s.initialNet.Names()
	for _, n := range s.text.Names() {
		if !strings.HasPrefix(n, "visual.") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

func (s netSource) Shape(name string) ([]int, bool) {
	if strings.HasPrefix(name, "visual.") {
		return s.initialNet.Shape(name)
	}
	return s.text.Shape(name)
}

func (s netSource) Read(name string, dst []float32) error {
	if strings.HasPrefix(name, "visual.") {
		return s.initialNet.Read(name, dst)
	}
	return s.text.Read(name, dst)
}

// netFolder has a CLIP with a ResNet of width 4 for images of 64 pixels.
func netFolder(t *testing.T) string {
	t.Helper()
	tinyDir := tinyFolder(t)
	return once("net", func(dir string) error {
		words, err := checkpoint.OpenModel(tiny(t))
		if err != nil {
			return err
		}
		defer words.Close()
		proj, _ := words.Shape("text_projection")
		c := vit.ResNetConfig{ImageSize: 64, Width: 4, Layers: [4]int{1, 1, 1, 1}, Heads: 2, Embed: proj[1]}
		w := nn.NewCheck(initial{})
		c.Build(w)
		src := netSource{initialNet{initial{shapes: maps.Clone(w.Asked()), key: tensor.NewKey(3)}}, words}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		merges, err := os.ReadFile(filepath.Join(tinyDir, "merges.txt"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "merges.txt"), merges, 0o666); err != nil {
			return err
		}
		return checkpoint.WriteFile(filepath.Join(dir, "model.safetensors"), func(w io.Writer) error {
			return checkpoint.WriteModel(w, map[string]string{checkpoint.ActivationKey: "quickgelu"}, src, checkpoint.F32)
		})
	})(t)
}

// A ResNet is trained, tested and described by the same commands as a transformer, and by the same bits whatever the number of workers.
func TestResNetTrainThenEval(t *testing.T) {
	model := filepath.Join(netFolder(t), "model.safetensors")
	train := func(more ...string) run.Result {
		t.Helper()
		args := []string{"train", "-model", model, "-data", tinyData(t), "-dataset", "few", "-shots", "2", "-batch-size", "8", "-epochs", "2", "-lr", "3e-3",
			"-method", "r-pmt", "-zeroshot=false", "-out", filepath.Join(t.TempDir(), "run"), "-json"}
		return last[run.Result](t, must(t, append(args, more...)...))
	}
	r := train("-workers", "1")
	if r.Sparsity.Off == 0 || r.Sparsity.Off == r.Sparsity.Total {
		t.Errorf("masks that did not move test nothing: %v", r.Sparsity)
	}
	mask := read(t, r.File)
	if again := train("-workers", "3"); !bytes.Equal(read(t, again.File), mask) {
		t.Error("three workers make another mask than one")
	}
	if c := config(t, r); !slices.Contains(c.Patterns, "visual.layer*.conv*.weight") {
		t.Errorf("patterns %q", c.Patterns)
	}
	e := last[evalResult](t, must(t, "eval", "-model", model, "-data", tinyData(t), "-dataset", "few", "-mask", r.File, "-json"))
	if e.Test != *r.Test || *e.Sparsity != *r.Sparsity {
		t.Errorf("eval says %+v, train %+v", e.Test, *r.Test)
	}
	released := train("-recipe", "released")
	if c := config(t, released); c.Penalty == 0 || released.Sparsity.Total != r.Sparsity.Total {
		t.Errorf("the released recipe: %+v, %v", c, released.Sparsity)
	}
	i := last[modelInfo](t, must(t, "info", "-json", model))
	if i.Image == nil || i.Image.Size != 64 || !slices.Equal(i.Image.Blocks, []int{1, 1, 1, 1}) || i.Image.Heads != 2 || i.Text == nil {
		t.Errorf("info says %+v", i.Image)
	}
	if out := must(t, "info", model); !strings.Contains(out, "ResNet of 1+1+1+1 blocks, 64×64 pixels") {
		t.Error(out)
	}
	for _, method := range []string{"amt", "r-mmt"} {
		code, _, errw := cli(t, "train", "-model", model, "-data", tinyData(t), "-dataset", "few", "-method", method, "-out", filepath.Join(t.TempDir(), "run"))
		if code != exitUsage || !strings.Contains(errw, "weights that a ResNet does not have; pmt and r-pmt") {
			t.Errorf("%s: exit code %d, %s", method, code, errw)
		}
	}
}

// What learns on features or prompts does so on those of a ResNet, which are nearly alike as long as it is untrained, and says
// the same when it is loaded.
func TestResNetHeads(t *testing.T) {
	model := filepath.Join(netFolder(t), "model.safetensors")
	data := []string{"-model", model, "-data", tinyData(t), "-dataset", "few", "-json"}
	for _, method := range []string{"gda", "tip-adapter-f", "coop"} {
		dir := filepath.Join(t.TempDir(), "run")
		args := append([]string{"train", "-method", method, "-shots", "4", "-zeroshot=false", "-out", dir}, strings.Fields(short[method])...)
		r := last[run.Result](t, must(t, append(args, data...)...))
		if e := last[evalResult](t, must(t, append([]string{"eval", "-tuned", dir}, data...)...)); e.Test != *r.Test {
			t.Errorf("%s: eval says %+v, train %+v", method, e.Test, *r.Test)
		}
	}
}

// What is measured of a ResNet are inference and steps of PMT; of kinds that it does not have there is nothing.
func TestResNetBench(t *testing.T) {
	model := filepath.Join(netFolder(t), "model.safetensors")
	r := last[benchResult](t, must(t, "bench", "-json", "-model", model, "-rounds", "1", "-batch", "2", "-match", "batch [12]"))
	var names []string
	for _, m := range r.Cases {
		names = append(names, m.Name)
	}
	want := []string{"batch 1", "batch 1, weights packed", "PMT, batch 2", "R-PMT, batch 2, all weights on", "R-PMT, batch 2, some weights off"}
	if !slices.Equal(names, want) {
		t.Errorf("measured %q, want %q", names, want)
	}
	code, _, errw := cli(t, "bench", "-model", model, "-rounds", "1", "-only", "gemm")
	if code != exitUsage || !strings.Contains(errw, "nothing of that kind") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

// Images of another size than the model's: positions are resized, masks remember it, and sizes that do not fit are refused.
func TestImageSize(t *testing.T) {
	net := filepath.Join(netFolder(t), "model.safetensors")
	own := last[modelInfo](t, must(t, "info", "-json", tiny(t))).Image
	eval := func(command, model string, more ...string) evalResult {
		t.Helper()
		return last[evalResult](t, must(t, append([]string{command, "-model", model, "-data", tinyData(t), "-dataset", "few", "-json"}, more...)...))
	}
	dir := filepath.Join(t.TempDir(), "run")
	r := last[run.Result](t, must(t, append(tune(t, dir, "-json"), "-image-size", "32")...))
	if own.Size == 32 {
		t.Fatal("32 is the tiny model's own size")
	}
	if e := eval("eval", tiny(t), "-mask", r.File); e.Test != *r.Test { // 32 pixels, as the mask says
		t.Errorf("eval says %+v, train %+v", e.Test, *r.Test)
	}
	for _, size := range []string{"32", "96"} {
		eval("zeroshot", net, "-image-size", size)
	}
	for size, want := range map[string]string{"50": "steps of 32 pixels", "-32": "a number of pixels", "40960": "up to 4096"} {
		code, _, errw := cli(t, "zeroshot", "-model", net, "-data", tinyData(t), "-dataset", "few", "-image-size", size)
		if code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("-image-size %s: exit code %d, %s", size, code, errw)
		}
	}
}

// What was made for a transformer is refused on a ResNet for what it is, though images of that one's size would not fit.
func TestResNetIsAnotherBackbone(t *testing.T) {
	net := filepath.Join(netFolder(t), "model.safetensors")
	dir := filepath.Join(t.TempDir(), "run")
	must(t, append(tune(t, dir), "-image-size", "48")...)
	for _, args := range [][]string{{"eval", "-data", tinyData(t), "-dataset", "few"}, {"predict", images(t, 1)[0]}, {"export", "-to", "openai", "-out", filepath.Join(t.TempDir(), "x")}} {
		code, _, errw := cli(t, slices.Concat(args[:1], []string{"-model", net, "-mask", dir}, args[1:])...)
		if code != exitFailed || !strings.Contains(errw, rmt.ErrBackbone.Error()) {
			t.Errorf("%s: exit code %d, %s", args[0], code, errw)
		}
	}
}
