package report

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"fewshot/cmd/fewshot/internal/draw"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/run"
)

// MostMistakes is how many of them are shown: with thumbnails of 96 pixels about 100 kB.
const MostMistakes = 24

// ThumbnailSize is the side of a thumbnail, in pixels.
const ThumbnailSize = 96

// Run is what the page of a run is made of.
type Run struct {
	Result *run.Result
	Folder string

	// Tested is what was classified for this page; nil where only what result.json says is shown.
	Tested *Tested

	Commands []Command
	Program  string // that makes the page
}

// Tested are test images, as classified again.
type Tested struct {
	Dataset, Device string
	Same            bool // the images that the run was tested on
	Classes         []string
	Predictions     []run.Prediction
	// Mistakes are indices into Predictions, with a picture and a name each; names may be empty.
	Mistakes []Mistake
}

// Mistake is an image that was classified wrongly.
type Mistake struct {
	Prediction run.Prediction
	Name       string
	Picture    image.Image
}

// Command is a line for a shell, and what it does.
type Command struct{ Does, Line string }

//go:embed *.html
var pages embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.2f %%", v) },
	"width":   func(v float64) string { return fmt.Sprintf("%.0f", v) },
	"text":    text,
	"count":   words.Count,
	"plural":  words.Plural,
}).ParseFS(pages, "*.html"))

// text is a stranger's text as the program shows it everywhere: what could play tricks is escaped, beyond what HTML needs.
func text(s string) string { return quote.Text(s) }

// figure is a picture of the page, with its numbers in words for those who do not see it.
type figure struct {
	Picture template.HTML
	Caption string
}

func drawn(f draw.Figure, caption string) (figure, error) {
	s, err := draw.Inline(f, caption)
	return figure{template.HTML(s), caption}, err // package draw escapes texts
}

// fact is a number at the top.
type fact struct{ Name, Value, Note string }

// pair is a setting.
type pair struct{ Name, Value string }

type page struct {
	*Run
	Title     string
	Style     template.CSS
	Facts     []fact
	Curves    []figure
	Sparsity  *figure
	Confusion *figure
	Reliable  []figure
	Bins      []run.Bin
	ECE       float64
	Classes   []Class
	Mistakes  []thumbnail
	Wrong     int
	Settings  []pair
	Epochs    bool
}

type thumbnail struct {
	Source          template.URL
	True, Predicted string
	Confidence      float64
	Name            string
}

// HTML writes the page.
func (r *Run) HTML(w io.Writer) error {
	p := &page{Run: r, Title: fmt.Sprintf("%s on %s", r.Result.Method, r.Result.Dataset), Style: template.CSS(draw.CSS())}
	steps := []func() error{p.curves, p.sparsity, p.tested, p.facts}
	for _, f := range steps {
		if err := f(); err != nil {
			return err
		}
	}
	p.settings()
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "page.html", p); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p *page) facts() error {
	r := p.Result
	add := func(name, value, note string) { p.Facts = append(p.Facts, fact{name, value, note}) }
	if r.Test != nil {
		note := fmt.Sprintf("%d of %s, %s", r.Test.Correct, words.Count(r.Test.Images, "test image"), words.Count(r.NumClass, "class"))
		add("accuracy", fmt.Sprintf("%.2f %%", r.Test.Accuracy), note)
		if r.ZeroShot != nil {
			add("zero-shot", fmt.Sprintf("%.2f %%", r.ZeroShot.Accuracy), "before training")
			add("change", fmt.Sprintf("%+.2f", r.Test.Accuracy-r.ZeroShot.Accuracy), "points")
		}
		add("macro-F1", fmt.Sprintf("%.2f %%", r.Test.MacroF1), "mean of the classes'")
	}
	if p.Tested != nil && len(p.Tested.Predictions) > 0 {
		add("ECE", fmt.Sprintf("%.3f", p.ECE), "calibration error, 0 is best")
	}
	if r.Sparsity != nil {
		add("weights off", fmt.Sprintf("%.2f %%", r.Sparsity.Percent()), fmt.Sprintf("%d of %d masked", r.Sparsity.Off, r.Sparsity.Total))
	}
	add("file", bytesText(r.FileBytes), "what was learned")
	add("trained on", words.Count(r.Train, "image"), fmt.Sprintf("%s, seed %d", words.Count(r.Shots, "shot"), r.Seed))
	return nil
}

