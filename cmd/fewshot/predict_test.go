package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fewshot/cmd/fewshot/internal/predict"
	"fewshot/datasets"
)

// predictions are the rows of a CSV file, the header apart.
func predictions(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) == 0 || rows[0][0] != "path" {
		t.Fatalf("%v in %.200q", err, text)
	}
	return rows[1:]
}

// testFiles are the test images of "few", as files, and their classes.
func testFiles(t *testing.T) (paths, classes []string) {
	t.Helper()
	ds, err := datasets.Open(tinyData(t), "few")
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range ds.Test {
		paths, classes = append(paths, filepath.Join(ds.Root, filepath.FromSlash(it.Path))), append(classes, it.Class)
	}
	return paths, classes
}

// withStdin runs the program with a text as its standard input.
func withStdin(t *testing.T, text string, args ...string) (code int, out, errw string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := os.Stdin
	os.Stdin = f
	defer func() { os.Stdin = before }()
	return cli(t, args...)
}

// TestPredict: the classes are those that eval counts as right, and rows are the same from files, a folder and a list, in batches of any
// size, by any number of decoders.
func TestPredict(t *testing.T) {
	dir, _ := undisturbedRun(t)
	paths, classes := testFiles(t)
	args := func(more ...string) []string {
		return append([]string{"predict", "-model", tiny(t), "-tuned", dir}, more...)
	}
	want := must(t, args(paths...)...)
	right := 0
	for i, row := range predictions(t, want) {
		if row[0] != paths[i] {
			t.Fatalf("row %d is of %s, want %s", i+1, row[0], paths[i])
		}
		if row[1] == classes[i] {
			right++
		}
	}
	e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-mask", dir, "-json"))
	if right != e.Test.Correct || e.Test.Images != len(paths) {
		t.Errorf("%d of %d right; eval says %d of %d", right, len(paths), e.Test.Correct, e.Test.Images)
	}
	for _, more := range [][]string{{"-batch-size", "1"}, {"-batch-size", "5", "-decoders", "1"}, {"-decoders", "7", "-workers", "1"},
		{"-mask", dir, "-dataset", "few", "-data", tinyData(t), "-tuned", ""}} {
		if got := must(t, args(append(more, paths...)...)...); got != want {
			t.Errorf("%v: other rows", more)
		}
	}
	if code, got, errw := withStdin(t, strings.Join(paths, "\n"), args("-")...); code != exitDone || got != want {
		t.Errorf("from a list: exit code %d, %s", code, errw)
	}
	if code, got, errw := withStdin(t, strings.Join(paths, "\x00"), args("-0", "-")...); code != exitDone || got != want {
		t.Errorf("from a list with zero bytes: exit code %d, %s", code, errw)
	}
	folder := filepath.Join(tinyData(t), "few", "images", "dotted")
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || must(t, args(folder)...) != must(t, args(files...)...) {
		t.Errorf("%v, other rows from a folder", err)
	}

	// More classes, and JSON, say the same.
	type row struct {
		Path, Class                        string
		Probability, Margin, Energy, Logit float64
		Top                                []struct {
			Class       string
			Probability float64
		}
	}
	lines := strings.Split(strings.TrimSpace(must(t, args(append([]string{"-top", "99", "-format", "jsonl"}, paths...)...)...)), "\n")
	for i, c := range predictions(t, must(t, args(append([]string{"-top", "99"}, paths...)...)...)) {
		r := last[row](t, lines[i])
		sum := 0.0
		for k, g := range r.Top {
			class, p := c[1], c[2]
			if k > 0 {
				class, p = c[4+2*k], c[5+2*k]
			}
			if g.Class != class || strconv.FormatFloat(g.Probability, 'g', 6, 64) != p {
				t.Fatalf("row %d, class %d: %v, CSV has %s %s", i+1, k+1, g, class, p)
			}
			sum += g.Probability
		}
		// Six digits of each of 12 probabilities.
		if len(r.Top) != 12 || sum < 1-1e-5 || sum > 1+1e-5 || r.Margin-(r.Top[0].Probability-r.Top[1].Probability) > 2e-6 || r.Energy > -r.Logit {
			t.Errorf("%+v", r)
		}
	}
}

