package run

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/tensor"
)

// Verification says whether a run, made again, left the same.
type Verification struct {
	Kind string `json:"kind"`
	// Same says that the files of what was learned have the same bytes, Content that what is learned in them has: files hold the spec of
	// their run too.
	Same    bool `json:"same_bytes"`
	Content bool `json:"same_content"`
	// Figures are those of the result that the run, made again, does not come to, as "test.correct was … and is …".
	Figures []string `json:"figures,omitempty"`
	Was     Side     `json:"was"`
	Is      Side     `json:"is"`
	Out     string   `json:"out,omitempty"` // folder of the second run, where it is kept
	// Differences are those of the specs; Reasons what may have come of them.
	Differences []string           `json:"differences,omitempty"`
	Reasons     []string           `json:"reasons,omitempty"`
	Tensors     []TensorDifference `json:"tensors,omitempty"` // those that differ
}

// Side is one of the two runs.
type Side struct {
	FileSum string    `json:"file_sha256"`
	Test    *Accuracy `json:"test"`
	Device  string    `json:"device"`
	Program string    `json:"program"`
}

// TensorDifference is how far a tensor of one file is from that of the other.
type TensorDifference struct {
	Name  string `json:"name"`
	Total int    `json:"elements"`
	// Differ is how many elements, or bits of a mask, are not the same. Max is the largest absolute difference of numbers.
	Differ int     `json:"differ"`
	Max    float64 `json:"max_abs_difference,omitempty"`
	// Missing says that one file has no such tensor, or one of another shape.
	Missing bool `json:"missing,omitempty"`
}

// Verify makes the run of a result again, in the request's output folder, and compares what it leaves with what lies in folder. A request
// for another run, with other weights or images or settings, is refused before any work: only numbers of other kinds may differ.
func (r *Request) Verify(ctx context.Context, was *Result, folder string) (*Verification, error) {
	before, err := OpenTuned(was.Learned(folder))
	if err != nil {
		return nil, err
	}
	defer before.Close()
	if before.Sum != was.FileSum {
		return nil, fmt.Errorf("%s is not what the run left: its SHA-256 is %s, and %s says %s", before.Path, before.Sum, ResultName, was.FileSum)
	}
	below := ""
	if r.Below != "" {
		f, err := OpenTuned(r.Below)
		if err != nil {
			return nil, err
		}
		below = f.Sum
		f.Close()
	}
	now, err := r.specOf(ctx, below)
	if err != nil {
		return nil, err
	}
	other := now
	other.Compute = was.Spec.Compute
	if d := was.Spec.Differences(other); len(d) > 0 || was.Spec.Below != below {
		if was.Spec.Below != below {
			d = append(d, fmt.Sprintf("mask_below was %s and is %s", quote.String(was.Spec.Below), quote.String(below)))
		}
		return nil, fmt.Errorf("this would be another run: %s; name the model, the data and the mask of then", strings.Join(d, "; "))
	}
	again := *r
	again.ZeroShot = was.ZeroShot != nil // a figure of the result too
	result, err := again.Run(ctx)
	if err != nil {
		return nil, err
	}
	after, err := OpenTuned(result.File)
	if err != nil {
		return nil, err
	}
	defer after.Close()
	v := &Verification{Kind: "result", Same: before.Sum == after.Sum, Was: side(was), Is: side(result), Differences: was.Spec.Differences(result.Spec)}
	if v.Tensors, err = before.compare(after); err != nil {
		return nil, err
	}
	v.Content = len(v.Tensors) == 0
	v.Figures = figuresOf(was, result)
	v.reason()
	return v, nil
}

// figures are the fields of a result that are measured, and that the same run comes to again.
func (r *Result) figures() map[string]string {
	b, err := json.Marshal(struct {
		Test     *Accuracy          `json:"test"`
		ZeroShot *Accuracy          `json:"zeroshot"`
		Choice   *Choice            `json:"choice"`
		Figures  map[string]float64 `json:"figures"`
		Sparsity *rmt.Sparsity      `json:"sparsity"`
		Percent  *float64           `json:"sparsity_percent"`
	}{r.Test, r.ZeroShot, r.Choice, r.Figures, r.Sparsity, r.Percent})
	if err != nil {
		panic(err) // numbers and strings, and no number of a result is infinite
	}
	return FieldsOf(b)
}

// figuresOf lists what the second result has other than the first.
func figuresOf(was, now *Result) (all []string) {
	a, b := was.figures(), now.figures()
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, k := range slices.Sorted(maps.Keys(names)) {
		if a[k] != b[k] {
			all = append(all, fmt.Sprintf("%s was %s and is %s", k, quote.Text(cmp.Or(a[k], "absent")), quote.Text(cmp.Or(b[k], "absent"))))
		}
	}
	return all
}

func side(r *Result) Side { return Side{r.FileSum, r.Test, r.Device, r.Program} }

// reason finds what may be behind a difference.
func (v *Verification) reason() {
	if v.Same {
		return
	}
	because := map[string]string{
		"compute.kernels":     "other kernels add in another order, and so round otherwise",
		"compute.precision":   "numbers of another format round otherwise",
		"compute.strassen":    "Strassen's algorithm makes other products of the same matrices, and so rounds otherwise",
		"compute.micro_batch": "gradients of other parts of a batch are added up, and so round otherwise",
	}
	for _, d := range v.Differences {
		name, _, _ := strings.Cut(d, " ")
		why := because[name]
		switch {
		case v.Content:
			v.Reasons = append(v.Reasons, d+": so do the files say")
		case why != "":
			v.Reasons = append(v.Reasons, d+": "+why)
		}
	}
	if v.Was.Program != v.Is.Program {
		v.Reasons = append(v.Reasons, fmt.Sprintf("the program was %s and is %s: another version may compute, or write files, otherwise", quote.Plain(v.Was.Program), quote.Plain(v.Is.Program)))
	}
	switch {
	case len(v.Reasons) > 0:
	case v.Content:
		v.Reasons = []string{"what was learned is the same; the files say different things about it"}
	default:
		v.Reasons = []string{"nothing that determines a result differs: a fault of the program, of its build or of a machine; please report it"}
	}
}

