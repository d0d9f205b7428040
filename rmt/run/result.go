package run

import (
	"encoding/json"
	"fmt"
	"io"

	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/train"
)

// Result is what a run comes to: result.json, and the last line of -json.
type Result struct {
	Kind      string               `json:"kind"`
	SpecHash  string               `json:"spec_sha256"`
	Spec      Spec                 `json:"spec"`
	Model     string               `json:"model"`    // as it was given
	Backbone  string               `json:"backbone"` // digest of the weights
	Dataset   string               `json:"dataset"`  // as it was given
	Title     string               `json:"dataset_title"`
	Synthetic bool                 `json:"synthetic"` // drawn by this program: not comparable with published figures
	Classes   string               `json:"classes"`
	NumClass  int                  `json:"num_classes"`
	Templates []string             `json:"templates"`
	Shots     int                  `json:"shots"`
	Seed      uint64               `json:"seed"`
	Train     int                  `json:"train_images"`
	Split     string               `json:"split_sha256"`
	Method    string               `json:"method"`
	Config    json.RawMessage      `json:"config"`
	Figures   map[string]float64   `json:"figures,omitempty"` // of the method
	Choice    *Choice              `json:"choice,omitempty"`  // of epoch and settings, where there was one
	ZeroShot  *Accuracy            `json:"zeroshot,omitempty"`
	Test      *Accuracy            `json:"test"` // null without test images
	Sparsity  *rmt.Sparsity        `json:"sparsity,omitempty"`
	Percent   *float64             `json:"sparsity_percent,omitempty"`
	Tensors   []rmt.TensorSparsity `json:"tensors,omitempty"`
	File      string               `json:"file"` // mask or tuned file
	FileBytes int64                `json:"file_bytes"`
	FileSum   string               `json:"file_sha256"`
	Epochs    []train.Epoch        `json:"epochs,omitempty"`
	TrainRate float64              `json:"train_images_per_second"` // 0 where features were had from other runs of the process
	EvalRate  float64              `json:"eval_images_per_second"`  // 0 where the images' features were there from another run of the process
	Seconds   float64              `json:"seconds"`                 // of the clock, over all processes that the run took
	CPU       float64              `json:"cpu_seconds,omitempty"`   // of all processors of the host, which other work there hardly changes; 0 where not known, as in older results
	Device    string               `json:"device"`
	Program   string               `json:"program"`
	Flags     map[string]string    `json:"flags,omitempty"`   // by which model, data, numbers and settings were chosen, as they were given
	Remarks   []string             `json:"remarks,omitempty"` // what must be known to judge the figures
}

// Print is the result for people.
func (r *Result) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s on %s, %s, seed %d\n", r.Method, r.Dataset, words.Count(r.Shots, "shot"), r.Seed)
	if c := r.Choice; c != nil {
		fmt.Fprintf(w, "  chosen     %s  (%.2f %% of %s)\n", c.words(), c.Accuracy, words.Count(c.Images, "validation image"))
	}
	if r.ZeroShot != nil {
		fmt.Fprintf(w, "  zero-shot  %6.2f %%\n", r.ZeroShot.Accuracy)
	}
	switch {
	case r.Test == nil:
		fmt.Fprintf(w, "  tuned      there are no test images\n")
	case r.ZeroShot != nil:
		fmt.Fprintf(w, "  tuned      %6.2f %%  (%+.2f)\n", r.Test.Accuracy, r.Test.Accuracy-r.ZeroShot.Accuracy)
	default:
		fmt.Fprintf(w, "  tuned      %6.2f %%\n", r.Test.Accuracy)
	}
	if r.Sparsity != nil && r.Percent != nil {
		fmt.Fprintf(w, "  sparsity   %6.2f %%  (%d of %d masked weights are off)\n", *r.Percent, r.Sparsity.Off, r.Sparsity.Total)
	}
	fmt.Fprintf(w, "  file       %s, %d bytes\n", r.File, r.FileBytes)
	fmt.Fprintf(w, "  speed      %s%.0f s in all", r.rates(), r.Seconds)
	if r.CPU > 0 {
		fmt.Fprintf(w, ", %.0f s of processors", r.CPU)
	}
	fmt.Fprintln(w)
	if r.Synthetic {
		fmt.Fprintln(w, "  (a synthetic task: not comparable with published figures)")
	}
	for _, s := range r.Remarks {
		fmt.Fprintf(w, "  %s\n", s)
	}
}

// rates are images a second of what was done: there are methods without steps, and data without test images.
func (r *Result) rates() string {
	s := ""
	if r.TrainRate > 0 {
		s += fmt.Sprintf("training %.1f images/s, ", r.TrainRate)
	}
	if r.EvalRate > 0 {
		s += fmt.Sprintf("evaluation %.1f images/s, ", r.EvalRate)
	}
	return s
}
