package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fewshot/nn/quote"
	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

var verifyCommand = command{
	example: `fewshot verify runs/pets
fewshot verify runs/pets -model ViT-B-16.pt -data /where/it/is/now
fewshot verify -anchors -model ViT-B/16 -data DATA`,
	name: "verify", args: "[RUN]", summary: "make a run again and compare the bytes",
	about: `Trains again what a run's result.json says, in a folder of its own, and compares what was learned and the figures. Model,
data and settings are those of then; flags say where files are now, and weights or images that are others are refused. The exit
code is 0 if bytes and figures are the same and 1 if they are not; then it says how far the bytes are apart, and what differs that
may be why, as the kind of processor. With -anchors it compares zero-shot accuracies of OpenAI's models with the published ones:
the first thing to run where there is real data. The exit code is 0 if all that could be measured agree.`,
	setup: setupVerify,
}

// errDiffers says that a run, made again, left something else.
var errDiffers = errors.New("the run, made again, did not leave the same bytes")

func setupVerify(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f trainFlags
	f.model.declare(fs)
	f.data.declare(fs)
	f.data.declareTemplate(fs)
	f.data.declareSample(fs)
	f.micro.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	fs.StringVar(&f.mask, "mask", "", "mask `file` under which the run was trained, or the folder of its run (default: where result.json says)")
	fs.StringVar(&f.out, "out", "", "`folder` to keep the second run in (default: it is removed)")
	fs.BoolVar(&f.resume, "resume", false, "go on with the second run in that folder")
	fs.DurationVar(&f.every, "save-every", 2*time.Minute, "how often to write a checkpoint to resume from")
	anchors := fs.Bool("anchors", false, "measure the zero-shot accuracies of -model on what there is in -data, and compare them with the published ones")
	baseToNew := fs.Bool("base-to-new", false, "with -anchors, those of base and new classes too")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case *anchors && len(args) > 0:
			return usagef("-anchors is about -model and -data, and no run: leave %q out", args[0])
		case *anchors:
			return f.anchors(ctx, u, *baseToNew)
		case *baseToNew:
			return usagef("-base-to-new is for -anchors")
		case len(args) != 1:
			return usagef("give one run, not %d", len(args))
		}
		if f.resume && f.out == "" {
			return usagef("-resume goes on with the run in -out, which is missing")
		}
		r, folder, err := run.ReadResult(args[0])
		if err != nil {
			return err
		}
		if err := asThen(fs, r); err != nil {
			return err
		}
		f.flags = flagsOf(r)
		return f.verify(ctx, u, r, folder)
	}
}

func (f *trainFlags) verify(ctx context.Context, u *ui, r *run.Result, folder string) error {
	if err := f.loader.validate(); err != nil {
		return err
	}
	m, settings, err := r.Again()
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(folder, run.ResultName), err)
	}
	f.model.Like = &r.Spec.Model
	request, close, err := f.request(ctx, u, m, func() (method.Settings, error) { return settings, nil })
	if err != nil {
		return err
	}
	defer close()
	request.Select = r.Spec.Select
	if request.Variants, err = r.Variants(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(folder, run.ResultName), err)
	}
	parts, known := r.Spec.Compute.MicroBatch, r.Spec.Compute.MicroBatch > 0
	if c, ok := settings.(*rmt.Config); ok {
		parts, known = c.MicroBatch, true
	}
	if known && request.Variants == nil { // in the spec, and so what was used
		request.Micro = func(int) int { return parts }
	}
	if request.Out == "" {
		dir, err := os.MkdirTemp("", "fewshot-verify-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		request.Out = filepath.Join(dir, "run")
	}
	v, err := request.Verify(ctx, r, folder)
	if err != nil {
		return err
	}
	v.Out = f.out
	if err := u.result(v, v.Print); err != nil {
		return err
	}
	if v.Same && len(v.Figures) > 0 {
		return fmt.Errorf("%s: made again, the run left the same bytes, but not what %s says: %s", quote.Plain(folder), run.ResultName, strings.Join(v.Figures, "; "))
	}
	if !v.Same {
		return fmt.Errorf("%s: %w", quote.Plain(folder), errDiffers)
	}
	return nil
}
