package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// ZeroShot is the method of a run without training: the untouched model.
const ZeroShot = "zero-shot"

// synthPrefix begins the name of a data set that is drawn, and lies nowhere.
const synthPrefix = "synth:"

// Run is one run of a plan.
type Run struct {
	Method string `json:"method"`
	// Settings are those that were given, by flag of the method, in the flag's own spelling; the others are the published ones for the
	// data ([run.Lookup], Defaults).
	Settings map[string]string `json:"settings,omitempty"`
	// Select is by what the epoch is chosen, and settings among some; nil for no choice. Its Among is left to the run.
	Select *run.Selection `json:"select,omitempty"`
	Model  Model          `json:"model"`
	Data   Data           `json:"data"`
	// Below is the id of the run of the same plan under whose mask this one is trained.
	Below string `json:"below,omitempty"`
	// Mask is a mask file that it is trained under, from elsewhere.
	Mask *MaskFile `json:"mask,omitempty"`
	// Evaluate is what the result is tested on besides its own test images. It is not part of the id.
	Evaluate []Evaluation `json:"evaluate,omitempty"`
}

// Model is a CLIP, and what of its options changes a result.
type Model struct {
	Name       string `json:"name"`             // as given: a file, a folder, or a name
	Digest     string `json:"digest,omitempty"` // of all weights; "" where they were not read yet
	Activation string `json:"activation,omitempty"`
	Heads      string `json:"heads,omitempty"`
	Pillow     int    `json:"pillow,omitempty"`
	ImageSize  int    `json:"image_size,omitempty"`
	Ensemble   string `json:"ensemble,omitempty"`  // order in which several prompts are normalised; "" is normalize-first
	Precision  string `json:"precision,omitempty"` // "" is float32
}

// Data is a data set, and what is taken of it.
type Data struct {
	Name      string   `json:"name"`            // as given: of the table, synth:TASK, or a path
	Split     string   `json:"split,omitempty"` // SHA-256 of the whole data set's classes and items; "" where it was not read yet
	Classes   string   `json:"classes"`         // all, base or new
	Templates []string `json:"templates,omitempty"`
	// Prompts are each class's own, in place of templates; nil for templates.
	Prompts *PromptsFile `json:"class_prompts,omitempty"`
	Shots   int          `json:"shots"`            // 0 for all
	Sample  string       `json:"sample,omitempty"` // who draws: [OfProbe], or "" for CoOp's own sample
	Seed    uint64       `json:"seed"`
	Reading Reading      `json:"reading,omitzero"`
}

// Reading says how a folder of one's own is read.
type Reading struct {
	Division     string `json:"division,omitempty"` // as 0.8, 0.7,0.1 or 1/5
	DivisionSeed uint64 `json:"division_seed,omitempty"`
	ClassNames   string `json:"class_names,omitempty"` // a file
	LabelColumn  string `json:"label_column,omitempty"`
	ClassLevel   int    `json:"class_level,omitempty"`
}

// MaskFile is a mask from outside the plan.
type MaskFile struct {
	Path string `json:"path"`
	Sum  string `json:"sha256"` // of the file
}

// OpenMask finds the digest of a mask file, or of that in the folder of its run.
func OpenMask(path string) (*MaskFile, error) {
	t, err := run.OpenTuned(path)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if t.Masks == nil {
		return nil, fmt.Errorf("%s is no mask: it was trained by %s beside the encoder, and nothing can be trained under it", t.Path, t.Spec.Method)
	}
	return &MaskFile{t.Path, t.Sum}, nil
}

// Evaluation is a further test of what a run has learned.
type Evaluation struct {
	Data      string   `json:"data"`                // data set
	Classes   string   `json:"classes"`             // all, base or new
	Templates []string `json:"templates,omitempty"` // nil for those of the training on the same data, the set's own on others
	Split     string   `json:"split,omitempty"`     // SHA-256 of the whole data set; "" where it was not read yet
}

// Key names the evaluation among those of a run.
func (e Evaluation) Key() string {
	e.Split = ""
	return hash(canonical(e))
}

// identity is what of a run its id is the hash of.
type identity struct {
	Method   string            `json:"method"`
	Settings map[string]string `json:"settings,omitempty"`
	Select   *run.Selection    `json:"select,omitempty"`
	Model    Model             `json:"model"`
	Data     Data              `json:"data"`
	Below    string            `json:"below,omitempty"`
	Mask     string            `json:"mask,omitempty"`
}

