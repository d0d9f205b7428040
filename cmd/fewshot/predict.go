package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fewshot/cmd/fewshot/internal/predict"
	"fewshot/datasets"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var predictCommand = command{
	example: `fewshot predict -model ViT-B/16 -tuned runs/pets photos
fewshot predict -model ViT-B/16 -tuned runs/pets -0 -keep-going -out predictions.jsonl -`,
	name: "predict", args: "image|folder|- …", summary: "classify images that have no labels, into CSV or JSON lines",
	about: `Writes a row for each image, in the order in which they are given: path, class, probability, margin to the second class,
energy and logit, and further classes with -top. Folders are walked, and - reads a list of paths from standard input.
Classes are those that a run was trained on, or of -classes-file, or of a -dataset. With -out a file is written that -resume
goes on with, to the same bytes. docs/predict.md says what columns mean and how odd names are written.`,
	setup: setupPredict,
}

type predictFlags struct {
	device deviceFlags
	model  modelFlags
	data   dataFlags

	mask, tuned   string
	force         bool
	classesFile   string
	format        string
	top           int
	batch         int
	decoders      int
	nul           bool
	out           string
	resume, going bool
	calibrate     string
	temperature   float64
}

func setupPredict(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f predictFlags
	f.model.declare(fs)
	f.data.declare(fs)
	f.data.declareTemplate(fs)
	f.device.tests(fs)
	fs.StringVar(&f.mask, "mask", "", "mask `file` to predict under, or the folder of the run that wrote it")
	fs.StringVar(&f.tuned, "tuned", "", "tuned `file` to predict with, or the folder of its run, a mask's too; with -mask where it was trained under one")
	fs.BoolVar(&f.force, "force", false, "use prompts, activation or preprocessing that contradict the file")
	fs.StringVar(&f.classesFile, "classes-file", "", "`file` of class names, one a line (default those that the run was trained on)")
	fs.StringVar(&f.format, "format", "", "csv or jsonl (default by the ending of -out, else csv)")
	fs.IntVar(&f.top, "top", 1, "likeliest classes a row")
	fs.IntVar(&f.batch, "batch-size", 32, "images a batch, and rows written at a time")
	fs.IntVar(&f.decoders, "decoders", 0, "images decoded at the same time, 0 for one a core")
	fs.BoolVar(&f.nul, "0", false, "the list on standard input has a zero byte behind each path, as find -print0 writes it")
	fs.StringVar(&f.out, "out", "", "`file` to write, in place of standard output")
	fs.BoolVar(&f.resume, "resume", false, "go on with the file of -out, if it is there, behind its last whole row")
	fs.BoolVar(&f.going, "keep-going", false, "give an image that cannot be read a row that says why, and go on; the exit code is 1 at the end")
	fs.StringVar(&f.calibrate, "calibrate", "", "fit the temperature of the probabilities to the validation images of a data set, as `DATASET/val`")
	fs.Float64Var(&f.temperature, "temperature", 1, "number by which logits are divided before they become probabilities")
	return func(ctx context.Context, u *ui, args []string) error {
		if err := f.check(u, args); err != nil {
			return err
		}
		return f.run(ctx, u, args)
	}
}

