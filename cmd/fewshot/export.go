package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/nn/export"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

var exportCommand = command{
	example: "fewshot export -model ViT-B/16 -mask runs/pets -to transformers -out pets-clip",
	name:    "export", summary: "write a model, with what was learned folded in, for other programs",
	about: `Writes a CLIP in the form of another program, with a mask, LoRA or fine-tuned weights folded in, and reads it back before it says
so. All values are float32.

  transformers   a folder for CLIPModel and AutoProcessor of Hugging Face
  open_clip      a folder for local-dir: of open_clip
  openai         model.pt, a state dict under OpenAI's names
  onnx           a folder with onnx/model.onnx of both encoders; with -classes-file, or -tuned of a method that learns a head of
                 image features, model.onnx from pixels to probabilities
  official-mask  the mask alone, model.pth.tar-EPOCHS, as R-AMT's released code saves it

SigLIP and other relatives of CLIP go back into the form that their folder has, or to onnx.

Which inputs these programs prepare otherwise than this one, and why, is in docs/export.md.`,
	setup: setupExport,
}

type exportFlags struct {
	model                modelFlags
	data                 dataFlags // what prompts are
	mask, tuned, to, out string
	classes              string
	license, title       string
	image, force         bool
}

var exportForms = []string{"transformers", "open_clip", "openai", "onnx", "official-mask"}

func setupExport(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f exportFlags
	f.model.declare(fs)
	fs.StringVar(&f.to, "to", "", "the `form`: "+strings.Join(exportForms, ", "))
	fs.StringVar(&f.out, "out", "", "`folder` to write, which must not exist yet or be empty")
	fs.StringVar(&f.mask, "mask", "", "mask `file` to fold into the weights, or the folder of its run")
	fs.StringVar(&f.tuned, "tuned", "", "tuned `file` to fold in, or with -to onnx to put behind the encoder, or the folder of its run")
	fs.StringVar(&f.classes, "classes-file", "", "`file` of class names, one a line: onnx then classifies images among these")
	fs.StringVar(&f.classes, "classes", "", "the same `file`, by the flag's former name")
	f.data.declareTemplate(fs)
	fs.BoolVar(&f.image, "image-only", false, "onnx without a text encoder, from pixels to the embedding")
	fs.StringVar(&f.license, "license", "", "licence of the weights for the model card, as mit; without it the card says that the base model's holds")
	fs.StringVar(&f.title, "title", "", "title of the model card")
	fs.BoolVar(&f.force, "force", false, "fold in what was learned on this model used in another way")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case !slices.Contains(exportForms, f.to):
			return usagef("-to %q: there are %s", f.to, strings.Join(exportForms, ", "))
		case f.out == "":
			return usagef("-out is missing: which folder shall be written?")
		case f.to != "onnx" && (f.classes != "" || f.image):
			return usagef("-classes-file and -image-only are for -to onnx")
		case f.to != "onnx" && f.prompts():
			return usagef("-template, -template-file and -class-prompts make a classifier, which -to onnx can have, and %s cannot", f.to)
		case f.classes == "" && f.tuned == "" && f.prompts():
			return usagef("-template, -template-file and -class-prompts are about -classes-file: give that")
		case f.classes != "" && f.image:
			return usagef("-image-only and -classes-file: a classifier is an image encoder alone anyway")
		case f.to == "official-mask" && f.mask == "":
			return usagef("-to official-mask writes a mask: name it with -mask")
		case f.to == "official-mask" && f.tuned != "":
			return usagef("-to official-mask writes a mask alone; leave -tuned out")
		}
		return f.run(ctx, u)
	}
}

// exportedModel is the last line of -json.
type exportedModel struct {
	Kind  string   `json:"kind"`
	To    string   `json:"to"`
	Out   string   `json:"out"`
	Files []string `json:"files"`
	Bytes int64    `json:"bytes"`
}

