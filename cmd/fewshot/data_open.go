package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/plan"
)

// dataFlags choose a data set and what to take of it.
type dataFlags struct {
	root, name, classes       string
	templates                 []string // given by flags
	templateFile, prompts     string
	split, classNames, sample string
	labelColumn               string
	splitSeed                 uint64
	level                     int
	shots                     int
	counts                    []int // all that -shots names
	several                   bool  // the command takes several
	seed                      uint64
	trains                    bool // the command trains on the images, not only tests
}

// declare declares what every command needs that reads a data set.
func (d *dataFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&d.root, "data", "data", "`root` folder of the data sets, in CoOp's layout")
	fs.StringVar(&d.name, "dataset", "", "data set: "+strings.Join(datasets.Names(), ", ")+
		"; a folder, table or Parquet file of your own images (docs/data.md says what is read); or synth:TASK, drawn on the fly ("+strings.Join(taskNames(), ", ")+"; things-shift, things-shift2 and letters-shift are tested in other styles)")
	d.declareReading(fs)
	fs.StringVar(&d.classes, "classes", "all", "which classes: all, base (the first half) or new (the rest)")
}

// declareReading declares how a folder of one's own is read.
func (d *dataFlags) declareReading(fs *flag.FlagSet) {
	fs.StringVar(&d.split, "split", "", "how your own folder is divided, if not by train and test: 0.8 (share for training), 0.7,0.1 (training, validation) or 1/5 (a fold for testing); default 0.5,0.2")
	fs.Uint64Var(&d.splitSeed, "split-seed", 1, "seed of that division")
	fs.StringVar(&d.classNames, "class-names", "", "`file` of folders or labels and what they are called (default classes.txt)")
	fs.StringVar(&d.labelColumn, "label-column", "", "`name` of the column of labels of a table (default the first that is called like one)")
	fs.IntVar(&d.level, "class-level", 0, "`number` of the level that is the classes, where folders lie in folders")
}

func (d *dataFlags) declareTemplate(fs *flag.FlagSet) {
	d.declareTemplates(fs)
	fs.StringVar(&d.templateFile, "template-file", "", "`file` of such prompts, one a line")
	fs.StringVar(&d.prompts, "class-prompts", "", "JSON `file` of prompts for each class, as CuPL has them, in place of -template")
}

func (d *dataFlags) declareTemplates(fs *flag.FlagSet) {
	fs.Func("template", "`prompt` with {} for the class, may be given several times; imagenet7, imagenet80: CLIP's ensembles (default the data set's)", func(s string) error {
		if all, ok := datasets.Ensembles()[s]; ok {
			d.templates = append(d.templates, all...)
			return nil
		}
		d.templates = append(d.templates, s)
		return nil
	})
}

// declareSample declares which of the training images are taken.
func (d *dataFlags) declareSample(fs *flag.FlagSet) {
	d.trains = true
	d.shots = 16
	fs.Var((*shots)(d), "shots", d.shotsUsage("labelled images per class; 0 for all"))
	fs.StringVar(&d.sample, "sample", "", "`file` of the training images (2SFS, cross_modal_adaptation), or lpclip: CoOp's linear probe's draw")
	fs.Uint64Var(&d.seed, "seed", 1, "seed of the few-shot sample, the order of images and gradient dropout")
}

// shotsUsage says that there may be several.
func (d *dataFlags) shotsUsage(s string) string {
	if d.several {
		return "`number` of " + s + "; several with commas make several runs"
	}
	return "`number` of " + s
}

// shots is the flag of that name: a number, or a list of them where the command takes several.
type shots dataFlags

// String makes it a flag.Value.
func (s *shots) String() string { return strconv.Itoa(s.shots) }

// Set makes it a flag.Value.
func (s *shots) Set(text string) error {
	s.counts = nil
	for _, w := range strings.Split(text, ",") {
		n, err := strconv.Atoi(w)
		if err != nil {
			if s.several {
				return errors.New("a whole number is wanted, or several with commas between them")
			}
			return errors.New("a whole number is wanted")
		}
		s.counts = append(s.counts, n)
	}
	if len(s.counts) > 1 && !s.several {
		return errors.New("this command takes one number")
	}
	s.shots = s.counts[0]
	return nil
}

func taskNames() []string {
	var names []string
	for _, t := range synth.Tasks() {
		names = append(names, t.Name)
	}
	return names
}

// shiftSplits are the test sets in other styles, by what follows the task's name: what ImageNet-Sketch is to ImageNet.
var shiftSplits = []string{"shift", "shift2"}

// canonical is the name by which a data set of the table is known, however it was spelt.
func (d *dataFlags) canonical() string {
	if spec, ok := datasets.Lookup(d.name); ok {
		return spec.Name
	}
	return d.name
}

// open opens the data set, takes the shots (0 for all), then the classes. What is left can be trained on, if the command does,
// and tested.
func (d *dataFlags) open(ctx context.Context) (*datasets.Dataset, error) {
	if d.shots < 0 {
		return nil, usagef("-shots %d: a number of images per class, or 0 for all", d.shots)
	}
	ds, err := d.whole(ctx)
	if err != nil {
		return nil, err
	}
	if d.trains {
		if err := ds.CanTrain(); err != nil {
			return nil, err
		}
	}
	if ds, err = d.draw(ds); err != nil {
		return nil, err
	}
	if ds, err = ds.Subset(d.classes); err != nil {
		return nil, err
	}
	if d.trains {
		return ds, ds.CanTrain() // without test images there is a mask, and no accuracy
	}
	return ds, ds.CanTest()
}