// check refuses flags that do not go together.
func (f *predictFlags) check(u *ui, args []string) error {
	if f.format == "" {
		f.format = "csv"
		if strings.EqualFold(filepath.Ext(f.out), ".jsonl") || f.out == "" && u.json {
			f.format = "jsonl"
		}
	}
	lists := 0
	for _, a := range args {
		if a == "-" {
			lists++
		}
	}
	switch {
	case len(args) == 0:
		return usagef("nothing to predict: give images, folders, or - for a list of paths on standard input")
	case lists > 1:
		return usagef("standard input can be read once: give - once")
	case f.nul && lists == 0:
		return usagef("-0 is about the list on standard input: give - for it")
	case f.format != "csv" && f.format != "jsonl":
		return usagef("-format %q: csv or jsonl", f.format)
	case f.format == "csv" && f.out == "" && u.json:
		return usagef("-json prints JSON, and -format csv does not: give -out, or -format jsonl")
	case f.top < 1 || f.top > mostGuesses:
		return usagef("-top %d: 1 to %d classes", f.top, mostGuesses)
	case f.batch < 1 || f.batch > run.MaxEvalBatch || f.decoders < 0 || f.decoders > run.MaxDecoders:
		return usagef("-batch-size %d, -decoders %d: 1 to %d images a batch, 0 to %d decoders", f.batch, f.decoders, run.MaxEvalBatch, run.MaxDecoders)
	case f.resume && f.out == "":
		return usagef("-resume goes on with a file: give -out")
	case f.classesFile != "" && f.data.name != "":
		return usagef("-classes-file and -dataset both say what the classes are: leave one out")
	case f.classesFile == "" && f.data.name == "" && f.mask == "" && f.tuned == "":
		return usagef("what are the classes? Give -tuned or -mask of a run, -classes-file or -dataset")
	case f.calibrate != "" && f.temperature != 1:
		return usagef("-calibrate fits the temperature that -temperature gives: leave one out")
	case !(f.temperature >= 1e-6 && f.temperature <= 1e6):
		return usagef("-temperature %g: a positive number, from 1e-6 to 1e6; above 1 probabilities are less sure", f.temperature)
	}
	if f.calibrate != "" {
		_, err := f.calibrationSet()
		return err
	}
	return nil
}

const mostGuesses = 1000

// predictSettings determine the rows, whatever the images: those that an output file is gone on with must be these.
type predictSettings struct {
	Model       clip.Spec       `json:"model"`
	Compute     run.ComputeSpec `json:"compute"`
	Mask        string          `json:"mask_sha256,omitempty"`
	Tuned       string          `json:"tuned_sha256,omitempty"`
	Spec        string          `json:"spec_sha256,omitempty"` // of the run that wrote the last of these
	Classes     []string        `json:"classes"`
	Templates   []string        `json:"templates"`
	Prompts     string          `json:"prompts_sha256"`
	Format      string          `json:"format"`
	Top         int             `json:"top"`
	Batch       int             `json:"batch_size"`
	Temperature float64         `json:"temperature"`
	Calibration *calibration    `json:"calibration,omitempty"`
}

// calibration is what a temperature was fitted to, and what came of it.
type calibration struct {
	Dataset string `json:"dataset"`
	Split   string `json:"split_sha256"`
	Val     string `json:"val_sha256"`
	run.Calibration
}

// predictResult is the last line of -json.
type predictResult struct {
	Kind        string       `json:"kind"`
	Model       string       `json:"model"`
	Mask        string       `json:"mask,omitempty"`
	Tuned       string       `json:"tuned,omitempty"`
	NumClass    int          `json:"num_classes"`
	Out         string       `json:"out,omitempty"`
	Format      string       `json:"format"`
	Images      int          `json:"images"`  // rows, those of processes before among them
	Failed      int          `json:"failed"`  // of these, without a prediction
	Resumed     int          `json:"resumed"` // rows of processes before
	Temperature float64      `json:"temperature"`
	Calibration *calibration `json:"calibration,omitempty"`
	Forced      []string     `json:"forced,omitempty"`
	Rate        float64      `json:"images_per_second"`
	Seconds     float64      `json:"seconds"`
	Device      string       `json:"device"`
	Program     string       `json:"program"`
}