// ID is the run's name, its folder's too: the first 16 hexadecimal digits of the SHA-256 of what determines its result. Of a model and
// a folder whose contents are known by their hashes, names do not count: they say where these lie. A data set of the table, or a drawn
// one, counts by name too, as published settings depend on it.
func (r *Run) ID() string {
	i := identity{Method: r.Method, Settings: r.Settings, Select: r.Select, Model: r.Model, Data: r.Data, Below: r.Below}
	if i.Model.Digest != "" {
		i.Model.Name = ""
	}
	if spec, ok := datasets.Lookup(i.Data.Name); ok {
		i.Data.Name = spec.Name
	}
	if i.Data.Split != "" && !r.named() {
		i.Data.Name, i.Data.Reading = "", Reading{}
	}
	if p := i.Data.Prompts; p != nil {
		i.Data.Prompts = &PromptsFile{Sum: p.Sum}
	}
	if r.Mask != nil {
		i.Mask = r.Mask.Sum
	}
	return hash(canonical(i))
}

// named reports whether the data set is one of the table, or a drawn one: its name is more than a place.
func (r *Run) named() bool {
	_, ok := datasets.Lookup(r.Data.Name)
	return ok || strings.HasPrefix(r.Data.Name, synthPrefix)
}

// idLen is how many characters an id has.
const idLen = 16

func hash(b []byte) string { return fullHash(b)[:idLen] }

func fullHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// canonical is the one form of a value as JSON: no blanks, keys of maps in order, no escapes for HTML.
func canonical(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // plain numbers and strings
	}
	return bytes.TrimSpace(b.Bytes())
}

// String says what the run is, for people.
func (r *Run) String() string {
	s := fmt.Sprintf("%s on %s, ", quote.Plain(r.Method), quote.Plain(r.Data.Name))
	if r.Data.Classes != "all" {
		s += quote.Plain(r.Data.Classes) + " classes, "
	}
	if r.Method == ZeroShot {
		return strings.TrimSuffix(s, ", ")
	}
	return strings.TrimSuffix(s, ", ") + shots(r.Data.Shots) + fmt.Sprintf(", seed %d", r.Data.Seed)
}

// Check refuses what can be no run, without opening anything.
func (r *Run) Check() error {
	switch {
	case r.Model.Name == "":
		return fmt.Errorf("a run names no model")
	case r.Data.Name == "":
		return fmt.Errorf("a run names no data set")
	case r.Data.Shots < 0:
		return fmt.Errorf("%d shots: a number of images per class, or 0 for all", r.Data.Shots)
	case r.Below != "" && r.Mask != nil:
		return fmt.Errorf("a run is trained under one mask, and this one names two")
	case r.Method == ZeroShot && (r.Below != "" || r.Mask != nil || len(r.Settings) > 0 || r.Select != nil || r.Data.Shots != 0 || r.Data.Sample != "" || r.Data.Seed != 0):
		return fmt.Errorf("%s has no settings, no choice among them, no sample, no seed and no mask below it", ZeroShot)
	}
	if err := checkClasses(r.Data.Classes); err != nil {
		return err
	}
	for _, e := range r.Evaluate {
		if e.Data == "" {
			return fmt.Errorf("an evaluation names no data set")
		}
		if err := checkClasses(e.Classes); err != nil {
			return err
		}
	}
	if err := checkTemplates(r); err != nil {
		return err
	}
	if err := r.checkData(); err != nil {
		return err
	}
	if r.Method == ZeroShot {
		return nil
	}
	if _, err := lookup(r.Method); err != nil {
		return err
	}
	return r.checkChoice()
}

// methods are all of the table by name: a plan asks for them very often.
var methods = sync.OnceValue(func() map[string]*method.Method {
	all := map[string]*method.Method{}
	for _, m := range run.Methods() {
		all[m.Name] = m
	}
	return all
})

func lookup(name string) (*method.Method, error) {
	if m := methods()[name]; m != nil {
		return m, nil
	}
	return run.Lookup(name)
}

func checkClasses(c string) error {
	if !slices.Contains([]string{"all", "base", "new"}, c) {
		return fmt.Errorf("classes %s: not one of all, base and new", quote.String(c))
	}
	return nil
}

func checkTemplates(r *Run) error {
	all := slices.Clone(r.Data.Templates)
	for _, e := range r.Evaluate {
		all = append(all, e.Templates...)
	}
	for _, t := range all {
		if strings.Count(t, "{}") != 1 {
			return fmt.Errorf("template %s: the class name goes in once, where {} stands", quote.String(t))
		}
	}
	return nil
}

// With is the run with further evaluations, none twice, in the order of their keys.
func (r Run) With(more ...Evaluation) Run {
	all := slices.Concat(r.Evaluate, more)
	slices.SortStableFunc(all, func(a, b Evaluation) int { return strings.Compare(a.Key(), b.Key()) })
	r.Evaluate = slices.CompactFunc(all, func(a, b Evaluation) bool { return a.Key() == b.Key() })
	if len(r.Evaluate) == 0 {
		r.Evaluate = nil
	}
	return r
}
