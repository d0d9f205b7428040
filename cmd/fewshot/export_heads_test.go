package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExportHeads: what is learned behind the image encoder, or is class features, becomes a graph, whatever the
// method, and what is not is refused. FEWSHOT_PYTHON is a Python that opens the graphs in ONNX Runtime, for example from
//
//	python3 -m venv v && v/bin/pip install onnxruntime==1.32.0 Pillow==13.0.0
//
// and compares what they say of pictures with what predict says. Without it they are written and read back alone.
func TestExportHeads(t *testing.T) {
	data := []string{"-data", tinyData(t), "-dataset", "few"}
	python := os.Getenv("FEWSHOT_PYTHON")
	var pairs []string // of a graph and its predictions
	for method, settings := range map[string]string{
		"linear-probe": "", "lp++": "-epochs 3", "gda": "", "tip-adapter": "", "tip-adapter-f": "-epochs 1 -batch-size 8", "clip-adapter": "-epochs 2 -batch-size 8",
		"taskres": "-epochs 2 -batch-size 8", "2sfs": "-iterations 6 -batch-size 8", "coop": "-epochs 1 -batch-size 8", "kgcoop": "-epochs 1 -batch-size 8",
		"prograd": "-epochs 1 -batch-size 8", "clip-lora": "-iterations 5 -batch-size 8", "cocoop": "-epochs 1", "vpt-deep": "-epochs 1 -batch-size 8",
	} {
		dir := t.TempDir()
		tuned, out := filepath.Join(dir, "run"), filepath.Join(dir, "out")
		must(t, slices.Concat([]string{"train", "-model", tiny(t), "-method", method, "-shots", "2", "-zeroshot=false", "-out", tuned}, data, strings.Fields(settings))...)
		args := []string{"export", "-model", tiny(t), "-tuned", tuned, "-to", "onnx", "-out", out}
		switch method {
		case "cocoop", "vpt-deep":
			if code, _, errw := cli(t, args...); code != exitFailed || !strings.Contains(errw, method+" learns is no head behind the image encoder") {
				t.Errorf("%s: exit code %d, %s", method, code, errw)
			}
			continue
		case "clip-lora": // is in the weights: both encoders without
			names := filepath.Join(dir, "names")
			if err := os.WriteFile(names, []byte("star\ndisc\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			args = append(args, "-classes-file", names)
		}
		if r := last[exportedModel](t, must(t, append(args, "-json")...)); r.Files[0] != "model.onnx" {
			t.Errorf("%s: %v", method, r.Files)
		}
		if python != "" {
			rows := filepath.Join(dir, "rows.jsonl")
			must(t, slices.Concat([]string{"predict"}, args[1:5], args[9:], []string{"-top", "100", "-out", rows, filepath.Join(tinyData(t), "few")})...)
			pairs = append(pairs, filepath.Join(out, "model.onnx"), rows)
		}
		if method == "coop" {
			if code, _, errw := cli(t, append(args[:len(args)-1], out+"2", "-image-only")...); code == exitDone || !strings.Contains(errw, "-image-only ends at the embedding") {
				t.Errorf("-image-only: exit code %d, %s", code, errw)
			}
		}
	}
	if python == "" {
		return
	}
	got, err := exec.CommandContext(t.Context(), python, append([]string{filepath.Join("testdata", "heads.py")}, pairs...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	t.Logf("\n%s", got)
	compared := 0
	for line := range strings.Lines(string(got)) {
		var graph string
		var logits, probabilities float64
		if n, _ := fmt.Sscan(line, &graph, &logits, &probabilities); n != 3 {
			continue
		}
		if compared++; !(logits <= 1e-4 && probabilities <= 1e-4) {
			t.Errorf("%s: logits are off by %g of the largest, probabilities by %g", graph, logits, probabilities)
		}
	}
	if compared != len(pairs)/2 {
		t.Errorf("%d graphs were compared, of %d", compared, len(pairs)/2)
	}
}