func (r *predictResult) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d classes", count(r.Images, "image"), r.NumClass)
	switch {
	case r.Resumed > 0 && r.Resumed == r.Images:
		fmt.Fprint(w, ", all of them before")
	case r.Resumed > 0:
		fmt.Fprintf(w, ", %.1f images/s, %d of them before", r.Rate, r.Resumed)
	default:
		fmt.Fprintf(w, ", %.1f images/s", r.Rate)
	}
	if r.Failed > 0 {
		fmt.Fprintf(w, ", %d without a prediction", r.Failed)
	}
	if r.Out != "" {
		fmt.Fprintf(w, ": %s", r.Out)
	}
	fmt.Fprintln(w)
}

func (f *predictFlags) run(ctx context.Context, u *ui, args []string) error {
	start := time.Now()
	say := u
	if f.out == "" && !u.json { // where rows go nothing else does
		people := *u
		people.out, people.terminal = u.errw, false
		say = &people
	}
	input, err := f.input(say, args)
	if err != nil {
		return err
	}
	loaded, err := run.OpenLoaded(f.mask, f.tuned)
	if err != nil {
		return err
	}
	defer loaded.Close()
	ds, err := f.classes(ctx, say, loaded)
	if err != nil {
		return err
	}
	templates, err := f.templates(loaded, ds)
	if err != nil {
		return err
	}
	val, err := f.validation(ctx, say, ds)
	if err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	f.model.Like = loaded.Model()
	m, err := f.model.open(ctx, dev, say)
	if err != nil {
		return err
	}
	request := run.Request{Dev: dev, Model: m, Data: ds, UI: say}
	cs, release, err := request.Apply(ctx, []*run.Trial{{Loaded: loaded, Templates: templates}}, f.force)
	defer release()
	if err != nil {
		return err
	}
	c := cs[0]
	if m.Image.Gains(f.batch) && input.count != 1 {
		m.Image.Pack(false)
	}
	s, err := f.settings(dev, m, loaded, ds, templates)
	if err != nil {
		return err
	}
	if val != nil {
		if s.Calibration, err = f.fit(ctx, say, dev, m, c, ds, val); err != nil {
			return err
		}
		s.Temperature = s.Calibration.Temperature
	}
	format := predict.Format{JSONL: f.format == "jsonl", Top: s.Top}
	p := &predictor{flags: f, ui: say, settings: s, format: format, write: func(b []byte) error { _, err := u.out.Write(b); return err }}
	if f.out != "" {
		if p.out, err = predict.Open(f.out, format, s, f.resume); err != nil {
			return err
		}
		defer p.out.Close()
		p.write = p.out.Write
		if p.rows = p.out.Before.Rows; p.rows > 0 {
			say.Note("%s has %d rows; going on behind them", f.out, p.rows)
		}
	} else if err := p.write(format.Header()); err != nil {
		return err
	}
	p.again, p.before = p.rows%f.batch, p.rows
	began := time.Now()
	if err := p.all(ctx, dev, m.Transform, c, input); err != nil {
		if ctx.Err() != nil && f.out != "" {
			say.Warn("interrupted after %s; go on with -resume and the same settings", count(p.rows, "image"))
		}
		return err
	}
	if p.rows == 0 {
		say.Warn("there were no images")
	}
	r := &predictResult{Kind: "result", Model: m.Name, NumClass: len(ds.Classes), Out: f.out, Format: f.format, Images: p.rows,
		Resumed: p.before, Temperature: s.Temperature, Calibration: s.Calibration, Forced: loaded.Forced, Device: dev.Describe(), Program: version()}
	if loaded.Mask != nil {
		r.Mask = loaded.Mask.Path
	}
	if loaded.Tuned != nil {
		r.Tuned = loaded.Tuned.Path
	}
	r.Failed = p.failed
	if p.out != nil {
		r.Failed += p.out.Before.Failed
	}
	r.Rate, r.Seconds = float64(r.Images-r.Resumed)/time.Since(began).Seconds(), time.Since(start).Seconds()
	if p.out != nil {
		if err := p.out.Finish(s, r); err != nil {
			return err
		}
	}
	if err := say.result(r, r.print); err != nil {
		return err
	}
	if r.Failed > 0 {
		return fmt.Errorf("%d of %d images have no prediction; their rows say why", r.Failed, r.Images)
	}
	return nil
}

