package main

import (
	"context"
	"flag"
	"slices"

	"fewshot/datasets"
)

var zeroshotCommand = command{
	example: "fewshot zeroshot -model ViT-B/16 -data DATA -dataset oxford_pets",
	name:    "zeroshot", summary: "test the untouched model on a data set",
	about: `Classifies the test images by the cosine to the class names' text features, as CLIP does without training. With several
prompts a class's feature is the mean of the prompts' features, each of length 1, and made that long again.`,
	setup: setupZeroshot,
}

// ensemble is what -ensemble averages over: the data set's own ensemble if it has one, else the seven prompts that CLIP's
// authors chose for ImageNet, and the data set's prompt.
func ensemble(ds *datasets.Dataset) []string {
	if len(ds.Templates) > 1 {
		return ds.Templates
	}
	imagenet, _ := datasets.Lookup("imagenet")
	return append(slices.Clone(imagenet.Templates), ds.Template)
}

func setupZeroshot(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f evalFlags
	var average bool
	f.declare(fs)
	f.data.declareTemplate(fs)
	fs.BoolVar(&average, "ensemble", false, "average over several prompts: the data set's own ensemble, or the seven of CLIP's authors for ImageNet and the data set's prompt")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case average && (f.data.templates != nil || f.data.templateFile != "" || f.data.prompts != ""):
			return usagef("-ensemble and -template exclude each other")
		}
		return f.run(ctx, u, func(ds *datasets.Dataset) []string {
			if average {
				return ensemble(ds)
			}
			return f.data.templates
		})
	}
}
