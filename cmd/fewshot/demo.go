package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"fewshot/cmd/fewshot/internal/draw"
	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var demoCommand = command{
	example: "fewshot demo",
	name:    "demo", summary: "zero-shot, AMT and R-AMT on a synthetic task, in a minute (the default command)",
	about: `Adapts the small CLIP that is embedded in this program to tasks drawn on the fly, and prints a table: accuracy on the
test images, its change, sparsity, size of the mask file, images per second. Nothing is downloaded, and nothing is written but
the file that -figure names. The model and its world are this project's own; the figures say nothing about CLIP itself.
With -tasks all -seeds 1,2,3 it measures every task; with -base-to-new it trains on the first half of the classes and tests on
both halves.`,
	setup: setupDemo,
}

// demoFlags are the settings of a demonstration.
type demoFlags struct {
	device        deviceFlags
	loader        loaderFlags
	tasks, seeds  string
	methods       string
	shots         int
	epochs, batch int
	travel        float64
	baseToNew     bool
	split, figure string
	outputs       outputs
}

// The demonstration's settings, chosen on validation images. Small batches matter: tasks of a few hundred images that are seen 32 at
// a time give gradients so steady that great numbers of weights cross the threshold in the same step. The published learning
// rate is for data sets of very different sizes; here every task gets the rate that lets its scores travel equally far.
const (
	demoTask   = "things"
	demoEpochs = 15
	demoBatch  = 8
	demoTravel = 5
)

func setupDemo(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f demoFlags
	fs.StringVar(&f.tasks, "tasks", demoTask, "comma-separated tasks, or all: "+strings.Join(taskNames(), ", "))
	fs.StringVar(&f.methods, "methods", "amt,r-amt", "comma-separated methods")
	fs.StringVar(&f.seeds, "seeds", "1", "comma-separated seeds of the few-shot sample and the training")
	fs.IntVar(&f.shots, "shots", 16, "labelled images per class")
	fs.IntVar(&f.epochs, "epochs", demoEpochs, "epochs of training with 16 shots; with fewer as many more, so that steps are as many")
	fs.Float64Var(&f.travel, "travel", demoTravel, "travel ratio that sets Adam's learning rate for each task: how often a score could go from its start to the threshold")
	fs.IntVar(&f.batch, "batch-size", demoBatch, "images a step")
	fs.StringVar(&f.split, "split", "test", "images to measure on: test, or val for choosing settings")
	fs.BoolVar(&f.baseToNew, "base-to-new", false, "train on the first half of the classes, test on both halves")
	fs.StringVar(&f.figure, "figure", "", "draw the accuracies, with examples of each task, into this SVG or PNG `file`")
	f.outputs.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) > 0 {
			return usagef("unexpected argument %q", args[0])
		}
		return f.run(ctx, u)
	}
}

// demoResult is one row: a method on a task with a seed.
type demoResult struct {
	Kind     string  `json:"kind"`
	Task     string  `json:"task"`
	Classes  int     `json:"num_classes"`
	Seed     uint64  `json:"seed"`
	Method   string  `json:"method"`
	Accuracy float64 `json:"accuracy"` // of all classes, or of the base classes
	New      float64 `json:"new,omitempty"`
	Percent  float64 `json:"sparsity_percent"`
	Bytes    int64   `json:"mask_bytes"`
	Rate     float64 `json:"train_images_per_second"`
}

