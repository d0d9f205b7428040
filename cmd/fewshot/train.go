package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var trainCommand = command{
	name: "train", summary: "learn which weights of CLIP to switch off for a task",
	about: `Learns masks on a few images a class, evaluates them on the test images, and writes into the output folder
mask.safetensors (the masks, one bit a weight, compressed) and result.json (settings, data, accuracy, sparsity, timings).
Settings default to those published for the data set and the number of shots. An interrupted run goes on with -resume and
ends with the same mask file, to the byte, as an undisturbed one.`,
	setup: setupTrain,
}

// trainFlags are the settings of a run.
type trainFlags struct {
	device deviceFlags
	model  modelFlags
	data   dataFlags
	loader loaderFlags
	tuning tuningFlags
	out    string
	resume bool
	every  time.Duration
	zero   bool
}

func setupTrain(fs *flag.FlagSet) func(context.Context, *ui, []string) error {
	var f trainFlags
	f.model.declare(fs)
	f.data.declare(fs)
	f.data.declareTemplate(fs)
	f.data.declareSample(fs)
	f.tuning.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	fs.StringVar(&f.out, "out", "", "output `folder` (default runs/DATASET/METHOD-SHOTSshots-seedSEED)")
	fs.BoolVar(&f.resume, "resume", false, "go on with the run in the output folder")
	fs.DurationVar(&f.every, "save-every", 2*time.Minute, "how often to write a checkpoint to resume from, besides every epoch")
	fs.BoolVar(&f.zero, "zeroshot", true, "evaluate the untouched model too")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) > 0 {
			return usagef("unexpected argument %q", args[0])
		}
		return f.run(ctx, u)
	}
}

// tuningFlags are the hyper-parameters that a user may change; what was not given keeps its published value.
type tuningFlags struct {
	method, recipe, epochs, mask       string
	lr, init, threshold, leak, penalty float64
	crop, flip                         float64
	batch                              int
	micro                              microBatch
	given                              func(name string) bool
}

func (t *tuningFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&t.method, "method", "r-amt", strings.Join(rmt.Methods(), ", ")+": masks on attention, MLP or all weights; r- with gradient dropout")
	fs.StringVar(&t.recipe, "recipe", "paper", "paper, or released: what the authors' code does beyond the paper")
	fs.StringVar(&t.epochs, "epochs", "", "number of epochs, or auto: enough for masks to move (default 30; ImageNet 10)")
	fs.Float64Var(&t.lr, "lr", 0, "learning rate of Adam (default 8e-5; ImageNet 3e-5)")
	fs.IntVar(&t.batch, "batch-size", 0, "images a step (default 32)")
	t.micro.declare(fs)
	fs.Float64Var(&t.leak, "leak", 0, "l of gradient dropout, 0 to 1 (default by the paper's rule: 0.3 or 1)")
	fs.Float64Var(&t.init, "init", 0, "initial score of every weight (default 0.01)")
	fs.Float64Var(&t.threshold, "threshold", 0, "score above which a weight is kept (default 0.005)")
	fs.Float64Var(&t.penalty, "mask-penalty", 0, "factor of the masks' norms in the loss (default 0; released 1e-4)")
	fs.StringVar(&t.mask, "mask", "", "comma-separated `patterns` of weights to mask, * for any characters (default by method)")
	fs.Float64Var(&t.crop, "rrc-scale", 0, "smallest share of the area that a random crop takes (default 0.5)")
	fs.Float64Var(&t.flip, "flip", 0.5, "probability of mirroring a training image")
	t.given = func(name string) bool {
		found := false
		fs.Visit(func(f *flag.Flag) { found = found || f.Name == name })
		return found
	}
}