// compare lists the tensors of two files that differ. Sizes are those of the second, which this process has written.
func (t *Tuned) compare(now *Tuned) (all []TensorDifference, err error) {
	if (t.Masks == nil) != (now.Masks == nil) {
		return nil, fmt.Errorf("%s and %s are files of different kinds", t.Path, now.Path)
	}
	if now.Masks != nil {
		return t.compareMasks(now)
	}
	names := now.file.Names()
	for _, n := range t.file.Names() {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, name := range names {
		a, hasA := t.file.Info(name)
		b, hasB := now.file.Info(name)
		if hasA && hasB && a.DType != checkpoint.F32 && b.DType != checkpoint.F32 { // the file's seal
			continue
		}
		d := TensorDifference{Name: name, Total: tensor.Len(b.Shape), Missing: !hasA || !hasB || !slices.Equal(a.Shape, b.Shape) || a.DType != b.DType || b.DType != checkpoint.F32}
		if !d.Missing {
			x, y := make([]float32, d.Total), make([]float32, d.Total)
			if err := t.file.Read(name, x); err != nil {
				return nil, err
			}
			if err := now.file.Read(name, y); err != nil {
				return nil, err
			}
			for i := range x {
				if math.Float32bits(x[i]) != math.Float32bits(y[i]) {
					d.Differ++
					d.Max = math.Max(d.Max, math.Abs(float64(x[i])-float64(y[i])))
				}
			}
		}
		if d.Missing || d.Differ > 0 {
			all = append(all, d)
		}
	}
	return all, nil
}

func (t *Tuned) compareMasks(now *Tuned) (all []TensorDifference, err error) {
	seen := map[string]bool{}
	for _, b := range now.Masks.Tensors {
		d := TensorDifference{Name: b.Name, Total: tensor.Len(b.Shape)}
		seen[b.Name] = true
		i := -1
		for k, a := range t.Masks.Tensors {
			if a.Name == b.Name && slices.Equal(a.Shape, b.Shape) {
				i = k
			}
		}
		if d.Missing = i < 0; !d.Missing {
			x, err := t.Masks.Keep(t.Masks.Tensors[i], b.Shape)
			if err != nil {
				return nil, err
			}
			y, err := now.Masks.Keep(b, b.Shape)
			if err != nil {
				return nil, err
			}
			for k := range x {
				if x[k] != y[k] {
					d.Differ++
				}
			}
		}
		if d.Missing || d.Differ > 0 {
			all = append(all, d)
		}
	}
	for _, a := range t.Masks.Tensors {
		if !seen[a.Name] {
			all = append(all, TensorDifference{Name: a.Name, Missing: true})
		}
	}
	return all, nil
}

// mostTensors is how many differing tensors people are told of; programs get all.
const mostTensors = 12

// Print is the verification for people.
func (v *Verification) Print(w io.Writer) {
	switch {
	case v.Same && len(v.Figures) > 0:
		fmt.Fprintf(w, "made again, the run left the same bytes (SHA-256 %s), but other figures than %s says\n", v.Is.FileSum, ResultName)
	case v.Same:
		fmt.Fprintf(w, "verified: made again, the run left the same bytes (SHA-256 %s)\n", v.Is.FileSum)
	case v.Content:
		fmt.Fprintln(w, "what was learned is the same to the bit, but the files are not")
	default:
		differ, total, largest := 0, 0, 0.0
		for _, t := range v.Tensors {
			differ, total, largest = differ+t.Differ, total+t.Total, math.Max(largest, t.Max)
		}
		fmt.Fprintf(w, "not the same: %d of %d elements differ, in %d tensors", differ, total, len(v.Tensors))
		if largest > 0 {
			fmt.Fprintf(w, ", by at most %.3g", largest)
		}
		fmt.Fprintln(w)
		for i, t := range v.Tensors {
			switch {
			case i == mostTensors:
				fmt.Fprintf(w, "  … and %d more\n", len(v.Tensors)-i)
			case i > mostTensors:
			case t.Missing:
				fmt.Fprintf(w, "  %s: is not in both files, or of another shape\n", quote.Plain(t.Name))
			case t.Max > 0:
				fmt.Fprintf(w, "  %s: %d of %d differ, by at most %.3g\n", quote.Plain(t.Name), t.Differ, t.Total, t.Max)
			default:
				fmt.Fprintf(w, "  %s: %d of %d bits\n", quote.Plain(t.Name), t.Differ, t.Total)
			}
		}
	}
	for _, s := range v.Reasons {
		fmt.Fprintf(w, "  %s\n", s)
	}
	for _, s := range v.Figures {
		fmt.Fprintf(w, "  %s: %s\n", ResultName, s)
	}
	if a, b := v.Was.Test, v.Is.Test; a != nil && b != nil {
		fmt.Fprintf(w, "  accuracy   %.2f %% then, %.2f %% now (%d and %d of %s)\n", a.Accuracy, b.Accuracy, a.Correct, b.Correct, words.Count(b.Images, "image"))
	}
	if v.Out != "" {
		fmt.Fprintf(w, "  the second run is in %s\n", v.Out)
	}
}