func (f *demoFlags) run(ctx context.Context, u *ui) error {
	if err := f.loader.validate(); err != nil {
		return err
	}
	tasks := strings.Split(f.tasks, ",")
	if f.tasks == "all" {
		tasks = taskNames()
	}
	seeds, err := seedList(f.seeds)
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if _, _, ok := lookupTask(task); !ok {
			return usagef("-tasks %s: there is no task %q; there are all, or of %s", f.tasks, task, strings.Join(taskNames(), ", "))
		}
	}
	for _, name := range strings.Split(f.methods, ",") {
		if _, err := run.Lookup(name); err != nil {
			return usagef("-methods %s: %v", f.methods, err)
		}
	}
	switch {
	case !(f.travel > 0):
		return usagef("-travel %g: a positive ratio", f.travel)
	case f.batch < 1 || f.epochs < 1:
		return usagef("-batch-size %d, -epochs %d: at least 1", f.batch, f.epochs)
	case f.shots < 0:
		return usagef("-shots %d: a number of images, or 0 for all", f.shots)
	}
	if f.split != "test" && f.split != "val" {
		return usagef("-split %q: test or val", f.split)
	}
	if err := f.outputs.picture("figure", f.figure); err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	m, err := (&modelFlags{Options: clip.Options{Path: clip.Embedded}}).open(ctx, dev, u)
	if err != nil {
		return err
	}
	u.Note("fewshot: learning which weights of a small CLIP to switch off, from %d labelled images per class", f.shots)
	u.Note("model: embedded, %d pixels, %d parameters, pre-trained on a synthetic world; device: %s\n", m.Image.Sizes().Image, m.Parameters(), dev.Describe())
	var rows []demoResult
	for _, task := range tasks {
		ds, err := synthetic(ctx, task)
		if err != nil {
			return err
		}
		for _, seed := range seeds {
			r, err := f.task(ctx, u, dev, m, ds, seed)
			if err != nil {
				return err
			}
			rows = append(rows, r...)
		}
	}
	if f.figure != "" {
		drawn, err := figure(rows, f.title(len(seeds)))
		if err == nil {
			err = f.outputs.over("figure", f.figure)
		}
		if err == nil {
			err = draw.WriteFile(f.figure, drawn)
		}
		if err != nil {
			return err
		}
	}
	return u.result(map[string]any{"kind": "result", "synthetic": true, "shots": f.shots, "rows": rows, "mean": f.means(rows)}, func(w io.Writer) { f.print(w, rows) })
}

// title is the figure's.
func (f *demoFlags) title(seeds int) string {
	title := fmt.Sprintf("synthetic tasks, %s, a small CLIP of this project's own", words.Count(f.shots, "shot"))
	if seeds > 1 {
		title += fmt.Sprintf("; mean and standard deviation of %d seeds", seeds)
	}
	return title
}

