package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// calibration is what a temperature was fitted to, and what came of it.
type calibration struct {
	Dataset string `json:"dataset"`
	Split   string `json:"split_sha256"`
	Val     string `json:"val_sha256"`
	run.Calibration
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
	u.Note("temperature %.4g by %s of %s: NLL %.4f -> %.4f, ECE %.2f %% -> %.2f %%",
		k.Temperature, words.Count(k.Images, "validation image"), ds.Name, k.NLLBefore, k.NLL, 100*k.ECEBefore, 100*k.ECE)
	return k, nil
}

func allFinite(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}