// whole opens the data set with all its images and classes.
func (d *dataFlags) whole(ctx context.Context) (*datasets.Dataset, error) {
	o, err := d.options()
	if err != nil {
		return nil, err
	}
	if d.name == "" {
		return nil, usagef("-dataset is missing: which data set, folder or synth:TASK?")
	}
	ds, err := openDataset(ctx, d.root, d.name, o)
	if err != nil || d.prompts == "" {
		return ds, err
	}
	return ds.WithPrompts(d.prompts)
}

// draw takes the training images that the flags ask for.
func (d *dataFlags) draw(ds *datasets.Dataset) (*datasets.Dataset, error) {
	switch d.sample {
	case "":
		return ds.FewShot(d.shots, d.seed)
	case plan.OfProbe:
		return ds.FewShotOfProbe(d.shots, d.seed)
	}
	ds, err := ds.Sample(d.sample)
	if err != nil {
		return nil, err
	}
	// Settings depend on the number of shots, and results are called by it.
	if n := ds.MostShots(); n != d.shots {
		return nil, usagef("-sample %s has %s of a class, -shots says %d: give -shots %d", quote.Plain(d.sample), words.Count(n, "training image"), d.shots, n)
	}
	return ds, nil
}

// options are those of the flags.
func (d *dataFlags) options() (o datasets.Options, err error) {
	o.ClassLevel, o.ClassNames, o.LabelColumn = d.level, d.classNames, d.labelColumn
	if d.level < 0 {
		return o, usagef("-class-level %d: 1 or more, or 0 for what the folders show", d.level)
	}
	if d.split != "" {
		if o.Division, err = datasets.ParseDivision(d.split, d.splitSeed); err != nil {
			return o, usagef("-split %v", err)
		}
	}
	if d.prompts != "" && (d.templates != nil || d.templateFile != "") {
		return o, usagef("-class-prompts takes the place of -template and -template-file: leave these out")
	}
	for _, t := range d.templates {
		if strings.Count(t, "{}") != 1 {
			return o, usagef("-template %s: the class name goes in once, where {} stands", quote.String(t))
		}
	}
	if d.templateFile != "" {
		more, err := datasets.ReadTemplates(d.templateFile)
		if err != nil {
			return o, err
		}
		// They are given once, whoever asks for them.
		d.templates, d.templateFile = append(d.templates, more...), ""
	}
	o.Templates = d.templates
	return o, nil
}

// chosen are the prompts for a data set that was opened: those of the flags, or its own.
func (d *dataFlags) chosen(ds *datasets.Dataset) []string {
	if d.templates != nil {
		return d.templates
	}
	return []string{ds.Template}
}

func openDataset(ctx context.Context, root, name string, o datasets.Options) (*datasets.Dataset, error) {
	task, ok := strings.CutPrefix(name, synthPrefix)
	if !ok {
		if err := drawnWithoutPrefix(root, name); err != nil {
			return nil, err
		}
		return datasets.OpenWith(root, name, o)
	}
	ds, err := synthetic(ctx, task)
	if err != nil || len(o.Templates) == 0 {
		return ds, err
	}
	return ds.WithTemplates(o.Templates...)
}

// drawnWithoutPrefix refuses what is no data set and would be a task of the synthetic world with the prefix that is missing.
func drawnWithoutPrefix(root, name string) error {
	_, _, task := lookupTask(name)
	if !task && name+":" != synthPrefix {
		return nil
	}
	if _, err := os.Stat(filepath.Join(root, name)); err == nil {
		return nil
	}
	if task {
		return usagef("-dataset %s: there is no such data set; the drawn task is called %s%s", name, synthPrefix, name)
	}
	return usagef("-dataset %s: which task? There are %s%s", name, synthPrefix, strings.Join(taskNames(), ", "+synthPrefix))
}

// about says what a person should know of a data set before its results.
func (u *ui) about(ds *datasets.Dataset) {
	for _, n := range ds.Notes {
		if u.json { // where people read
			io.WriteString(u.errw, quote.Text(fmt.Sprintf("%s: %s\n", ds.Name, n)))
		}
		u.Note("%s: %s", ds.Name, n)
	}
	for _, w := range ds.Warnings {
		u.Warn("%s: %s", ds.Name, w)
	}
}

// synthPrefix of -dataset means a task drawn on the fly.
const synthPrefix = "synth:"

// worldSeed draws the downstream tasks: it is the same for everybody, as a published data set would be.
const worldSeed = 2023

// lookupTask finds a task, and which of its test sets a name means.
func lookupTask(name string) (task synth.Task, test string, ok bool) {
	base, test := name, "test"
	for _, s := range shiftSplits {
		if of, ok := strings.CutSuffix(name, "-"+s); ok {
			base, test = of, s
		}
	}
	task, ok = synth.Lookup(base)
	return task, test, ok && task.Len(test) > 0
}

// synthetic draws a task of the synthetic world into memory, as encoded images.
func synthetic(ctx context.Context, name string) (*datasets.Dataset, error) {
	task, test, ok := lookupTask(name)
	if !ok {
		return nil, usagef("-dataset synth:%s: there is no such task; there are %s", name, strings.Join(taskNames(), ", "))
	}
	draw := func(split string) ([]datasets.Item, error) {
		items := make([]datasets.Item, task.Len(split))
		rgb := make([]uint8, synth.Size*synth.Size*3)
		for i := range items {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
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
	for i, s := range []string{"train", "val", test} {
		items, err := draw(s)
		if err != nil {
			return nil, err
		}
		splits[i] = items
	}
	return datasets.New(synthPrefix+name, "Synth"+strings.ToUpper(name[:1])+name[1:], task.Template, task.Classes, splits[0], splits[1], splits[2])
}
