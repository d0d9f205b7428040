package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"fewshot/cmd/fewshot/internal/serve"
	"fewshot/rmt/run"
)

var serveCommand = command{
	example: "fewshot serve -model ViT-B/16 -tuned pets=runs/pets -tuned cars=runs/cars",
	name:    "serve", summary: "answer requests over HTTP: a page, Open Inference Protocol, Hugging Face's",
	about: `Holds one model and any number of masks and tuned files of it, and says which class an image is of: on a page at /, by the Open
Inference Protocol (v2, POST /v2/models/NAME/infer) and in the forms of Hugging Face's image-classification and
zero-shot-image-classification (POST /models/NAME); clip is the untouched model, for classes that come with the request.
It listens on this machine alone unless -listen says otherwise, asks nobody who they are, and speaks no TLS: what shall be
reached from elsewhere belongs behind a proxy that does both. SIGTERM and SIGINT let requests under way finish; SIGHUP looks
at -models again.`,
	hangup: true,
	setup:  setupServe,
}

// serveFlags are the tasks and limits of a server.
type serveFlags struct {
	device deviceFlags
	model  modelFlags
	opt    serve.Options
	config serve.Config
	files  map[string]*serve.Spec // by name, what -classes-file and -class-prompts say
}

func setupServe(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	f := serveFlags{opt: serve.Defaults(), files: map[string]*serve.Spec{}}
	f.model.declare(fs)
	f.device.tests(fs)
	fs.Func("tuned", "a task, as `NAME=FILE`: a tuned or mask file, or the folder of its run; may be given several times", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok || path == "" {
			return usagef("give a name and a file, as pets=runs/pets")
		}
		f.config.Tasks = append(f.config.Tasks, serve.Spec{Name: name, Tuned: path})
		return serve.CheckName(name)
	})
	fs.StringVar(&f.config.Folder, "models", "", "`folder` of further tasks: NAME/ as train leaves it, or NAME.safetensors")
	fs.Func("mask", "mask `file` that a tuned file was trained under, unless it is a task itself; may be given several times", func(s string) error {
		f.config.Masks = append(f.config.Masks, s)
		return nil
	})
	classes := func(s *serve.Spec) *string { return &s.Classes }
	f.declareOf(fs, "classes-file", "names of a task's classes, as `NAME=FILE` with one a line, where its file has none", classes)
	f.declareOf(fs, "class-names", "the same `NAME=FILE`, by the flag's former name", classes)
	f.declareOf(fs, "class-prompts", "prompts of a task's classes, as `NAME=FILE`, where it was trained with such", func(s *serve.Spec) *string { return &s.Prompts })
	o := &f.opt
	fs.StringVar(&o.Listen, "listen", o.Listen, "`address` and port; port 0 is any that is free")
	fs.Func("host", "further `name` that requests may be addressed to; may be given several times", func(s string) error {
		o.Hosts = append(o.Hosts, s)
		return nil
	})
	fs.BoolVar(&o.Control, "control", false, "let clients load and unload tasks")
	fs.IntVar(&o.Batch, "batch-size", o.Batch, "most images computed together")
	fs.IntVar(&o.Batch, "batch", o.Batch, "the same, by the flag's former name")
	fs.DurationVar(&o.Delay, "batch-delay", o.Delay, "how long an image may wait for others; for those being decoded also up to an eighth of a batch's time; 0 for none")
	fs.IntVar(&o.Queue, "queue", o.Queue, "most images that wait")
	fs.Int64Var(&o.Body, "max-body", o.Body, "most bytes of a request, also unpacked")
	fs.Int64Var(&o.Bodies, "max-bodies", o.Bodies, "most bytes of all requests at one time")
	fs.Int64Var(&o.Pixels, "max-pixels", o.Pixels, "most pixels of an image")
	fs.IntVar(&o.Images, "max-images", o.Images, "most images of a request")
	fs.IntVar(&o.Labels, "max-labels", o.Labels, "most classes that come with a request")
	fs.IntVar(&o.Connections, "connections", o.Connections, "most connections at one time")
	fs.DurationVar(&o.Header, "header-time", o.Header, "how long a request's header may take")
	fs.DurationVar(&o.Request, "request-time", o.Request, "how long a request may take")
	fs.DurationVar(&o.Drain, "drain-time", o.Drain, "how long requests under way may take when the server ends")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) > 0 {
			return usagef("unexpected argument %q", args[0])
		}
		if err := o.Validate(); err != nil {
			return usageError{err.Error()}
		}
		return f.run(ctx, u)
	}
}

// declareOf declares a flag that says something of a task.
func (f *serveFlags) declareOf(fs *flag.FlagSet, name, usage string, field func(*serve.Spec) *string) {
	fs.Func(name, usage, func(s string) error {
		task, path, ok := strings.Cut(s, "=")
		if !ok || path == "" {
			return usagef("give the name of a task and a file, as pets=classes.txt")
		}
		if f.files[task] == nil {
			f.files[task] = &serve.Spec{}
		}
		*field(f.files[task]) = path
		return nil
	})
}

// tasks joins what several flags say of one.
func (f *serveFlags) tasks() error {
	for name, more := range f.files {
		i := slices.IndexFunc(f.config.Tasks, func(s serve.Spec) bool { return s.Name == name })
		if i < 0 {
			return usagef("-classes-file and -class-prompts: there is no task %s by -tuned; in a folder of -models they lie beside its file, as classes.txt and class-prompts.json", name)
		}
		f.config.Tasks[i].Classes, f.config.Tasks[i].Prompts = more.Classes, more.Prompts
	}
	return nil
}

func (f *serveFlags) run(ctx context.Context, u *ui) error {
	if err := f.tasks(); err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	if len(f.config.Tasks) > 0 { // how the model is used, where its own files do not say
		t, err := run.OpenTuned(f.config.Tasks[0].Tuned)
		if err != nil {
			return err
		}
		t.Close()
		if t.Spec.Method != "" {
			f.model.Like = &t.Spec.Model
		}
	}
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return err
	}
	if dev.Precision() == "int8" { // of what no mask changes, for all tasks and for the untouched model
		if err := m.Image.Quantize(); err != nil {
			return err
		}
	}
	f.opt.Version = version()
	f.config.Dev, f.config.Model = dev, m
	f.config.Note = u.Note
	s, err := serve.New(f.config, f.opt)
	if err != nil {
		return err
	}
	l, err := s.Listen()
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1) // with room for one: whoever asks again before that is looked at, asks for the same
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	return s.Serve(ctx, l, hangups)
}
