package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

var infoCommand = command{
	example: "fewshot info openai/clip-vit-base-patch16",
	name:    "info", args: "FILE|FOLDER|NAME", summary: "say what a file or folder is, and what takes it",
	about: `Tells what a file or folder holds, and describes it: of a model its dialect, sizes, digest and vocabulary; of a mask its
backbone, sparsity and how it was learned; of a training checkpoint where it stands; of a result folder what came out; of
other files that this program writes, plans among them, what takes them. Digests of masks and checkpoints are verified; that of a
model's weights is computed with -digest. "embedded" is the model in this program.`,
	setup: setupInfo,
}

func setupInfo(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var m modelFlags
	m.declareHeads(fs)
	m.declareOffline(fs)
	fs.BoolVar(&m.digest, "digest", false, "compute the digest of a model's weights, by which masks know their backbone")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give one file or folder, not %d", len(args))
		}
		m.Path = args[0]
		if err := m.fetch(ctx, u); err != nil {
			return err
		}
		r, err := m.describe()
		if err != nil {
			return err
		}
		return u.result(r, r.print)
	}
}

// description is what info finds out.
type description interface{ print(w io.Writer) }

// describe finds out what the path is.
func (m *modelFlags) describe() (description, error) {
	path := m.Path
	if path == clip.Embedded {
		return m.describeModel()
	}
	s, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file or folder", path)
	}
	if err != nil {
		return nil, err
	}
	if s.IsDir() {
		if isRun(path) {
			return describeRun(path)
		}
		d, err := m.describeModel()
		if err == nil {
			return d, nil
		}
		if file := written(path); file != "" {
			other := *m
			other.Path = file
			return other.describe()
		}
		if runs := describeRuns(path); runs != nil {
			return runs, nil
		}
		return nil, err
	}
	if !s.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if d, err := describeFile(path, s.Size()); d != nil || err != nil {
		return d, err
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		if d := describeOfficial(path, s.Size()); d != nil {
			return d, nil
		}
		return nil, err
	}
	format := f.Metadata()["format"]
	f.Close()
	switch format {
	case rmt.MaskFormat:
		return describeMask(path)
	case run.TunedFormat:
		return describeTuned(path)
	case train.StateFormat:
		return describeState(path)
	}
	return m.describeModel()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isRun reports whether train wrote into the folder.
