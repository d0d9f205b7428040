package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nasty is a name that markup, terminals and small pictures could stumble over.
const nasty = "<b>\"quick\" & 'brown'</b> \x1b[31m \u202efox 猫 of a long name that does not end"

func samples() map[string]Figure {
	var x, y, z []float64
	for i := range 50 {
		x = append(x, float64(i+1))
		y = append(y, 3*math.Exp(-float64(i)/12))
		z = append(z, 2.5*math.Exp(-float64(i)/20)+0.2)
	}
	y[20] = math.NaN()
	patch := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range 64 {
		patch.SetRGBA(i%8, i/8, color.RGBA{uint8(i * 4), uint8(255 - i*3), 90, 255})
	}
	var heat Heat
	heat.Title, heat.X, heat.Y, heat.Format = "confusion", "predicted", "true", "%.0f"
	for i := range 12 {
		heat.Rows = append(heat.Rows, string(rune('a'+i))+" class")
		heat.Columns = heat.Rows
		row := make([]float64, 12)
		for j := range row {
			row[j] = 100 * math.Exp(-math.Abs(float64(i-j)))
		}
		heat.Values = append(heat.Values, row)
	}
	heat.Rows[3] = nasty
	heat.Values[2][7] = math.NaN()
	large := Heat{Title: "200 classes"}
	for i := range 200 {
		large.Rows = append(large.Rows, "n")
		row := make([]float64, 200)
		row[i], row[(i*7)%200] = 90, 10
		large.Values = append(large.Values, row)
	}
	large.Columns = large.Rows
	curves := Curves{Title: "loss by epoch", X: "epoch", Y: "loss", Whole: true, Lines: []Line{{Name: "AMT", X: x, Y: y}, {Name: "R-AMT", X: x, Y: z}, {Name: nasty, X: x[:3], Y: z[:3], Err: []float64{0.2, 0.3, 0.1}}}}
	bars := Bars{Title: "accuracy in %", Y: "accuracy, %", Groups: []string{"pets", "flowers", "a long name of a data set", nasty}, Format: "%.1f", Series: []Bar{
		{Name: "zero-shot", Values: []float64{50, 60, 71, 5}}, {Name: "AMT", Values: []float64{70, 65, 80, -12}, Err: []float64{2, 3, 1, 4}},
		{Name: "R-AMT", Values: []float64{72, math.NaN(), 79, 8}}, {Name: "CoOp", Values: []float64{60, 60, 60, 6}}, {Name: "e", Values: []float64{60, 60, 60, 6}}, {Name: "f", Values: []float64{60, 60, 60, 6}}}}
	across := bars
	across.Across, across.Pictures = true, [][]image.Image{{patch, patch, patch}, {patch}, nil, {patch, patch}}
	return map[string]Figure{
		"curves": curves,
		"shots": Curves{Title: "accuracy by shots", X: "shots", Y: "accuracy, %", Log: true, Ticks: []float64{1, 2, 4, 8, 16},
			Lines: []Line{{Name: "R-AMT", X: []float64{1, 2, 4, 8, 16}, Y: []float64{60, 63, 66, 70, 74}, Err: []float64{3, 2, 2, 1, 1}}}},
		"reliability": Curves{X: "confidence", Y: "accuracy", Diagonal: true, To: 1, Lines: []Line{{X: []float64{0.1, 0.5, 0.9}, Y: []float64{0.2, 0.4, 0.8}}}},
		"bars":        bars,
		"across":      across,
		"heat":        heat,
		"large":       large,
		"sheet":       Sheet{Title: "several", Columns: 2, Figures: []Figure{curves, bars, heat}},
		"nothing":     Curves{Title: "no values"},
		"none":        Bars{},
		"no heat":     Heat{},
		"one":         Curves{Lines: []Line{{X: []float64{1}, Y: []float64{5}}}},
		"flat":        Bars{Groups: []string{"a"}, Series: []Bar{{Values: []float64{0}}}},
	}
}

// Every figure is a document that parses, without a date, and comes out in the same bytes again. FEWSHOT_PICTURES names a folder for
// people to look at them.
func TestFigures(t *testing.T) {
	again := samples()
	for name, f := range samples() {
		var svg, bitmap, second bytes.Buffer
		if err := errors.Join(SVG(&svg, f), PNG(&bitmap, f)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		texts := parse(t, name, svg.Bytes())
		if strings.ContainsAny(texts, "\x1b\u202e") {
			t.Errorf("%s shows a control character", name)
		}
		if m, err := png.Decode(bytes.NewReader(bitmap.Bytes())); err != nil || m.Bounds().Dx() < 100 {
			t.Errorf("%s: %v", name, err)
		}
		first := append(svg.Bytes(), bitmap.Bytes()...)
		if err := errors.Join(SVG(&second, again[name]), PNG(&second, again[name])); err != nil || !bytes.Equal(first, second.Bytes()) {
			t.Errorf("%s: drawn again it has other bytes (%v)", name, err)
		}
		page, err := Inline(f, nasty)
		if err != nil || !strings.HasPrefix(page, "<svg ") || strings.Contains(page, hex(ink)) {
			t.Errorf("%s in a page: %v, %.300s", name, err, page)
		}
		parse(t, name+" in a page", []byte(page))
		if dir := os.Getenv("FEWSHOT_PICTURES"); dir != "" {
			for _, end := range Extensions {
				if err := WriteFile(filepath.Join(dir, name+end), f); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// parse checks that a document is XML and returns its texts.
func parse(t *testing.T, name string, b []byte) string {
	t.Helper()
	var texts strings.Builder
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return texts.String()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return ""
		}
		if c, ok := tok.(xml.CharData); ok {
			texts.Write(c)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		from, to float64
		whole    bool
		want     string
	}{
		{0, 1, false, "0 0.2 0.4 0.6 0.8 1"}, {0.9, 3.1, true, "1 2 3"}, {0.96, 50.3, true, "10 20 30 40 50"}, {-0.1, 0.1, false, "-0.1 -0.05 0 0.05 0.1"},
		{1e-7, 3e-7, false, "1e-07 1.5e-07 2e-07 2.5e-07 3e-07"}, {5, 5, false, "5"}, {60, 101, false, "60 70 80 90 100"},
	} {
		var got []string
		for _, k := range (ticks{c.whole}).Ticks(c.from, c.to) {
			got = append(got, k.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("from %g to %g: %s", c.from, c.to, s)
		}
	}
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"a.jpg", "a", "png"} {
		if CheckName(bad) == nil {
			t.Errorf("%s passes", bad)
		}
	}
	path := filepath.Join(t.TempDir(), "a.PNG")
	if err := WriteFile(path, Curves{}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("%v, %.8q", err, b)
	}
}