// config are the published settings with the user's changes. Epochs stay as published where auto was asked for; auto is
// then true. The micro-batch depends on the model, and is not among them yet.
func (t *tuningFlags) config(d *dataFlags) (c rmt.Config, auto bool, err error) {
	c, err = rmt.Defaults(t.method, t.recipe, d.canonical(), d.shots, d.classes == "base")
	if err != nil {
		return c, false, usagef("%v", err)
	}
	for name, set := range map[string]func(){
		"lr": func() { c.LR = t.lr }, "batch-size": func() { c.Batch = t.batch }, "leak": func() { c.Leak = t.leak },
		"init": func() { c.Init = t.init }, "threshold": func() { c.Threshold = t.threshold },
		"mask-penalty": func() { c.Penalty = t.penalty }, "rrc-scale": func() { c.CropMin = t.crop },
		"mask": func() { c.Patterns = strings.Split(t.mask, ",") },
	} {
		if t.given(name) {
			set()
		}
	}
	c.Flip, c.Seed = t.flip, d.seed
	switch t.epochs {
	case "":
	case "auto":
		auto = true
	default:
		if c.Epochs, err = strconv.Atoi(t.epochs); err != nil {
			return c, false, usagef("-epochs %q: a number, or auto", t.epochs)
		}
	}
	if err := c.Validate(); err != nil {
		return c, false, usagef("%v", err)
	}
	return c, auto, nil
}

// trainResult is result.json, and the last line of -json.
type trainResult struct {
	Kind      string               `json:"kind"`
	Model     string               `json:"model"`
	Backbone  string               `json:"backbone"` // digest of the weights
	Dataset   string               `json:"dataset"`
	Title     string               `json:"dataset_title"` // the same for a data set in memory and its export
	Synthetic bool                 `json:"synthetic"`     // drawn by this program: not comparable with published figures
	Classes   string               `json:"classes"`
	NumClass  int                  `json:"num_classes"`
	Template  string               `json:"template"`
	Shots     int                  `json:"shots"`
	Train     int                  `json:"train_images"`
	Split     string               `json:"split_sha256"`
	Config    rmt.Config           `json:"config"`
	Travel    float64              `json:"travel_ratio"`
	ZeroShot  *accuracy            `json:"zeroshot,omitempty"`
	Test      accuracy             `json:"test"`
	Sparsity  rmt.Sparsity         `json:"sparsity"`
	Percent   float64              `json:"sparsity_percent"`
	Tensors   []rmt.TensorSparsity `json:"tensors"`
	Mask      string               `json:"mask"`
	MaskBytes int64                `json:"mask_bytes"`
	MaskSum   string               `json:"mask_sha256"`
	Epochs    []train.Epoch        `json:"epochs"`
	TrainRate float64              `json:"train_images_per_second"`
	EvalRate  float64              `json:"eval_images_per_second"`
	Seconds   float64              `json:"seconds"`
	Device    string               `json:"device"`
	Precision string               `json:"precision"`
	Strassen  bool                 `json:"strassen"` // large products by that algorithm
	Program   string               `json:"program"`
}

// epochEvent is the line of -json at the end of an epoch.
type epochEvent struct {
	Kind string `json:"kind"`
	train.Epoch
	Percent float64 `json:"sparsity_percent"`
}

func (f *trainFlags) run(ctx context.Context, u *ui) error {
	if err := f.loader.validate(); err != nil {
		return err
	}
	config, auto, err := f.tuning.config(&f.data)
	if err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	ds, err := f.data.open()
	if err != nil {
		return err
	}
	u.about(ds)
	m, err := f.model.open(dev, u)
	if err != nil {
		return err
	}
	config.MicroBatch = f.tuning.micro.of(dev, m.image.Config, config.Batch)
	if f.out == "" {
		f.out = filepath.Join("runs", strings.ReplaceAll(ds.Name, ":", "-"), fmt.Sprintf("%s-%dshots-seed%d", config.Method, f.data.shots, f.data.seed))
	}
	result, err := f.tune(ctx, u, dev, m, ds, config, auto)
	if err != nil {
		return err
	}
	return u.result(result, func(w io.Writer) { result.print(w) })
}

