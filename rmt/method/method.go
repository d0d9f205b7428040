// Package method is what a method of few-shot adaptation is to the program: a row with a name, published settings, and how it
// begins on a job. Methods live in packages of their own (rmt, rmt/prompt, rmt/adapter, rmt/probe); their rows are listed in
// package rmt/run, and nothing else names them.
//
// A method that is trained by steps returns a [train.Run] over a learner of its own; one that solves for its result, as a linear
// probe does, returns none and does its work in Begin. Either leaves something [Learned]: tensors for the tuned file, and a
// classifier.
package method

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"

	"fewshot/nn/quote"
	"fewshot/optim"
	"fewshot/rmt/clip"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Method is a row of the table of methods.
type Method struct {
	Name    string
	Summary string // in a line, for -help

	// Defaults are the settings published for a task.
	Defaults func(Task) (Settings, error)

	// Settings reads settings from the JSON that the program made of them.
	Settings func(json []byte) (Settings, error)

	// Begin prepares the method on a job. It refuses, before any work, settings and data that do not go together.
	Begin func(ctx context.Context, j *Job) (*Training, error)

	// Validates says that results depend on the validation images.
	Validates bool

	// Peeks says that it chooses something by the images that it is then tested on, so that its accuracy is no estimate of anything.
	// Its name says so, and so does its result. Other methods are not shown the test images.
	Peeks bool

	// Epochs says whether one can be chosen among those of a run with some settings. Nil is the usual: [AnyEpoch].
	Epochs func(Settings) Epochs

	// Instead says what stands in the place of templates, as [LearnedContext], in a classifier for classes of what was learned for the classes
	// learned: "" where templates have their part in it, as with every method that has no Instead.
	Instead func(s Settings, learned, classes []string) string

	// Load makes what Begin leaves when it is done, from the tensors of a tuned file.
	Load func(ctx context.Context, j *Job, read func(name string) (*tensor.Tensor, error)) (Learned, error)
}

// What stands in the place of templates.
const (
	LearnedContext    = "learned context"
	LearnedClassifier = "learned classifier"
)

// Epochs says what there is to choose among.
type Epochs int

const (
	AnyEpoch  Epochs = iota // what is learned is there after each
	LastEpoch               // before the last there is not yet what the method learns
	NoEpochs                // it makes no steps
)

// EpochsWith are those of a run with these settings.
func (m *Method) EpochsWith(s Settings) Epochs {
	if m.Epochs == nil {
		return AnyEpoch
	}
	return m.Epochs(s)
}

// Always is an Epochs of a method where they are no question of settings.
func (e Epochs) Always() func(Settings) Epochs { return func(Settings) Epochs { return e } }

// Task is what published settings depend on.
type Task struct {
	Dataset   string // name in the table of data sets, or anything else
	Published bool   // it is one that published settings were made for
	Shots     int
	BaseToNew bool
	Recipe    string // paper or released
}

// CoOpEpochs are those of CoOp's recipe, which others take over: 200 with 8 shots and more, 100 with 2 and 4, 50 with one, and on ImageNet.
func CoOpEpochs(dataset string, shots int) int {
	switch {
	case dataset == "imagenet" || shots == 1:
		return 50
	case shots >= 2 && shots < 8:
		return 100
	}
	return 200
}

// Settings are a method's hyper-parameters: a pointer to a struct whose fields have JSON names.
type Settings interface {
	// Declare declares a flag for each, with its value as default.
	Declare(fs *flag.FlagSet)
	// Validate reports the first that makes no sense.
	Validate() error
}

// Job is what a method is begun on.
type Job struct {
	Dev       *tensor.Device
	Model     *clip.Model
	Classes   []string
	Templates []string
	Prompts   map[string][]string // of a class by its name, in place of templates; nil for none
	Settings  Settings            // of the method's own type
	Seed      uint64
	Data      Data
	Masked    bool                // a mask is on the image encoder
	Micro     func(batch int) int // images of a batch that are computed at a time, 0 for all
	Progress  func(what string, n int) (advance func(done int, say string), finish func())

	Shared *Heads // those of other jobs too; nil for none

	heads map[string]train.Head
}

// Whole are settings that may ask for batches that are computed as one, whatever memory that takes.
type Whole interface{ WholeBatch() bool }

// Parts is how many images of a batch are computed at a time, 0 for all: Micro's, unless the settings ask for the whole.
func (j *Job) Parts(batch int) int {
	if s, ok := j.Settings.(Whole); ok && s.WholeBatch() {
		return 0
	}
	return j.Micro(batch)
}

// Key is the randomness of a purpose.
func (j *Job) Key(purpose string) tensor.Key { return tensor.NewKey(j.Seed).Name(purpose) }

// Head is the zero-shot classifier of the job's classes and templates.
func (j *Job) Head(ctx context.Context) (train.Head, error) { return j.HeadOf(ctx, j.Classes) }

// HeadOf is the zero-shot classifier of any classes by the job's templates. It is made once, and belongs to the job, or to Shared.
func (j *Job) HeadOf(ctx context.Context, classes []string) (train.Head, error) {
	key := strings.Join(classes, "\x00")
	into := &j.heads
	if j.Shared.serves(j.Model) {
		into = &j.Shared.made
		key += "\x01" + strings.Join(j.Templates, "\x00")
	}
	if h, ok := (*into)[key]; ok {
		return h, nil
	}
	rows, err := j.rows(ctx, classes)
	if err != nil {
		return train.Head{}, err
	}
	if *into == nil {
		*into = map[string]train.Head{}
	}
	h := train.Head{Classes: rows, Scale: j.Model.Scale()}
	(*into)[key] = h
	return h, nil
}