// task measures zero-shot and every method on one task with one seed.
func (f *demoFlags) task(ctx context.Context, u *ui, dev *tensor.Device, m *clip.Model, ds *datasets.Dataset, seed uint64) ([]demoResult, error) {
	ds, err := ds.FewShot(f.shots, seed)
	if err != nil {
		return nil, err
	}
	var parts []*datasets.Dataset // what is trained on, then what else is tested
	for _, classes := range []string{"all", "base", "new"} {
		if f.baseToNew == (classes == "all") {
			continue
		}
		p, err := ds.Subset(classes)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	var rows []demoResult
	// measure tests what makes a classifier of each part's classes.
	measure := func(r demoResult, classifier func(classes []string) (train.Classifier, error)) error {
		for i, p := range parts {
			items := p.Test
			if f.split == "val" {
				items = p.Val
			}
			c, err := classifier(p.Classes)
			if err != nil {
				return err
			}
			images := f.loader.InOrder(dev, u, m, p, items, true)
			a, err := run.Evaluate(ctx, u, "testing "+r.Method+" on "+r.Task, dev, c, images)
			images.Close()
			if err != nil {
				return err
			}
			if i == 0 {
				r.Accuracy = a.Accuracy
			} else {
				r.New = a.Accuracy
			}
		}
		rows = append(rows, r)
		return u.Event(r)
	}
	request := run.Request{Dev: dev, Model: m, Data: parts[0], Templates: []string{ds.Template}, Shots: f.shots, Seed: seed, Loader: f.loader.Loader, UI: u,
		Micro: func(int) int { return 0 }}
	row := demoResult{Kind: "row", Task: strings.TrimPrefix(ds.Name, "synth:"), Classes: len(parts[0].Classes), Seed: seed, Method: "zero-shot"}
	job, release := request.Job(false)
	defer release()
	err = measure(row, func(classes []string) (train.Classifier, error) {
		head, err := job.HeadOf(ctx, classes)
		return train.Model{Encoder: m.Image, Head: head}, err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Split(f.methods, ",") {
		if row.Method, err = name, f.train(ctx, u, request, name, row, measure); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// train measures a method that is trained on the request's data.
func (f *demoFlags) train(ctx context.Context, u *ui, r run.Request, name string, row demoResult, measure func(demoResult, func([]string) (train.Classifier, error)) error) error {
	m, err := run.Lookup(name)
	if err != nil {
		return usageError{err.Error()}
	}
	if r.Settings, err = m.Defaults(method.Task{Published: true, Dataset: r.Data.Name, Shots: f.shots, BaseToNew: f.baseToNew, Recipe: "paper"}); err != nil {
		return usageError{err.Error()}
	}
	if c, ok := r.Settings.(*rmt.Config); ok {
		// In as many epochs of fewer images the rate for that travel would be so high that far too many weights go at once.
		c.Epochs, c.Batch = f.epochs*max(16/max(f.shots, 1), 1), f.batch
		c.LR = c.LRForTravel(max(len(r.Data.Train)/f.batch, 1), f.travel)
	}
	if err := r.Settings.Validate(); err != nil {
		return usageError{err.Error()}
	}
	job, release := r.Job(false)
	defer release()
	t, err := m.Begin(ctx, job)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := run.Train(ctx, u, name+" on "+row.Task, t); err != nil {
		return err
	}
	row.Method = name
	if t.Run != nil {
		row.Rate = t.Run.Rate()
	}
	if masks := run.MasksOf(t.Learned); masks != nil {
		row.Percent = rmt.SparsityOf(masks).Percent()
	}
	var size countingWriter
	if err := run.WriteLearned(&size, t.Learned, r.Model.Digest); err != nil {
		return err
	}
	row.Bytes = int64(size)
	return measure(row, func(classes []string) (train.Classifier, error) { return t.Learned.Classifier(ctx, classes) })
}

// countingWriter counts bytes.
type countingWriter int64

func (c *countingWriter) Write(p []byte) (int, error) {
	*c += countingWriter(len(p))
	return len(p), nil
}

// means averages over tasks and seeds, by method.
func (f *demoFlags) means(rows []demoResult) []demoResult {
	var order []string
	sums := map[string]*demoResult{}
	n := map[string]float64{}
	for _, r := range rows {
		s := sums[r.Method]
		if s == nil {
			s = &demoResult{Kind: "mean", Method: r.Method}
			sums[r.Method] = s
			order = append(order, r.Method)
		}
		n[r.Method]++
		s.Accuracy += r.Accuracy
		s.New += r.New
		s.Percent += r.Percent
		s.Bytes += r.Bytes
		s.Rate += r.Rate
	}
	var out []demoResult
	for _, m := range order {
		s, k := sums[m], n[m]
		s.Accuracy, s.New, s.Percent, s.Bytes, s.Rate = s.Accuracy/k, s.New/k, s.Percent/k, int64(float64(s.Bytes)/k), s.Rate/k
		out = append(out, *s)
	}
	return out
}

func (f *demoFlags) print(w io.Writer, rows []demoResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	measured := "accuracy\tchange"
	if f.baseToNew {
		measured = "base\tchange\tnew\tchange\tH"
	}
	fmt.Fprintf(t, "task\tseed\tmethod\t%s\tsparsity\tmask\timages/s\t\n", measured)
	line := func(r, zero demoResult, task, seed string) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f %%\t", task, seed, r.Method, r.Accuracy)
		tuned := r.Method != "zero-shot"
		change := func(now, before float64) {
			if tuned {
				fmt.Fprintf(t, "%+.1f", now-before)
			}
			fmt.Fprint(t, "\t")
		}
		change(r.Accuracy, zero.Accuracy)
		if f.baseToNew {
			fmt.Fprintf(t, "%.1f %%\t", r.New)
			change(r.New, zero.New)
			fmt.Fprintf(t, "%.1f\t", 2*r.Accuracy*r.New/max(r.Accuracy+r.New, 1e-9))
		}
		if tuned {
			fmt.Fprintf(t, "%.2f %%\t%.1f kB\t%.0f\t\n", r.Percent, float64(r.Bytes)/1000, r.Rate)
		} else {
			fmt.Fprint(t, "\t\t\t\n")
		}
	}
	var zero demoResult
	for _, r := range rows {
		if r.Method == "zero-shot" {
			zero = r
		}
		line(r, zero, fmt.Sprintf("%s (%s)", r.Task, words.Count(r.Classes, "class")), strconv.FormatUint(r.Seed, 10))
	}
	if means := f.means(rows); len(rows) > len(means) {
		for _, r := range means {
			line(r, means[0], "mean", "")
		}
	}
	t.Flush()
	fmt.Fprint(w, `
A synthetic world and a small model of this project's own: no figure here compares with published ones.

Next:
  fewshot demo -tasks all -seeds 1,2,3                 every task, three seeds
  fewshot train -dataset synth:letters -out my-run     one task, with a mask file and result.json
  fewshot train -model ViT-B-16.pt -data DATA -dataset oxford_pets -shots 16
  fewshot help
`)
}