func (f *exportFlags) run(ctx context.Context, u *ui) error {
	if err := emptyFolder(f.out); err != nil {
		return err
	}
	loaded, err := run.OpenLoaded(f.mask, f.tuned)
	if err != nil {
		return err
	}
	defer loaded.Close()
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		return err
	}
	defer dev.Close()
	f.model.Like = loaded.Model()
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return err
	}
	job := &method.Job{Dev: dev, Model: m, Templates: []string{"a photo of a {}."}} // of a classifier that only a head is asked of
	defer job.Close()
	var masks []*rmt.Mask
	var head *export.Head
	if f.classes != "" || f.to == "onnx" && loaded.Classifies() {
		head, masks, err = f.head(ctx, u, job, loaded)
	} else if f.prompts() {
		err = usagef("-template, -template-file and -class-prompts are about -classes-file: give that")
	} else {
		masks, err = loaded.Fold(ctx, job, f.force)
	}
	if err != nil {
		return err
	}
	if f.to == "official-mask" {
		return f.officialMask(u, m, masks, epochsOf(loaded.Mask))
	}
	model, err := f.describe(m, loaded, masks)
	if err != nil {
		return err
	}
	if model.Relative != nil {
		defer model.Relative.Stored.Close()
	}
	files, err := f.files(model, head)
	if err != nil {
		return err
	}
	return f.write(u, files, func() error {
		switch f.to {
		case "onnx":
			path := filepath.Join(f.out, filepath.FromSlash(files[0].Name))
			return model.CheckONNX(func() (io.ReadCloser, error) { return os.Open(path) })
		case "openai":
			return model.Check(filepath.Join(f.out, files[0].Name))
		}
		return model.Check(f.out)
	})
}

// files are what the form consists of.
func (f *exportFlags) files(model *export.Model, head *export.Head) ([]export.File, error) {
	switch {
	case f.to == "transformers":
		return model.Transformers()
	case f.to == "open_clip":
		return model.OpenCLIP()
	case f.to == "openai":
		return model.OpenAI("model.pt")
	case head == nil && !f.image:
		return model.ONNX()
	}
	return model.ONNXClassifier(head)
}

// prompts says whether any are given.
func (f *exportFlags) prompts() bool {
	return f.data.templates != nil || f.data.templateFile != "" || f.data.prompts != ""
}

// head is the classifier that predict has with the same flags.
func (f *exportFlags) head(ctx context.Context, u *ui, job *method.Job, l *run.Loaded) (*export.Head, []*rmt.Mask, error) {
	if f.image {
		return nil, nil, usagef("-image-only ends at the embedding, and %s learns a classifier: leave -image-only, or -tuned, out", l.Tuned.Spec.Method)
	}
	f.data.classes = "all"
	p := predictFlags{data: f.data, classesFile: f.classes, force: f.force}
	ds, err := p.classes(ctx, u, l)
	if err != nil {
		return nil, nil, err
	}
	if n := len(ds.Classes); n < 2 {
		return nil, nil, fmt.Errorf("%s: %s; a classifier has at least two", f.classes, words.Count(n, "class"))
	}
	templates, err := p.templates(l, ds)
	if err != nil {
		return nil, nil, err
	}
	job.Classes, job.Templates, job.Prompts = ds.Classes, templates, ds.Prompts
	formula, masks, err := l.Formula(ctx, job, f.force)
	return &export.Head{Names: ds.Classes, Formula: formula}, masks, err
}