// Heads are zero-shot classifiers that several jobs on shares of one model have in common, where their text encoder is the model's. Prompts by class
// are those of one data set.
type Heads struct {
	Model *clip.Model // as it was opened
	made  map[string]train.Head
}

// serves reports whether a model's text encoder computes what that of the heads' model does.
func (h *Heads) serves(m *clip.Model) bool {
	if h == nil || m.Text == nil {
		return false
	}
	loaded := h.Model.Text.Params()
	for i, p := range m.Text.Params() {
		if p.Changed(loaded[i].Value) {
			return false
		}
	}
	return true
}

// Close gives back what was made.
func (h *Heads) Close() {
	for _, head := range h.made {
		head.Classes.Release()
	}
	h.made = nil
}

// rows are the features of classes.
func (j *Job) rows(ctx context.Context, classes []string) (*tensor.Tensor, error) {
	if j.Prompts == nil {
		return j.Model.Classifier(ctx, j.Dev, classes, j.Templates)
	}
	var prompts [][]string
	for _, c := range classes {
		if j.Prompts[c] == nil {
			return nil, fmt.Errorf("class %s has no prompts of its own", quote.String(c))
		}
		prompts = append(prompts, j.Prompts[c])
	}
	return j.Model.PromptClassifier(ctx, j.Dev, prompts)
}

// Close gives back what the job has made.
func (j *Job) Close() {
	for _, h := range j.heads {
		h.Classes.Release()
	}
	j.heads = nil
}

// Split is a part of a data set.
type Split int

// The parts of a data set: its few-shot sample, its validation images and, for a method that peeks, its test images.
const (
	Train Split = iota
	Val
	Test
)

// String is the split's usual name.
func (s Split) String() string { return [...]string{"train", "val", "test"}[s] }

// Augment says how training images are varied. It is part of the settings of methods that vary them.
type Augment struct {
	CropMin float64 `json:"rrc_scale_min"` // RandomResizedCrop takes at least this share of the area; 0: the centre, as in evaluation
	Flip    float64 `json:"flip"`          // probability of mirroring
}

// Declare declares a flag for each setting.
func (a *Augment) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&a.CropMin, "rrc-scale", a.CropMin, "smallest share of the area that a random crop takes")
	fs.Float64Var(&a.Flip, "flip", a.Flip, "probability of mirroring a training image")
}

// Validate reports the first setting that makes no sense for images that are varied.
func (a Augment) Validate() error {
	if !(a.CropMin > 0 && a.CropMin <= 1) {
		return fmt.Errorf("smallest crop %g must lie in (0, 1]", a.CropMin)
	}
	if !(a.Flip >= 0 && a.Flip <= 1) {
		return fmt.Errorf("flip %g: a probability lies in [0, 1]", a.Flip)
	}
	return nil
}

// Data are a job's images. Order and crops depend on the job's seed.
type Data interface {
	// Batches are the training images in random order, an epoch after the other, for a learner.
	Batches(batch int, a Augment) (train.Data, error)
	// Frozen are Batches for a learner that leaves the image encoder as it is, and the encoder to use with them: the image encoder, or, where its
	// features of the images are had more cheaply with the same bits, one that takes these in place of images.
	Frozen(batch int, a Augment) (train.Data, train.Encoder, error)
	// Count is the number of images of a split.
	Count(s Split) int
	// Labels are those of a split, in its order.
	Labels(s Split) []int32
	// Features are the image encoder's, [N, Embed], not normalised, of a split's images in its order, each varied as pass number
	// pass of the augmentation says. The caller releases them.
	Features(ctx context.Context, s Split, a Augment, pass int) (*tensor.Tensor, error)
}

// Training is a method at work on a job.
type Training struct {
	// Run trains by steps; nil where there are none.
	Run *train.Run
	// Solve does what needs no steps, after Run if there is one; or nil.
	Solve func(ctx context.Context) error
	// Learned is what there is to be had then.
	Learned Learned
	// Figures are for the result, by name in its JSON.
	Figures map[string]float64
	// Warnings are what a user should know before the work begins.
	Warnings []string
	// TextDone says that neither the training nor a classifier for the job's classes needs the text encoder any more: its features are in Job.Head.
	TextDone bool
}

// Close gives back all that the training took, and what was learned.
func (t *Training) Close() error {
	var err error
	if t.Run != nil {
		err = t.Run.Trainer.Close()
	}
	t.Learned.Close()
	return err
}

// WarmupAlone warns of a run that ends before its rate has got from the warm-up's to its own: then next to nothing is learned.
func WarmupAlone(epochs, warmup int, rate, lr float64) []string {
	if epochs > warmup || rate >= lr {
		return nil
	}
	return []string{fmt.Sprintf("all of the run is its warm-up, at a learning rate of %g and not of %g: what is learned stays near where it starts; give more than %d by -epochs", rate, lr, warmup)}
}

// Learned is what a method leaves.
type Learned interface {
	// Tensors are what a tuned file keeps, by name: all that Load needs beside settings, model and classes.
	Tensors() []optim.Named
	// Classifier is for the given classes, with one of the job's templates each. What was learned for other classes and
	// cannot be carried over is refused with ErrClasses.
	Classifier(ctx context.Context, classes []string) (train.Classifier, error)
	// Close gives back what Begin or Load took, and makes the model what it was.
	Close()
}

// Scaled is Learned that multiplies cosines by a number of its own, where others do by the model's.
type Scaled interface{ Scale() float64 }

// ErrClasses says that what was learned is bound to the classes it was learned on.
var ErrClasses = errors.New("it was learned for its own classes and has nothing to say of others")

// Parse makes a method's Settings function for its own type of settings.
func Parse[T any, P interface {
	*T
	Settings
}](b []byte) (Settings, error) {
	var s T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	return P(&s), Check(P(&s))
}
