package serve

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"fewshot/datasets"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// Spec says what a task is made of: files, by paths that the operator gave.
type Spec struct {
	Name    string
	Tuned   string // tuned or mask file, or the folder of its run
	Mask    string // that the tuned file was trained under; "" for none, or to be found among the others by its digest
	Classes string // file of class names, one a line, where the tuned file has none; "" for none
	Prompts string // file of prompts of each class, where it was trained with such; "" for none
}

// Plain is the name of the untouched model, which takes classes from requests.
const Plain = "clip"

// task is what is loaded.
type task struct {
	name     string
	method   string
	title    string // of the data set that it was learned on
	classes  []string
	template string  // "" where it has something else in its place
	sparsity float64 // percent of masked weights that are off; 0 without a mask
	bytes    int64   // that it has for itself
	way      through
	plain    through // the untouched model on the same classes
	open     bool    // it is an encoder, which takes other classes too

	resident *run.Resident
	mu       sync.Mutex
	users    int
	unloaded bool
	free     func() // has the engine give its memory back
}

// hold keeps the task's memory until release.
func (t *task) hold() {
	t.mu.Lock()
	t.users++
	t.mu.Unlock()
}

func (t *task) release() {
	t.mu.Lock()
	t.users--
	last := t.unloaded && t.users == 0
	t.mu.Unlock()
	if last && t.free != nil {
		t.free()
	}
}

// unload has the memory given back once nobody uses it.
func (t *task) unload() {
	t.hold()
	t.mu.Lock()
	t.unloaded = true
	t.mu.Unlock()
	t.release()
}

// defaultTemplate is for tasks whose files do not say how classes are put to the model.
const defaultTemplate = "a photo of a {}."

// load makes a task. Only the engine may call it.
func (e *engine) load(ctx context.Context, spec Spec) (*task, error) {
	files, err := run.OpenLoaded(spec.Mask, spec.Tuned)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	top := files.Tuned
	if top == nil {
		top = files.Mask
	}
	classes := top.Classes
	if spec.Classes != "" {
		if classes, err = datasets.ReadClassNames(spec.Classes); err != nil {
			return nil, err
		}
	}
	if len(classes) < 2 {
		return nil, fmt.Errorf("%s does not name its classes: give their names, in the order of the training's labels, a line each, in a file by -classes-file %s=FILE, "+
			"or classes.txt beside it in a folder of -models", top.Path, spec.Name)
	}
	templates := top.Spec.Data.Templates
	if len(templates) == 0 {
		templates = []string{defaultTemplate}
	}
	job := &method.Job{Dev: e.dev, Model: e.model.Share(), Classes: classes, Templates: templates, Seed: top.Spec.Data.Seed}
	if p := top.Spec.Data.Prompts; p != "" && p != "templates" || spec.Prompts != "" {
		if job.Prompts, err = readPrompts(spec, classes, p); err != nil {
			return nil, err
		}
	}
	r, err := files.Settle(ctx, job, false)
	if err != nil {
		return nil, err
	}
	instead, err := files.Instead(classes)
	if err != nil {
		r.Release()
		return nil, err
	}
	r.Pack()
	t := &task{name: spec.Name, method: top.Spec.Method, title: top.Spec.Data.Title, classes: classes, template: templates[0], bytes: r.Bytes(), resident: r}
	if instead != "" {
		t.template = "" // it has no part in what the task says
	}
	if t.method == "" {
		t.method = "mask"
	}
	if r.Sparsity != nil {
		t.sparsity = r.Sparsity.Percent()
	}
	encoder, of, same, ok := r.Encoder(e.model.Image.Params())
	switch {
	case !ok:
		t.way.tower = &tower{classifier: r.Classifier}
	case same:
		t.way.tower = e.plain
	default:
		t.way.tower = &tower{encoder: encoder}
	}
	if t.way.head = &(head{of: of}); !ok {
		t.way.head = &head{}
	}
	t.way.stats = &statistics{}
	t.open = ok && files.Tuned == nil
	// The untouched model is asked as the task was, by texts of a text encoder that nothing was put on.
	plain := &method.Job{Dev: e.dev, Model: e.model, Classes: classes, Templates: templates, Prompts: job.Prompts}
	release := func() {
		r.Release()
		plain.Close()
		e.dev.Trim()
		runtime.GC() // gives back what was packed, which may lie outside of its heap and so does not bring it on
	}
	h, err := plain.Head(ctx)
	if err == nil {
		err = e.dev.Sync()
	}
	if err != nil {
		release()
		return nil, err
	}
	t.plain = through{tower: e.plain, head: &head{of: h}}
	t.free = func() { e.later(release) }
	return t, nil
}

// later has the engine do something when it has time, also while it ends.
func (e *engine) later(f func()) {
	e.mu.Lock()
	e.work = append(e.work, f)
	e.mu.Unlock()
	e.nudge()
}

// readPrompts reads the prompts of a task's classes, which must be those of its training.
func readPrompts(spec Spec, classes []string, was string) (map[string][]string, error) {
	if spec.Prompts == "" {
		return nil, fmt.Errorf("task %s was trained with prompts by class: give their file, whose prompts have SHA-256 %s, by -class-prompts %s=FILE", spec.Name, was, spec.Name)
	}
	prompts, _, err := datasets.ReadPrompts(spec.Prompts, classes)
	if err != nil {
		return nil, err
	}
	is := datasets.HashPrompts(classes, prompts)
	if was != "" && was != is {
		return nil, fmt.Errorf("task %s was trained with other prompts by class: those of %s have SHA-256 %s, and those of the training %s", spec.Name, spec.Prompts, is, was)
	}
	by := map[string][]string{}
	for i, c := range classes {
		by[c] = prompts[i]
	}
	return by, nil
}