// tune trains, evaluates, and writes the output folder.
func (f *trainFlags) tune(ctx context.Context, u *ui, dev *tensor.Device, m *model, ds *datasets.Dataset, config rmt.Config, auto bool) (*trainResult, error) {
	start := time.Now()
	// A damaged image is to be known now, and not after the evaluation that comes first.
	if err := ds.Inspect(ctx, ds.Train); err != nil {
		return nil, err
	}
	images, err := f.loader.training(dev, u, m, ds, config)
	if err != nil {
		return nil, err
	}
	defer images.close()
	tests := f.loader.inOrder(dev, u, m, ds, ds.Test, !f.zero)
	defer tests.close()
	out, err := openRun(f.out, f.resume)
	if err != nil {
		return nil, err
	}
	defer out.close()
	if auto {
		config.Epochs = config.AutoEpochs(images.Batches())
	}
	travel := config.TravelRatio(images.Batches())
	u.note("%s: %d classes, %d training images, %d steps an epoch, %d epochs, travel ratio %.2f", ds.Name, len(ds.Classes), len(ds.Train), images.Batches(), config.Epochs, travel)
	if travel < 1 {
		u.warn("travel ratio %.2f: %d steps at this learning rate cannot bring a score from %g to %g, so hardly any weight can be switched off and the result will be the untouched CLIP; use -epochs auto",
			travel, images.Batches()*config.Epochs, config.Init, config.Threshold)
	}
	classes, err := m.classifier(ctx, dev, ds.Classes, []string{ds.Template})
	if err != nil {
		return nil, err
	}
	defer classes.Release()
	head := train.Head{Classes: classes, Scale: m.scale()}

	result := &trainResult{Kind: "result", Model: m.name, Backbone: m.digest, Dataset: ds.Name, Title: ds.Title, Synthetic: strings.HasPrefix(ds.Name, synthPrefix),
		Classes: f.data.classes, NumClass: len(ds.Classes), Template: ds.Template, Shots: f.data.shots, Train: len(ds.Train), Split: ds.SplitHash(),
		Config: config, Travel: travel, Device: dev.Describe(), Precision: f.device.precision, Strassen: dev.Strassen(), Program: version()}
	if f.zero {
		a, err := evaluate(ctx, u, "zero-shot", dev, train.Model{Encoder: m.image, Head: head}, tests)
		if err != nil {
			return nil, err
		}
		result.ZeroShot = &a
		u.note("zero-shot: %.2f %% of %d test images", a.Accuracy, a.Images)
	}

	run, err := startTuning(dev, m, head, images, config)
	if err != nil {
		return nil, err
	}
	defer run.close()
	masks, identity := run.masks, result.identity()
	state, resumed, err := train.RestoreState(f.out, run.Trainer, identity, func(path string, err error) { u.warn("passing over a damaged checkpoint: %v", err) })
	if err != nil {
		return nil, err
	}
	if resumed {
		u.note("resuming at epoch %d, step %d", state.At.Epoch+1, state.At.Batch+1)
		run.At, run.Done = state.At, state.Done
	}
	run.EndEpoch = func(e train.Epoch) error { return u.event(epochEvent{"epoch", e, rmt.SparsityOf(masks).Percent()}) }
	saved := time.Now()
	run.Save = func(p train.Position) error {
		if p.Batch != 0 && ctx.Err() == nil && time.Since(saved) < f.every {
			return nil
		}
		saved = time.Now()
		err := train.SaveState(f.out, run.Trainer, p, run.Done, identity)
		if !errors.Is(err, checkpoint.IO) {
			return err
		}
		// A disk may be full for a while only; the checkpoint before is as good as it was.
		u.warn("no checkpoint at epoch %d, step %d: %v", p.Epoch+1, p.Batch+1, err)
		return ctx.Err()
	}
	err = run.run(ctx, u, config.Method)
	if errors.Is(err, context.Canceled) {
		u.warn("interrupted; go on with -resume -out %s", f.out)
	}
	if err != nil {
		return nil, err
	}
	result.TrainRate, result.Epochs = run.rate(), run.Done.Epochs
	images.close() // what follows may need the memory

	evalStart := time.Now()
	if result.Test, err = evaluate(ctx, u, "test", dev, train.Model{Encoder: m.image, Head: head}, tests); err != nil {
		return nil, err
	}
	result.EvalRate = float64(result.Test.Images) / time.Since(evalStart).Seconds()
	result.Tensors = rmt.Sparsities(masks)
	result.Sparsity = rmt.SparsityOf(masks)
	result.Percent = result.Sparsity.Percent()
	if err := result.write(f.out, masks, start); err != nil {
		return nil, err
	}
	return result, train.RemoveState(f.out)
}