// TestPredictZeroShot: without a run classes come from a file, and prompts from flags.
func TestPredictZeroShot(t *testing.T) {
	paths, _ := testFiles(t)
	names := filepath.Join(t.TempDir(), "names.txt")
	ds, err := datasets.Open(tinyData(t), "few")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names, []byte(strings.Join(ds.Classes, "\r\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	of := func(more ...string) string {
		return must(t, append(append([]string{"predict", "-model", tiny(t)}, more...), paths...)...)
	}
	if of("-dataset", "few", "-data", tinyData(t)) != of("-classes-file", names, "-template", ds.Template) {
		t.Error("classes of a file are not those of a data set")
	}
	if rows := predictions(t, of("-dataset", "few", "-data", tinyData(t), "-classes", "new", "-top", "99")); len(rows[0]) != 7+2*5 {
		t.Errorf("%d columns for 6 classes", len(rows[0]))
	}
}

// TestPredictKeepGoing: what cannot be read is named, in its place.
func TestPredictKeepGoing(t *testing.T) {
	dir, _ := undisturbedRun(t)
	paths, _ := testFiles(t)
	folder := t.TempDir()
	broken := filepath.Join(folder, "a,\"b\"\nc.png")
	if err := os.WriteFile(broken, []byte("no image"), 0o666); err != nil {
		t.Skipf("no such names here: %v", err)
	}
	all := slices.Insert(slices.Clone(paths[:4]), 2, broken, "nowhere.png", folder+"x")
	args := append([]string{"predict", "-model", tiny(t), "-tuned", dir, "-batch-size", "2"}, all...)
	list := strings.Join(all, "\x00")
	code, out, errw := withStdin(t, list, append(args[:7], "-0", "-")...)
	if rows := predictions(t, out); code != exitFailed || len(rows) != 2 || !strings.Contains(errw, "unknown format") || !strings.Contains(errw, "-keep-going") {
		t.Errorf("exit code %d, %d rows, %s", code, len(rows), errw)
	}
	code, out, errw = withStdin(t, list, append(args[:7], "-0", "-keep-going", "-")...)
	rows := predictions(t, out)
	if code != exitFailed || len(rows) != len(all) || !strings.Contains(errw, "3 of 7 images have no prediction") || !strings.Contains(errw, "nowhere.png: no such file") {
		t.Errorf("exit code %d, %d rows, %s", code, len(rows), errw)
	}
	good := predictions(t, must(t, append([]string{"predict", "-model", tiny(t), "-tuned", dir}, paths[:4]...)...))
	for i, row := range rows {
		if bad := i >= 2 && i < 5; row[0] != all[i] || (row[6] != "") != bad || (row[1] == "") != bad {
			t.Errorf("%q", row)
		}
		if i >= 5 && !slices.Equal(row, good[i-3]) {
			t.Errorf("%q, want %q", row, good[i-3])
		}
	}
	if code, _, errw := cli(t, append([]string{"predict", "-model", tiny(t), "-tuned", dir}, "nowhere.png")...); code != exitFailed || !strings.Contains(errw, "nowhere.png: no such file") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

// limited takes so many bytes.
type limited struct {
	bytes.Buffer
	room int
	full func()
}

func (l *limited) Write(p []byte) (int, error) {
	if n := l.room - l.Len(); n < len(p) {
		l.full()
		if l.room == 0 {
			l.room = 1 << 20
			return l.Buffer.Write(p)
		}
		l.Buffer.Write(p[:n])
		return n, errFull
	}
	return l.Buffer.Write(p)
}

// TestPredictOut: a file that was cut off is gone on with to the same bytes, in the same batches, and what is beside it says how it was made.
func TestPredictOut(t *testing.T) {
	dir, _ := undisturbedRun(t)
	paths, _ := testFiles(t)
	out := filepath.Join(t.TempDir(), "p.jsonl")
	args := func(more ...string) []string {
		return append([]string{"predict", "-model", tiny(t), "-tuned", dir, "-batch-size", "4", "-keep-going", "-out", out, "-json"}, append(more, paths...)...)
	}
	r := last[predictResult](t, must(t, args()...))
	if r.Images != len(paths) || r.Resumed != 0 || r.Format != "jsonl" {
		t.Errorf("%+v", r)
	}
	whole := read(t, out)
	for _, cut := range []int{0, 10, len(whole) / 3, len(whole) - 1, len(whole)} {
		if err := os.WriteFile(out, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		r := last[predictResult](t, must(t, args("-resume")...))
		if got := read(t, out); !bytes.Equal(got, whole) || r.Images != len(paths) || r.Resumed != bytes.Count(whole[:cut], []byte("\n")) {
			t.Errorf("cut at %d: another file, %+v", cut, r)
		}
	}
	for want, more := range map[string][]string{"is there already": nil, "row 1 of": {"-resume", paths[1]}, "temperature was 1 and is 2": {"-resume", "-temperature", "2"}, "top was 1 and is 3": {"-resume", "-top", "3"}} {
		if code, _, errw := cli(t, args(more...)...); code != exitFailed || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s", more, code, errw)
		}
	}
}

// TestPredictInterrupted: when the program is told to stop, or its output takes no more, there are whole rows.
func TestPredictInterrupted(t *testing.T) {
	dir, _ := undisturbedRun(t)
	paths, _ := testFiles(t)
	args := append([]string{"predict", "-model", tiny(t), "-tuned", dir, "-batch-size", "2"}, paths...)
	want := must(t, args...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errw bytes.Buffer
	out := &limited{full: cancel}
	if code := runMain(ctx, out, &errw, args); code != exitInterrupted || !strings.HasPrefix(want, out.String()) || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("exit code %d, %s\n%q", code, errw.String(), out.String())
	}
	errw.Reset()
	out = &limited{room: 200, full: func() {}}
	if code := runMain(t.Context(), out, &errw, args); code != exitFailed || !strings.Contains(errw.String(), errFull.Error()) {
		t.Errorf("exit code %d, %s", code, errw.String())
	}
}

// TestPredictCalibrated: the temperature is fitted to validation images, recorded, and used. (It is the model in the program: one that
// knows nothing has no best temperature.)
func TestPredictCalibrated(t *testing.T) {
	paths, _ := testFiles(t)
	out := filepath.Join(t.TempDir(), "p.csv")
	args := func(more ...string) []string {
		return append([]string{"predict", "-dataset", "synth:textures", "-data", tinyData(t)}, append(more, paths...)...)
	}
	r := last[predictResult](t, must(t, args("-calibrate", "synth:textures/val", "-out", out, "-json")...))
	c := r.Calibration
	if c == nil || c.Images != 96 || c.Dataset != "SynthTextures" || c.Temperature != r.Temperature || c.NLL >= c.NLLBefore || c.ECE < 0 || c.ECE > 1 {
		t.Fatalf("%+v", c)
	}
	temperature := strconv.FormatFloat(c.Temperature, 'g', -1, 64)
	if s, err := predict.ReadSettings(out); err != nil || !bytes.Contains(s, []byte(`"temperature":`+temperature)) {
		t.Errorf("%s, %v", s, err)
	}
	given := must(t, args("-temperature", temperature)...)
	if string(read(t, out)) != given {
		t.Error("other rows than by -temperature")
	}
	must(t, args("-calibrate", "synth:textures/val", "-out", out, "-resume")...)
	plain := predictions(t, must(t, args()...))
	for i, row := range predictions(t, given) {
		if row[1] != plain[i][1] || row[5] != plain[i][5] || row[2] == plain[i][2] {
			t.Errorf("%q, at temperature 1 %q", row, plain[i])
		}
	}
	for part, want := range map[string]string{"few/test": "validation images", "few": "validation images", "nowhere/val": "nowhere", "synth:things/val": "none of those predicted"} {
		if code, _, errw := cli(t, args("-calibrate", part)...); code == exitDone || !strings.Contains(errw, want) {
			t.Errorf("%s: exit code %d, %s", part, code, errw)
		}
	}
}

func TestPredictUsage(t *testing.T) {
	dir, _ := undisturbedRun(t)
	for want, args := range map[string][]string{
		"nothing to predict":           {"-tuned", dir},
		"what are the classes?":        {"x.png"},
		"give - once":                  {"-tuned", dir, "-", "-"},
		"give - for it":                {"-tuned", dir, "-0", "x.png"},
		"csv or jsonl":                 {"-tuned", dir, "-format", "xml", "x.png"},
		"-json prints JSON":            {"-tuned", dir, "-format", "csv", "-json", "x.png"},
		"-top 0":                       {"-tuned", dir, "-top", "0", "x.png"},
		"give -out":                    {"-tuned", dir, "-resume", "x.png"},
		"leave one out":                {"-tuned", dir, "-calibrate", "few/val", "-temperature", "2", "x.png"},
		"/val: it names no data set":   {"-tuned", dir, "-calibrate", "/val", "x.png"},
		" val: it names no data set":   {"-tuned", dir, "-calibrate", "val", "x.png"},
		"give DATASET/val":             {"-tuned", dir, "-calibrate", "few", "x.png"},
		"from 1e-6 to 1e6":             {"-tuned", dir, "-temperature", "1e300", "x.png"},
		"a positive number":            {"-tuned", dir, "-temperature", "NaN", "x.png"},
		"both say what the classes":    {"-classes-file", "x", "-dataset", "few", "x.png"},
		"takes a part of a data set's": {"-tuned", dir, "-classes", "new", tiny(t)},
	} {
		if code, _, errw := cli(t, append([]string{"predict", "-model", tiny(t)}, args...)...); code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, errw, want)
		}
	}
}

// Where no image was left there is no rate.
func TestPredictNothingLeft(t *testing.T) {
	for _, c := range []struct {
		r    predictResult
		want string
	}{
		{predictResult{Images: 3, Resumed: 3, NumClass: 2}, "3 images, 2 classes, all of them before\n"},
		{predictResult{Images: 3, Resumed: 1, NumClass: 2, Rate: 4}, "3 images, 2 classes, 4.0 images/s, 1 of them before\n"},
	} {
		var b strings.Builder
		if c.r.print(&b); b.String() != c.want {
			t.Errorf("%q, not %q", b.String(), c.want)
		}
	}
}