// classes are a data set of the classes, and of the name of the training's data where they are the training's.
func (f *predictFlags) classes(ctx context.Context, u *ui, l *run.Loaded) (*datasets.Dataset, error) {
	spec, names := l.Trained()
	title := ""
	switch {
	case f.data.name != "":
		ds, err := f.data.whole(ctx)
		if err != nil {
			return nil, err
		}
		u.about(ds)
		return ds.Subset(f.data.classes)
	case f.data.classes != "all":
		return nil, usagef("-classes %s takes a part of a data set's classes: give -dataset", f.data.classes)
	case f.classesFile != "":
		var err error
		if names, err = datasets.ReadClassNames(f.classesFile); err != nil {
			return nil, err
		}
		if spec != nil && f.data.templates == nil && f.data.templateFile == "" && f.data.prompts == "" {
			title = spec.Data.Title // and of its prompts
		}
	case names == nil:
		return nil, usagef("the mask does not say what its classes are: give -classes-file, or the -dataset of the training")
	default:
		title = spec.Data.Title
	}
	if _, err := f.data.options(); err != nil { // reads the file of templates
		return nil, err
	}
	ds, err := datasets.OfClasses(title, names)
	if err != nil || f.data.prompts == "" {
		return ds, err
	}
	return ds.WithPrompts(f.data.prompts)
}

// templates are the prompts: those given, else those of the training, else the data set's.
func (f *predictFlags) templates(l *run.Loaded, ds *datasets.Dataset) ([]string, error) {
	templates, err := l.Templates(ds, f.data.templates, f.force)
	if err == nil {
		err = l.Prompts(ds, f.force)
	}
	return templates, err
}

func (f *predictFlags) settings(dev *tensor.Device, m *clip.Model, l *run.Loaded, ds *datasets.Dataset, templates []string) (*predictSettings, error) {
	spec, err := m.Spec()
	if err != nil {
		return nil, err
	}
	s := &predictSettings{Model: spec, Compute: run.ComputeOf(dev), Classes: ds.Classes, Templates: templates, Prompts: ds.PromptsHash(),
		Format: f.format, Top: min(f.top, len(ds.Classes)), Batch: f.batch, Temperature: f.temperature}
	if l.Mask != nil {
		s.Mask = l.Mask.Sum
	}
	if l.Tuned != nil {
		s.Tuned = l.Tuned.Sum
	}
	if trained, _ := l.Trained(); trained != nil {
		s.Spec = trained.Hash()
	}
	return s, nil
}

// calibrationSet is the data set that -calibrate names.
func (f *predictFlags) calibrationSet() (string, error) {
	name, part := filepath.Split(f.calibrate)
	if !slices.Contains([]string{"val", "valid", "validation", "dev"}, strings.ToLower(part)) {
		return "", usagef("-calibrate %s: a temperature is fitted to validation images: give DATASET/val", f.calibrate)
	}
	if name = strings.TrimRight(name, "/"+string(filepath.Separator)); name == "" { // the root, or the folder at hand
		return "", usagef("-calibrate %s: it names no data set: give DATASET/val", f.calibrate)
	}
	return name, nil
}

