package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"fewshot/datasets"
	"fewshot/datasets/synth"
)

// dataFlags choose a data set and what to take of it.
type dataFlags struct {
	root, name, template, classes string
	shots                         int
	seed                          uint64
}

// declare declares what every command needs that reads a data set.
func (d *dataFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&d.root, "data", "data", "`root` folder of the data sets, in CoOp's layout")
	fs.StringVar(&d.name, "dataset", "", "data set: "+strings.Join(datasets.Names(), ", ")+
		"; a folder of your own images (FOLDER/train/CLASS/*.jpg, FOLDER/test/CLASS/*.jpg); or synth:TASK, drawn on the fly ("+strings.Join(taskNames(), ", ")+"; things-shift and letters-shift are tested in another style)")
	fs.StringVar(&d.classes, "classes", "all", "which classes: all, base (the first half) or new (the rest)")
}

func (d *dataFlags) declareTemplate(fs *flag.FlagSet) {
	fs.StringVar(&d.template, "template", "", "prompt with {} for the class name (default: the data set's own)")
}

// declareSample declares which of the training images are taken.
func (d *dataFlags) declareSample(fs *flag.FlagSet) {
	fs.IntVar(&d.shots, "shots", 16, "labelled images per class; 0 for all")
	fs.Uint64Var(&d.seed, "seed", 1, "seed of the few-shot sample, the order of images and gradient dropout")
}

func taskNames() []string {
	var names []string
	for _, t := range synth.Tasks() {
		names = append(names, t.Name)
	}
	return names
}

// shiftSuffix after a task's name asks for its test images in another style, as ImageNet-Sketch is to ImageNet.
const shiftSuffix = "-shift"

// canonical is the name by which a data set of the table is known, however it was spelt.
func (d *dataFlags) canonical() string {
	if spec, ok := datasets.Lookup(d.name); ok {
		return spec.Name
	}
	return d.name
}

// open opens the data set, takes the shots (0 for all), then the classes.
func (d *dataFlags) open() (*datasets.Dataset, error) {
	if d.name == "" {
		return nil, usagef("-dataset is missing: which data set, folder or synth:TASK?")
	}
	ds, err := openDataset(d.root, d.name, d.template)
	if err != nil {
		return nil, err
	}
	if ds, err = ds.FewShot(d.shots, d.seed); err != nil {
		return nil, err
	}
	return ds.Subset(d.classes)
}

func openDataset(root, name, template string) (*datasets.Dataset, error) {
	var ds *datasets.Dataset
	var err error
	if task, ok := strings.CutPrefix(name, synthPrefix); ok {
		ds, err = synthetic(task)
	} else if s, statErr := os.Stat(name); statErr == nil && s.IsDir() && strings.ContainsAny(name, `/\.`) {
		return datasets.OpenFolder(name, template)
	} else {
		ds, err = datasets.Open(root, name)
	}
	if err == nil && template != "" {
		if !strings.Contains(template, "{}") {
			return nil, usagef("-template %q has no {} for the class name", template)
		}
		changed := *ds
		changed.Template, changed.Templates = template, []string{template}
		ds = &changed
	}
	return ds, err
}

// synthPrefix of -dataset means a task drawn on the fly.
const synthPrefix = "synth:"

// worldSeed draws the downstream tasks: it is the same for everybody, as a published data set would be.
const worldSeed = 2023

// synthetic draws a task of the synthetic world into memory, as encoded images.
func synthetic(name string) (*datasets.Dataset, error) {
	base, shifted := strings.CutSuffix(name, shiftSuffix)
	task, ok := synth.Lookup(base)
	if !ok || shifted && task.Shift == "" {
		return nil, usagef("-dataset synth:%s: there is no such task; there are %s", name, strings.Join(taskNames(), ", "))
	}
	draw := func(split string) ([]datasets.Item, error) {
		items := make([]datasets.Item, task.Len(split))
		rgb := make([]uint8, synth.Size*synth.Size*3)
		for i := range items {
			label := task.Item(rgb, worldSeed, split, i)
			png, err := synth.EncodePNG(rgb)
			if err != nil {
				return nil, fmt.Errorf("drawing %s: %w", name, err)
			}
			items[i] = datasets.Item{Label: int32(label), Data: png}
		}
		return items, nil
	}
	var splits [3][]datasets.Item
	test := "test"
	if shifted {
		test = "shift"
	}
	for i, s := range []string{"train", "val", test} {
		items, err := draw(s)
		if err != nil {
			return nil, err
		}
		splits[i] = items
	}
	return datasets.New(synthPrefix+name, "Synth"+strings.ToUpper(name[:1])+name[1:], task.Template, task.Classes, splits[0], splits[1], splits[2])
}