func isRun(dir string) bool {
	for _, name := range []string{run.ResultName, run.MaskName, run.TunedName, run.LockName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	states, err := train.StateFiles(dir)
	return err == nil && len(states) > 0
}

// modelInfo describes a CLIP checkpoint.
type modelInfo struct {
	Kind       string     `json:"kind"` // model
	Path       string     `json:"path"`
	Format     string     `json:"format"`
	Dialect    string     `json:"dialect"`
	Activation string     `json:"activation"` // "" if the checkpoint does not say
	Tensors    int        `json:"tensors"`
	Parameters int        `json:"parameters"`
	Digest     string     `json:"digest,omitempty"` // with -digest
	Image      *imageInfo `json:"image,omitempty"`
	Text       *textInfo  `json:"text,omitempty"`
	// Preprocessing is how images are prepared, Prepared whether the checkpoint says so itself.
	Preprocessing *checkpoint.Preprocessing `json:"preprocessing,omitempty"`
	Prepared      bool                      `json:"preprocessing_said"`
	// Problem is why this build cannot run the image encoder.
	Problem    string `json:"problem,omitempty"`
	Vocabulary string `json:"vocabulary,omitempty"`
}

// imageInfo describes an image encoder. A transformer has patches and layers; a ResNet has blocks by stage, the width
// of the first stage and the heads of its attention pool.
type imageInfo struct {
	Name   string `json:"name"`
	Size   int    `json:"image_size"`
	Patch  int    `json:"patch,omitempty"`
	Width  int    `json:"width"`
	Layers int    `json:"layers"` // or blocks, of all stages
	Blocks []int  `json:"blocks,omitempty"`
	Heads  int    `json:"heads"`
	Embed  int    `json:"embed"`
}

func imageInfoOf(arch vit.Arch) *imageInfo {
	s := arch.Sizes()
	i := &imageInfo{Name: arch.Name(), Size: s.Image, Heads: s.Heads, Embed: s.Embed}
	switch c := arch.(type) {
	case vit.Config:
		i.Patch, i.Width, i.Layers = c.Patch, c.Width, c.Layers
	case vit.ResNetConfig:
		i.Width, i.Blocks = c.Width, c.Layers[:]
		for _, n := range c.Layers {
			i.Layers += n
		}
	}
	return i
}

// String is a line for people.
func (i *imageInfo) String() string {
	if i.Blocks != nil {
		return fmt.Sprintf("%s, %d×%d pixels, %v blocks, width %d in the first stage, attention pool of %d heads, feature of %d",
			i.Name, i.Size, i.Size, i.Blocks, i.Width, i.Heads, i.Embed)
	}
	return fmt.Sprintf("%s, %d×%d pixels in patches of %d, width %d, %d layers, %d heads, feature of %d", i.Name, i.Size, i.Size, i.Patch, i.Width, i.Layers, i.Heads, i.Embed)
}

type textInfo struct {
	Context int `json:"context"`
	Vocab   int `json:"vocab"`
	Width   int `json:"width"`
	Layers  int `json:"layers"`
	Heads   int `json:"heads"`
	Embed   int `json:"embed"`
}

func (m *modelFlags) describeModel() (description, error) {
	src, err := m.Source()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	r := &modelInfo{Kind: "model", Path: m.Path, Format: src.Format(), Dialect: src.Dialect(), Activation: src.Activation(), Tensors: len(src.Names()),
		Vocabulary: cmp.Or(src.Vocabulary().Merges, src.Vocabulary().Tokenizer)}
	if m.Path == clip.Embedded {
		r.Vocabulary = clip.Embedded
	}
	for _, name := range src.Names() {
		shape, _ := src.Shape(name)
		r.Parameters += tensor.Len(shape)
	}
	imageHeads, textHeads, err := m.HeadsOf(src)
	if err != nil {
		return nil, err
	}
	image, texts := vit.Known(src.Settings(), tensor.QuickGELU), text.Known(src.Settings(), tensor.QuickGELU)
	image.Heads, texts.Heads = imageHeads, textHeads
	_, transformer := src.Shape("visual.transformer.resblocks.0.ln_1.weight")
	_, net := src.Shape("visual.layer1.0.conv1.weight")
	if !transformer && !net { // images are not a part of it
		_, err := vit.ArchOf(src, vit.Config{})
		r.Problem = err.Error()
	} else {
		arch, words, err := clip.Config{Image: image, Text: texts}.Sizes(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		p, said := src.Preprocessing()
		if p, err = p.For(arch.Sizes().Image); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		r.Preprocessing, r.Prepared = &p, said
		r.Image = imageInfoOf(arch)
		if words != nil {
			r.Text = &textInfo{words.Context, words.Vocab, words.Width, words.Layers, words.Heads, words.Embed}
		}
	}
	if r.Image == nil {
		if _, ok := src.Shape("token_embedding.weight"); ok {
			c, err := text.ConfigOf(src, text.Config{Heads: textHeads})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Path, err)
			}
			r.Text = &textInfo{c.Context, c.Vocab, c.Width, c.Layers, c.Heads, c.Embed}
		}
	}
	if m.digest {
		if r.Digest, err = src.Digest(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *modelInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: CLIP model\n", r.Path)
	line := func(name, format string, a ...any) { fmt.Fprintf(w, "  %-11s %s\n", name, fmt.Sprintf(format, a...)) }
	line("format", "%s, names as in %s", r.Format, r.Dialect)
	line("parameters", "%d in %d tensors", r.Parameters, r.Tensors)
	line("activation", "%s", cmp.Or(r.Activation, "not said; OpenAI's models have quickgelu, most of open_clip's own gelu"))
	if c := r.Image; c != nil {
		line("image", "%s", c)
	} else {
		line("image", "%s", r.Problem)
	}
	if p := r.Preprocessing; p != nil {
		resize := fmt.Sprintf("shorter side to %d", p.Resize)
		if p.Mode == checkpoint.ResizeSquash {
			resize = fmt.Sprintf("both sides to %d", p.Resize)
		}
		line("pixels", "%s (%s), centre of %d cut out, mean %v, std %v", resize, p.Interpolation, p.Size, p.Mean, p.Std)
		if !r.Prepared {
			line("", "not said by the checkpoint; as OpenAI's models and most others")
		}
	}
	if c := r.Text; c != nil {
		line("text", "up to %d of %d tokens, width %d, %d layers, %d heads, feature of %d", c.Context, c.Vocab, c.Width, c.Layers, c.Heads, c.Embed)
		line("vocabulary", "%s", cmp.Or(r.Vocabulary, "none found beside it; give one with -vocab"))
	} else {
		line("text", "none: images only")
	}
	line("digest", "%s", cmp.Or(r.Digest, "not computed, as all weights have to be read for it; ask with -digest"))
}

// maskInfo describes a mask file.
type maskInfo struct {
	Kind     string            `json:"kind"` // mask
	Path     string            `json:"path"`
	Bytes    int64             `json:"bytes"`
	Sum      string            `json:"sha256"`
	Backbone string            `json:"backbone"` // digest of the model it belongs to
	Sparsity rmt.Sparsity      `json:"sparsity"`
	Percent  float64           `json:"sparsity_percent"`
	Tensors  []maskTensorInfo  `json:"tensors"`
	About    map[string]string `json:"about"`          // provenance
	Spec     *run.Spec         `json:"spec,omitempty"` // of the run; masks of older programs have none
	Classes  []string          `json:"classes,omitempty"`
}

type maskTensorInfo struct {
	Name    string  `json:"name"`
	Shape   []int   `json:"shape"`
	Off     int     `json:"off"`
	Percent float64 `json:"sparsity_percent"`
	Codec   string  `json:"codec"`
}

func describeMask(path string) (description, error) {
	t, err := run.OpenTuned(path)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	size, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f := t.Masks
	s := f.Sparsity()
	r := &maskInfo{Kind: "mask", Path: path, Bytes: size.Size(), Sum: t.Sum, Backbone: f.Backbone, Sparsity: s, Percent: s.Percent(), About: f.About}
	if t.Spec.Method != "" {
		r.Spec = &t.Spec
		delete(r.About, run.SpecKey)
	}
	if r.Classes = t.Classes; r.Classes != nil {
		delete(r.About, run.ClassesKey)
	}
	for _, t := range f.Tensors {
		s := rmt.Sparsity{Off: t.Off, Total: tensor.Len(t.Shape)}
		r.Tensors = append(r.Tensors, maskTensorInfo{t.Name, t.Shape, t.Off, s.Percent(), t.Codec})
	}
	return r, nil
}

func (r *maskInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: mask of %s\n  backbone  %s\n  sparsity  %v\n  sha256    %s\n", r.Path, words.Count(int(r.Bytes), "byte"), r.Backbone, r.Sparsity, r.Sum)
	if r.Classes != nil {
		fmt.Fprintf(w, "  classes   %d\n", len(r.Classes))
	}
	for _, t := range r.Tensors {
		fmt.Fprintf(w, "  %7.3f %%  %-4s  %s %v\n", t.Percent, t.Codec, quote.Plain(t.Name), t.Shape)
	}
	about := maps.Clone(r.About)
	if r.Spec != nil {
		maps.Copy(about, r.Spec.Fields())
	}
	printPairs(w, "learned with", about)
}

// tunedInfo describes what a method other than masks has left.
type tunedInfo struct {
	Kind    string   `json:"kind"` // tuned
	Path    string   `json:"path"`
	Bytes   int64    `json:"bytes"`
	Sum     string   `json:"sha256"`
	Spec    run.Spec `json:"spec"`
	Classes []string `json:"classes"`
}

func describeTuned(path string) (description, error) {
	t, err := run.OpenTuned(path)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	size, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &tunedInfo{"tuned", path, size.Size(), t.Sum, t.Spec, t.Classes}, nil
}

func (r *tunedInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s for %s, %s\n  sha256    %s\n", r.Path, quote.Plain(r.Spec.Method), words.Count(len(r.Classes), "class"), words.Count(int(r.Bytes), "byte"), r.Sum)
	printPairs(w, "learned with", r.Spec.Fields())
}

// stateInfo describes a training checkpoint.
type stateInfo struct {
	Kind  string            `json:"kind"` // training
	Path  string            `json:"path"`
	Steps int               `json:"steps"`
	At    train.Position    `json:"position"`
	Run   map[string]string `json:"run"` // settings, data and backbone of the run
}

func describeState(path string) (description, error) {
	s, err := train.ReadState(path)
	if err != nil {
		return nil, err
	}
	return &stateInfo{"training", path, s.Steps, s.At, s.Run}, nil
}

func (r *stateInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: training checkpoint after %s, to go on at batch %d of epoch %d\n", r.Path, words.Count(r.Steps, "step"), r.At.Batch+1, r.At.Epoch+1)
	printPairs(w, "of the run with", r.Run)
}

// runInfo describes an output folder of train.
type runInfo struct {
	Kind     string          `json:"kind"` // run
	Path     string          `json:"path"`
	Finished bool            `json:"finished"`
	Result   json.RawMessage `json:"result,omitempty"` // result.json
	Problems []string        `json:"problems,omitempty"`
	Mask     *maskInfo       `json:"mask,omitempty"`
	Tuned    *tunedInfo      `json:"tuned,omitempty"`
	Training *stateInfo      `json:"training,omitempty"` // the newest checkpoint
}

func describeRun(dir string) (description, error) {
	r := &runInfo{Kind: "run", Path: dir}
	result := filepath.Join(dir, run.ResultName)
	b, err := checkpoint.ReadFile(result, run.MaxResult)
	switch {
	case err == nil:
		if err := isResult(b); err != nil {
			return nil, fmt.Errorf("%s: %w", result, err)
		}
		r.Finished, r.Result = true, b
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	mask := filepath.Join(dir, run.MaskName)
	if _, err := os.Stat(mask); err == nil {
		d, err := describeMask(mask)
		if err != nil {
			return nil, err
		}
		r.Mask = d.(*maskInfo)
	}
	if tuned := filepath.Join(dir, run.TunedName); exists(tuned) {
		d, err := describeTuned(tuned)
		if err != nil {
			return nil, err
		}
		r.Tuned = d.(*tunedInfo)
	}
	r.compare()
	states, err := train.StateFiles(dir)
	if err != nil {
		return nil, err
	}
	if len(states) > 0 {
		d, err := describeState(states[0])
		if err != nil {
			return nil, err
		}
		r.Training = d.(*stateInfo)
	}
	return r, nil
}

// compare finds what is wrong with the result, and whether the file that it names lies in the folder.
func (r *runInfo) compare() {
	if r.Result == nil {
		return
	}
	if _, err := run.ParseResult(r.Result); err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", run.ResultName, err))
	}
	var t run.Result
	_ = json.Unmarshal(r.Result, &t) // of another version only what is alike is compared
	if t.File == "" {
		return
	}
	sum := ""
	switch file := t.Learned(r.Path); {
	case !exists(file):
		r.Problems = append(r.Problems, fmt.Sprintf("%s is missing, which the run left", file))
		return
	case filepath.Base(file) == run.MaskName && r.Mask != nil:
		sum = r.Mask.Sum
	case filepath.Base(file) == run.TunedName && r.Tuned != nil:
		sum = r.Tuned.Sum
	}
	if sum != "" && t.FileSum != "" && sum != t.FileSum {
		r.Problems = append(r.Problems, fmt.Sprintf("%s is not what the run left: its SHA-256 is %s, and %s says %s", t.Learned(r.Path), sum, run.ResultName, quote.Plain(t.FileSum)))
	}
}

// isResult refuses what is no result of a run. A result.json of another version may lack fields and have others.
func isResult(b []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return fmt.Errorf("is not a JSON object: %w", err)
	}
	var said struct{ Kind, Dataset string }
	if err := json.Unmarshal(b, &said); err != nil || said.Kind != "result" || said.Dataset == "" {
		return errors.New("is no result of a run")
	}
	return nil
}

func (r *runInfo) print(w io.Writer) {
	if !r.Finished {
		fmt.Fprintf(w, "%s: run that is not finished; %s\n", r.Path, run.GoOn(r.Path))
	} else {
		var t run.Result
		// Of a result.json of another version only what is alike is printed.
		_ = json.Unmarshal(r.Result, &t)
		if t.File != "" { // it may have been moved
			t.File = t.Learned(r.Path)
		}
		fmt.Fprintf(w, "%s: finished run\n", r.Path)
		t.Print(w)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  problem    %s\n", quote.Plain(p))
	}
	if r.Mask != nil {
		fmt.Fprintln(w)
		r.Mask.print(w)
	}
	if r.Tuned != nil {
		fmt.Fprintln(w)
		r.Tuned.print(w)
	}
	if r.Training != nil {
		fmt.Fprintln(w)
		r.Training.print(w)
	}
}

// printPairs prints a table of strings out of a file.
func printPairs(w io.Writer, title string, pairs map[string]string) {
	fmt.Fprintf(w, "  %s\n", title)
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		fmt.Fprintf(w, "    %-14s %s\n", quote.Plain(k), quote.Plain(pairs[k]))
	}
}