// describe is the model as the writers of formats want it.
func (f *exportFlags) describe(m *clip.Model, l *run.Loaded, masks []*rmt.Mask) (*export.Model, error) {
	if m.Text == nil {
		return nil, fmt.Errorf("%s has no text encoder; an image encoder alone has no export", m.Name)
	}
	spec, err := m.Spec()
	if err != nil {
		return nil, err
	}
	eps := 0.0
	if c, ok := m.Arch.(vit.Config); ok {
		eps = c.Eps
	}
	e := &export.Model{Weights: folded{m}, Activation: spec.Activation, ImageHeads: m.Arch.Sizes().Heads, TextHeads: m.Text.Heads,
		ImageEps: eps, TextEps: m.Text.Eps, Preprocessing: m.Preprocessing.Preprocessing,
		About: map[string]string{"backbone": m.Digest, "program": version()}}
	other := m.Source.Settings().Unusual()
	other.Vision.Eps, other.Text.Eps = 0, 0 // these are written
	if other != (checkpoint.Settings{}) || e.Plain() != nil || slices.Contains(m.Source.Beside(), "logit_bias") {
		// The same tensors, computed with otherwise, or others: what is written of CLIP itself would not say so.
		if e.Relative, err = f.relative(m); err != nil {
			return nil, err
		}
	}
	if tok, ok := m.Tokenizer.(*text.BPE); ok {
		var merges, vocab bytes.Buffer
		if err := tok.WriteMerges(&merges); err != nil {
			return nil, err
		}
		if err := tok.WriteVocab(&vocab); err != nil {
			return nil, err
		}
		e.Merges, e.Vocab = merges.Bytes(), vocab.Bytes()
		e.OpenAIVocabulary = export.IsOpenAIVocabulary(e.Merges)
	}
	e.Card, err = f.card(m, l, masks)
	return e, err
}

// card is what README.md of the export says.
func (f *exportFlags) card(m *clip.Model, l *run.Loaded, masks []*rmt.Mask) (export.Card, error) {
	c := export.Card{Title: f.title, Base: filepath.Base(m.Name), Digest: m.Digest, License: f.license, Program: version(), Settings: map[string]string{}, Figures: map[string]string{}}
	if m.Name != m.Source.Path() {
		c.BaseModel = strings.TrimPrefix(m.Name, "hf-hub:")
		c.Base = m.Name // a name, and no path of this machine
	}
	for _, t := range []*run.Tuned{l.Mask, l.Tuned} {
		if t == nil {
			continue
		}
		s := t.Spec
		if s.Method == "" { // a mask file from elsewhere
			s.Method = "a mask"
		}
		c.Tuned = strings.TrimSpace(fmt.Sprintf("%s Adapted with %s, by fewshot.", c.Tuned, s.Method))
		if s.Data.Title != "" {
			c.Dataset = s.Data.Title
		}
		c.Settings["method"] = s.Method
		c.Settings[s.Method+", file's SHA-256"] = t.Sum
		if len(s.Data.Templates) > 0 {
			c.Settings["prompts"] = strings.Join(s.Data.Templates, "; ")
		}
		if len(s.Settings) > 0 {
			c.Settings[s.Method+", settings"] = string(s.Settings)
		}
		if err := figures(c.Figures, t.Path); err != nil {
			return c, err
		}
	}
	if masks != nil {
		c.Figures["weights switched off"] = rmt.SparsityOf(masks).String()
	}
	if c.Title == "" {
		c.Title = c.Base
		if c.Dataset != "" {
			c.Title += ", adapted to " + c.Dataset
		}
	}
	return c, nil
}

// figures takes what came out of the run from the result.json beside a file that was learned, where there is one.
func figures(into map[string]string, path string) error {
	b, err := checkpoint.ReadFile(filepath.Join(filepath.Dir(path), run.ResultName), run.MaxResult)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r run.Result
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s beside %s: %w", run.ResultName, path, err)
	}
	if filepath.Base(r.File) != filepath.Base(path) {
		return nil // of another file in the folder
	}
	for name, a := range map[string]*run.Accuracy{"accuracy": r.Test, "accuracy of the untouched model": r.ZeroShot} {
		if err := a.Possible(); err != nil {
			return fmt.Errorf("%s beside %s: %s: %w", run.ResultName, path, name, err)
		}
		if a != nil {
			into[name] = fmt.Sprintf("%.2f %% (%d of %s of %s, %s, seed %d)", a.Accuracy, a.Correct, words.Count(a.Images, "image"), words.Count(r.NumClass, "class"), words.Count(r.Shots, "shot"), r.Seed)
		}
	}
	return nil
}

// folded gives the weights with all that was learned in them.
type folded struct{ m *clip.Model }

