package main

import (
	"fmt"
	"io"
	"maps"
	"os"

	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

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