// identity is what a training checkpoint must agree with to be continued, by name.
func (r *trainResult) identity() map[string]string {
	id := map[string]string{"precision": r.Precision, "strassen": strconv.FormatBool(r.Strassen), "backbone": r.Backbone, "split_sha256": r.Split, "template": r.Template, "classes": r.Classes}
	config, err := json.Marshal(r.Config)
	var settings map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(config, &settings)
	}
	if err != nil {
		panic(err) // plain numbers and strings
	}
	for name, value := range settings {
		id[name] = string(value)
	}
	return id
}

// about is the provenance in the mask file: what determines it, and nothing that differs between equal runs. The data set
// has the name that Dassl gives it, not the one it was opened by.
func (r *trainResult) about() map[string]string {
	config, err := json.Marshal(r.Config)
	if err != nil {
		panic(err) // plain numbers and strings
	}
	return map[string]string{"config": string(config), "dataset": r.Title, "classes": r.Classes, "template": r.Template,
		"shots": strconv.Itoa(r.Shots), "split_sha256": r.Split, "precision": r.Precision, "strassen": strconv.FormatBool(r.Strassen), "polarity": "1=keep"}
}

// write writes mask.safetensors and, last, result.json: a folder with a result.json is complete.
func (r *trainResult) write(dir string, masks []*rmt.Mask, start time.Time) error {
	r.Mask = filepath.Join(dir, maskName)
	if err := rmt.SaveMasks(r.Mask, masks, r.Backbone, r.about()); err != nil {
		return err
	}
	b, err := os.ReadFile(r.Mask)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	r.MaskBytes, r.MaskSum = int64(len(b)), hex.EncodeToString(sum[:])
	r.Seconds = time.Since(start).Seconds()
	return checkpoint.WriteFile(filepath.Join(dir, resultName), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	})
}

func (r *trainResult) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s on %s, %d shots, seed %d\n", r.Config.Method, r.Dataset, r.Shots, r.Config.Seed)
	if r.ZeroShot != nil {
		fmt.Fprintf(w, "  zero-shot  %6.2f %%\n", r.ZeroShot.Accuracy)
		fmt.Fprintf(w, "  tuned      %6.2f %%  (%+.2f)\n", r.Test.Accuracy, r.Test.Accuracy-r.ZeroShot.Accuracy)
	} else {
		fmt.Fprintf(w, "  tuned      %6.2f %%\n", r.Test.Accuracy)
	}
	fmt.Fprintf(w, "  sparsity   %6.2f %%  (%d of %d masked weights are off)\n", r.Percent, r.Sparsity.Off, r.Sparsity.Total)
	fmt.Fprintf(w, "  mask       %s, %d bytes\n", r.Mask, r.MaskBytes)
	fmt.Fprintf(w, "  training   %.1f images/s, evaluation %.1f images/s, %.0f s in all\n", r.TrainRate, r.EvalRate, r.Seconds)
	if r.Synthetic {
		fmt.Fprintln(w, "  (a synthetic task: not comparable with published figures)")
	}
}