func (f folded) Names() []string { return f.m.Weights.Values().Names() }

func (f folded) Shape(name string) ([]int, bool) { return f.m.Weights.Values().Shape(name) }

func (f folded) Read(name string, dst []float32) error {
	for _, params := range [][]*nn.Param{f.m.Image.Params(), f.m.Text.Params(), {f.m.LogitScale}} {
		if i := slices.IndexFunc(params, func(p *nn.Param) bool { return p.Name == name }); i >= 0 {
			t := autograd.NoGrad(params[i].Value.Device())
			defer t.Release()
			copy(dst, params[i].Folded(t))
			return nil
		}
	}
	return f.m.Weights.Values().Read(name, dst)
}

// epochsOf is for how many epochs a mask was learned, which the released code wants in the file's name: what the mask says, and of one
// that says nothing what is published.
func epochsOf(mask *run.Tuned) int {
	if n, err := strconv.Atoi(mask.Masks.About[epochsKey]); err == nil && n > 0 {
		return n
	}
	if m, err := run.Lookup(mask.Spec.Method); err == nil {
		if s, err := m.Settings(mask.Spec.Settings); err == nil {
			if c, ok := s.(*rmt.Config); ok && c.Epochs > 0 {
				return c.Epochs
			}
		}
	}
	return 30
}

// officialMask writes the mask alone.
func (f *exportFlags) officialMask(u *ui, m *clip.Model, masks []*rmt.Mask, epochs int) error {
	var ours []export.Mask
	for _, k := range masks {
		ours = append(ours, export.Mask{Name: k.Param.Name, Shape: k.Param.Value.Shape(), Keep: k.Bits()})
	}
	ours, err := export.CompleteOfficial(ours, m.Weights.Values())
	if err != nil {
		return err
	}
	name := "model.pth.tar-" + strconv.Itoa(epochs)
	file := export.File{Name: name, Write: func(w io.Writer) error { return export.WriteOfficialMask(w, ours, epochs) }}
	return f.write(u, []export.File{file}, func() error {
		got, _, err := readOfficial(filepath.Join(f.out, name), m.Weights.Values().Shape)
		if err != nil {
			return err
		}
		for i, k := range ours {
			if i >= len(got) || got[i].Name != k.Name || !slices.Equal(got[i].Keep, k.Keep) {
				return fmt.Errorf("%s: what was written for %s reads back otherwise", name, k.Name)
			}
		}
		return nil
	})
}

func readOfficial(path string, shape func(string) ([]int, bool)) ([]export.Mask, int, error) {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	masks, epochs, err := export.ReadOfficialMask(f, st.Size(), shape)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return masks, epochs, nil
}

// emptyFolder says whether files may be written there.
func emptyFolder(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; give a new folder", path)
	}
	return nil
}

// write writes the files, as regular ones of their whole content, reads them back by check, and reports. What fails leaves
// nothing behind.
func (f *exportFlags) write(u *ui, files []export.File, check func() error) (err error) {
	r := &exportedModel{Kind: "result", To: f.to, Out: f.out}
	if err := os.MkdirAll(f.out, 0o777); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		for _, name := range r.Files {
			path := filepath.Join(f.out, filepath.FromSlash(name))
			os.Remove(path)
			if dir := filepath.Dir(path); dir != filepath.Clean(f.out) {
				os.Remove(dir) // if empty
			}
		}
		os.Remove(f.out)
	}()
	for _, file := range files {
		path := filepath.Join(f.out, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		r.Files = append(r.Files, file.Name)
		if err := checkpoint.WriteFile(path, file.Write); err != nil {
			return err
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		r.Bytes += st.Size()
	}
	if err := check(); err != nil {
		return err
	}
	return u.result(r, func(w io.Writer) {
		fmt.Fprintf(w, "%s for %s: %s, read back and equal\n", f.out, f.to, bytesText(r.Bytes))
		for _, name := range r.Files {
			fmt.Fprintf(w, "  %s\n", name)
		}
	})
}
