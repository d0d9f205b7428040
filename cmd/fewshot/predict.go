package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fewshot/cmd/fewshot/internal/predict"
	"fewshot/nn/words"
	"fewshot/rmt/run"
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
		if f.data.name == "" && f.calibrate == "" {
			var err error
			fs.Visit(func(g *flag.Flag) {
				if slices.Contains([]string{"split", "split-seed", "class-names", "label-column", "class-level"}, g.Name) {
					err = usagef("-%s is about a data set: give -dataset", g.Name)
				}
			})
			if err != nil {
				return err
			}
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
	request := run.Request{Dev: dev, Model: m, Data: ds, UI: say, Own: true}
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
			say.Note("%s has %s; going on behind", f.out, words.Count(p.rows, "row"))
		}
	} else if err := p.write(format.Header()); err != nil {
		return err
	}
	p.again, p.before = p.rows%f.batch, p.rows
	began := time.Now()
	if err := p.all(ctx, dev, m.Transform, c, input); err != nil {
		if ctx.Err() != nil && f.out != "" {
			say.Warn("interrupted after %s; go on with -resume and the same settings", words.Count(p.rows, "image"))
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
		return fmt.Errorf("%d of %s; the rows say why", r.Failed, words.Plural(r.Images, "image has no prediction", "images have no prediction"))
	}
	return nil
}