// validation opens the data set of -calibrate, and gives its validation images the labels that they have among the classes.
func (f *predictFlags) validation(ctx context.Context, u *ui, classes *datasets.Dataset) (*datasets.Dataset, error) {
	if f.calibrate == "" {
		return nil, nil
	}
	name, err := f.calibrationSet()
	if err != nil {
		return nil, err
	}
	d := f.data
	d.templates, d.templateFile, d.prompts, d.name = nil, "", "", name
	ds, err := d.whole(ctx)
	if err != nil {
		return nil, err
	}
	u.about(ds)
	if len(ds.Val) == 0 {
		return nil, fmt.Errorf("%s has no validation images to fit a temperature to; -split 0.7,0.1 divides some off where it has no parts", name)
	}
	label := map[string]int32{}
	for i, c := range classes.Classes {
		label[c] = int32(i)
	}
	ds.Val = slices.Clone(ds.Val)
	kept := ds.Val[:0]
	for _, it := range ds.Val {
		l, ok := label[it.Class]
		if !ok && f.data.classes == "all" {
			return nil, fmt.Errorf("%s has validation images of the class %q, which is none of those predicted", name, it.Class)
		}
		if ok {
			it.Label = l
			kept = append(kept, it)
		}
	}
	if ds.Val = kept; len(kept) == 0 {
		return nil, fmt.Errorf("%s has no validation images of the classes predicted", name)
	}
	return ds, nil
}

