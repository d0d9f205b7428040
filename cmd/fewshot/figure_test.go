package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"fewshot/cmd/fewshot/internal/draw"
)

// A figure has a bar for each method and a row for each task, a shifted one among them; means are over seeds.
func TestFigure(t *testing.T) {
	rows := []demoResult{{Task: "things-shift", Method: "zero-shot", Accuracy: 40}, {Task: "things-shift", Method: "amt", Accuracy: 50}, {Task: "things-shift", Method: "amt", Accuracy: 56},
		{Task: "letters", Method: "zero-shot", Accuracy: 70}}
	f, err := figure(rows, "title")
	if err != nil {
		t.Fatal(err)
	}
	b := f.(draw.Bars)
	if len(b.Groups) != 2 || len(b.Series) != 2 || b.Series[1].Values[0] != 53 || math.Abs(b.Series[1].Err[0]-3*math.Sqrt2) > 1e-12 || len(b.Pictures[0]) != figureExamples {
		t.Errorf("%+v", b)
	}
	var svg bytes.Buffer
	if err := draw.SVG(&svg, f); err != nil || !bytes.Contains(svg.Bytes(), []byte("53.0")) {
		t.Errorf("%v", err)
	}
	if _, err := figure([]demoResult{{Task: "none"}}, ""); err == nil {
		t.Error("a task that there is not is drawn")
	}
}

// A dry run of a figure counts its runs where there are no data too, and says why it knows no time.
func TestFigureDryRun(t *testing.T) {
	code, out, errw := cli(t, "figure", "3", "-seeds", "1", "-dry-run", "-runs", t.TempDir(), "-data", t.TempDir(), "-model", tiny(t))
	if code != exitDone || errw != "" || !strings.HasPrefix(out, "Figure 3: 11 runs (11 of masks, ") || !strings.Contains(out, ", 0 done\nnot known: ") || !strings.Contains(out, "no such folder") {
		t.Errorf("exit code %d, stderr %q, stdout %q", code, errw, out)
	}
}