func bytesText(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

func (p *page) curves() error {
	epochs := p.Result.Epochs
	if len(epochs) == 0 {
		return nil
	}
	var x, loss, distill, accuracy []float64
	taught := false
	for _, e := range epochs {
		x, loss, accuracy = append(x, float64(e.Epoch)), append(loss, e.Loss), append(accuracy, e.Accuracy)
		d := math.NaN()
		if e.Distill != nil {
			d, taught = *e.Distill, true
		}
		distill = append(distill, d)
	}
	lines := []draw.Line{{Name: "loss", X: x, Y: loss}}
	if taught {
		lines = append(lines, draw.Line{Name: "distillation loss", X: x, Y: distill})
	}
	last := len(epochs) - 1
	for _, c := range []struct {
		f       draw.Curves
		caption string
	}{
		{draw.Curves{X: "epoch", Y: "loss", Whole: true, Lines: lines}, fmt.Sprintf("Mean loss of the augmented training images by epoch: from %.4g to %.4g in %s.", loss[0], loss[last], words.Count(len(epochs), "epoch"))},
		{draw.Curves{X: "epoch", Y: "accuracy, %", Whole: true, Lines: []draw.Line{{Name: "training accuracy", X: x, Y: accuracy}}},
			fmt.Sprintf("Accuracy on the augmented training images by epoch: from %.1f %% to %.1f %%.", accuracy[0], accuracy[last])},
	} {
		f, err := drawn(c.f, c.caption)
		if err != nil {
			return err
		}
		p.Curves = append(p.Curves, f)
	}
	return nil
}

func (p *page) sparsity() error {
	if len(p.Result.Tensors) == 0 {
		return nil
	}
	low, high := p.Result.Tensors[0], p.Result.Tensors[0]
	for _, t := range p.Result.Tensors {
		if t.Percent() < low.Percent() {
			low = t
		}
		if t.Percent() > high.Percent() {
			high = t
		}
	}
	if high.Percent() == 0 { // the number at the top says it
		return nil
	}
	f, err := drawn(sparsity(p.Result.Tensors), fmt.Sprintf("Share of masked weights that are off, by layer of the encoder: least in %s (%.2f %%), most in %s (%.2f %%).",
		text(low.Name), low.Percent(), text(high.Name), high.Percent()))
	p.Sparsity = &f
	return err
}

func (p *page) tested() error {
	t := p.Tested
	if t == nil {
		return nil
	}
	all := t.Predictions
	p.Bins, p.ECE = run.Reliability(all)
	p.Classes = byClass(all, t.Classes)
	heat := draw.Heat{X: "predicted", Y: "true", Rows: t.Classes, Columns: t.Classes, Values: shares(Confusion(all, len(t.Classes))), To: 100, Format: "%.0f"}
	f, err := drawn(heat, "Confusion matrix: of the images of each class (row), the percentage that is called each class (column).")
	if err != nil {
		return err
	}
	p.Confusion = &f
	if err := p.reliability(); err != nil {
		return err
	}
	for _, q := range all {
		if q.Label != q.Predicted {
			p.Wrong++
		}
	}
	for _, m := range t.Mistakes {
		src, err := dataURI(m.Picture)
		if err != nil {
			return err
		}
		p.Mistakes = append(p.Mistakes, thumbnail{src, t.Classes[m.Prediction.Label], t.Classes[m.Prediction.Predicted], 100 * m.Prediction.Confidence, m.Name})
	}
	return nil
}

func (p *page) reliability() error {
	var confidence, accuracy, images []float64
	var names []string
	for i, b := range p.Bins {
		name := ""
		if i%3 == 2 { // there is room for a third of them
			name = fmt.Sprintf("%.1f", b.To)
		}
		names = append(names, name)
		images = append(images, float64(b.Images))
		if b.Images > 0 {
			confidence, accuracy = append(confidence, b.Confidence), append(accuracy, b.Accuracy)
		}
	}
	diagram, err := drawn(draw.Curves{X: "mean confidence of a bin", Y: "accuracy of its images", Diagonal: true, To: 1, Ticks: []float64{0, 0.2, 0.4, 0.6, 0.8, 1}, W: 300, H: 260,
		Lines: []draw.Line{{X: confidence, Y: accuracy}}},
		fmt.Sprintf("Reliability: accuracy against confidence in %d bins of equal width. On the dashed line confidence is right; below it the model is too sure. ECE %.3f.", run.Bins, p.ECE))
	if err != nil {
		return err
	}
	histogram, err := drawn(draw.Bars{Y: "images", Groups: names, Series: []draw.Bar{{Values: images}}, W: 340, H: 260}, fmt.Sprintf("Images by confidence, in the same %d bins; numbers are the upper ends of theirs.", run.Bins))
	p.Reliable = []figure{diagram, histogram}
	return err
}

// dataURI is a picture inside the page.
func dataURI(m image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 82}); err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

func (p *page) settings() {
	r := p.Result
	fields := r.Spec.Fields()
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		p.Settings = append(p.Settings, pair{k, strings.Trim(fields[k], `"`)})
	}
	more := map[string]string{"model": r.Model, "device": r.Device, "program": r.Program, "spec_sha256": r.SpecHash, "file_sha256": r.FileSum}
	for k, v := range r.Figures {
		more[k] = fmt.Sprintf("%.4g", v)
	}
	if r.TrainRate > 0 {
		more["training images/s"] = fmt.Sprintf("%.1f", r.TrainRate)
	}
	if r.EvalRate > 0 {
		more["evaluation images/s"] = fmt.Sprintf("%.1f", r.EvalRate)
	}
	for _, k := range slices.Sorted(maps.Keys(more)) {
		p.Settings = append(p.Settings, pair{k, more[k]})
	}
}