// fit fits the temperature.
func (f *predictFlags) fit(ctx context.Context, u *ui, dev *tensor.Device, m *clip.Model, c train.Classifier, classes, ds *datasets.Dataset) (*calibration, error) {
	k := &calibration{Dataset: ds.Title, Split: ds.SplitHash()}
	var err error
	if k.Val, err = ds.Digest(ctx, ds.Val); err != nil {
		return nil, err
	}
	loader := run.Loader{Workers: f.decoders, Store: "host", Batch: f.batch}
	images := loader.InOrder(dev, u, m, ds, ds.Val, true)
	defer images.Close()
	advance, finish := u.Progress("calibrate", len(ds.Val))
	defer finish()
	var logits [][]float64
	var labels []int32
	for rows, err := range train.Logits(ctx, dev, c, images.Epoch(ctx, 0, 0)) {
		if err != nil {
			return nil, err
		}
		for _, z := range rows {
			if !allFinite(z) {
				return nil, fmt.Errorf("%s: validation image %d: %w", ds.Name, len(logits)+1, train.ErrLogits)
			}
			labels = append(labels, ds.Val[len(logits)].Label)
			logits = append(logits, z)
		}
		advance(len(logits), "")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k.Calibration, err = run.Calibrate(logits, labels); err != nil {
		return nil, fmt.Errorf("%s/val: %w", ds.Name, err)
	}
	finish()
	u.Note("temperature %.4g by %d validation images of %s: NLL %.4f -> %.4f, ECE %.2f %% -> %.2f %%",
		k.Temperature, k.Images, ds.Name, k.NLLBefore, k.NLL, 100*k.ECEBefore, 100*k.ECE)
	return k, nil
}

func allFinite(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// predictInput is the images.
type predictInput struct {
	paths iter.Seq2[string, error]
	count int // -1 where a list is to come
}

// input looks at what is named before any work is done, and counts it.
func (f *predictFlags) input(u *ui, args []string) (*predictInput, error) {
	in := &predictInput{}
	unread := 0
	var example string
	folders := map[string]bool{}
	for _, a := range args {
		if a == "-" {
			in.count = -1
			continue
		}
		info, err := os.Stat(a)
		switch {
		case err != nil && !f.going:
			_, err := datasets.ReadImage(a)
			return nil, err
		case err == nil && info.IsDir():
			folders[a] = true
			found := 0
			for _, err := range datasets.WalkImages(a, func(path string) { unread++; example = path }) {
				if err != nil && !f.going {
					return nil, fmt.Errorf("%w; -keep-going goes on without", err)
				}
				found++
			}
			if found == 0 {
				return nil, fmt.Errorf("%s: no images in this folder", a)
			}
			if in.count >= 0 {
				in.count += found
			}
		case in.count >= 0:
			in.count++
		}
	}
	if unread > 0 {
		u.Warn("pictures of kinds that are not read are passed over: %d, such as %s", unread, example)
	}
	in.paths = func(yield func(string, error) bool) {
		for _, a := range args {
			switch {
			case a == "-":
				for path, err := range predict.List(os.Stdin, f.nul) {
					if !yield(path, err) {
						return
					}
				}
			case folders[a]:
				for path, err := range datasets.WalkImages(a, nil) {
					if !yield(path, err) {
						return
					}
				}
			case !yield(a, nil):
				return
			}
		}
	}
	return in, nil
}

// predictor makes rows.
type predictor struct {
	flags    *predictFlags
	ui       *ui
	settings *predictSettings
	format   predict.Format
	write    func([]byte) error
	out      *predict.Output // nil for standard output

	rows, before int // written in all, and of these by processes before
	again        int // rows of the first batch that were written before
	failed       int
}

// all makes the rows of all images.
func (p *predictor) all(ctx context.Context, dev *tensor.Device, t datasets.Transform, c train.Classifier, in *predictInput) error {
	paths := p.out.After(in.paths, p.flags.batch)
	advance, finish := func(int, string) {}, func() {}
	if p.out != nil && in.count > 0 {
		advance, finish = p.ui.Progress("predict", in.count)
	}
	defer finish()
	began := time.Now()
	done := func() {
		rate := float64(p.rows-p.before) / max(time.Since(began).Seconds(), 1e-9)
		advance(p.rows, fmt.Sprintf("%.3g images/s", rate))
		if in.count < 0 {
			p.ui.Log("predict: %d images, %.3g images/s", p.rows, rate)
		}
	}
	var now *datasets.StreamBatch
	batches := func(yield func(train.Batch, error) bool) {
		for b, err := range datasets.Stream(ctx, paths, t, p.flags.batch, p.flags.decoders) {
			if err == nil && len(b.Pixels) == 0 {
				if err = p.batch(b.Images, nil); err == nil {
					done()
					continue
				}
			}
			if err != nil {
				yield(train.Batch{}, err)
				return
			}
			now = b
			labels := make([]int32, len(b.Pixels)/(3*t.Size*t.Size))
			if !yield(train.Batch{Pixels: b.Pixels, Labels: labels, Size: t.Size}, nil) {
				return
			}
		}
	}
	for logits, err := range train.Logits(ctx, dev, c, batches) {
		if err == nil {
			err = p.batch(now.Images, logits)
		}
		if err != nil {
			return err
		}
		done()
	}
	return ctx.Err()
}

// batch writes the rows of a batch, given the logits of those images that could be read.
func (p *predictor) batch(images []datasets.Streamed, logits [][]float64) error {
	var b []byte
	rows := 0
	var stop error
	for i, m := range images {
		var z []float64
		err := m.Err
		if err == nil {
			z, logits = logits[0], logits[1:]
			if !allFinite(z) {
				err = fmt.Errorf("%s: %w", m.Path, train.ErrLogits)
			}
		}
		if p.again > i {
			continue
		}
		if err != nil && !p.flags.going {
			stop = fmt.Errorf("%w; -keep-going goes on without", err)
			break
		}
		b = append(b, p.format.Encode(p.row(m.Path, z, err))...)
		rows++
		if err != nil {
			p.complain(err)
		}
	}
	p.again = 0
	if err := p.write(b); err != nil {
		return err
	}
	p.rows += rows
	return stop
}

func (p *predictor) row(path string, z []float64, err error) predict.Row {
	if err != nil {
		return predict.Row{Path: path, Err: strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	t := p.settings.Temperature
	return predict.NewRow(path, p.settings.Classes, p.settings.Top, z, run.Softmax(z, t), t, run.LogSumExp(z, t))
}

// complain names an image that could not be read, unless there are many.
func (p *predictor) complain(err error) {
	const most = 20
	switch p.failed++; {
	case p.failed <= most:
		p.ui.Warn("%v", err)
	case p.failed == most+1:
		p.ui.Warn("further images that have no prediction are named by their rows alone")
	}
}
