package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/run"
)

// goodName are the names that tasks may have: they stand in paths of addresses and of the folder of tasks.
var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckName refuses names that cannot be a task's.
func CheckName(name string) error {
	if !goodName.MatchString(name) {
		return fmt.Errorf("task name %s: letters, digits, '.', '_' and '-', at most 64, the first a letter or digit", quote.String(name))
	}
	if name == Plain {
		return fmt.Errorf("task name %s: that is the untouched model", name)
	}
	if name == "stats" {
		return fmt.Errorf("task name %s: /v2/models/%[1]s are the statistics of all tasks; give it another", name)
	}
	return nil
}

// repository is all tasks by name: those that the operator named when the server started, and those found in a folder. What a name
// stands for never comes from a request.
type repository struct {
	engine *engine
	folder string   // "" for none
	masks  []string // files of masks, for what was trained under them
	note   func(format string, a ...any)

	busy sync.Mutex // held while tasks are loaded or unloaded, one after the other: only who holds it changes entries

	mu      sync.RWMutex // of entries, which every request reads: never held while files are, or notes written
	entries map[string]*entry
}

// entry is a name.
type entry struct {
	spec   Spec
	found  bool   // in the folder
	stamp  string // of its files when they were loaded
	task   *task  // nil while it is not loaded
	reason string // why it is not
}

// unloaded is the reason of a task that somebody unloaded, which a scan leaves so.
const unloaded = "unloaded"

// names are all tasks, sorted.
func (r *repository) names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []string
	for n := range r.entries {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// loaded counts the tasks that are.
func (r *repository) loaded() (n int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.entries {
		if e.task != nil {
			n++
		}
	}
	return n
}

// use is a loaded task, held until its release.
func (r *repository) use(name string) (*task, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.entries[name]
	switch {
	case e == nil:
		return nil, noTask(name)
	case e.task == nil:
		return nil, statusf(http.StatusNotFound, "task %s is not loaded: %s", name, cmp.Or(e.reason, "it has not been yet"))
	}
	e.task.hold()
	return e.task, nil
}

// load loads a task, anew if it is loaded.
func (r *repository) load(ctx context.Context, name string) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	return r.loadLocked(ctx, name)
}

func (r *repository) loadLocked(ctx context.Context, name string) error {
	r.mu.RLock()
	e := r.entries[name]
	r.mu.RUnlock()
	if e == nil {
		return noTask(name)
	}
	spec, stamp := e.spec, stampOf(e.spec)
	var t *task
	err := r.findMask(&spec)
	if err == nil {
		err = r.engine.do(ctx, func() (err error) {
			t, err = r.engine.load(ctx, spec)
			return err
		})
	}
	if err != nil {
		r.engine.metrics.loads.WithLabelValues("failed").Inc()
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.task == nil { // else the old one goes on
			e.reason = err.Error()
		}
		return err
	}
	r.engine.metrics.loads.WithLabelValues("done").Inc()
	r.mu.Lock()
	old := e.task
	e.task, e.reason, e.stamp = t, "", stamp
	r.mu.Unlock()
	if old != nil {
		old.unload()
	}
	r.note("task %s: %s of %s, %s%s", name, t.method, cmp.Or(t.title, "unknown images"), words.Count(len(t.classes), "class"), sparsityText(t.sparsity))
	return nil
}

func sparsityText(percent float64) string {
	if percent == 0 {
		return ""
	}
	return fmt.Sprintf(", %.2f %% of the masked weights are off", percent)
}

// findMask finds the mask that a tuned file was trained under among those that the server knows, by its digest.
func (r *repository) findMask(spec *Spec) error {
	if spec.Mask != "" {
		return nil
	}
	t, err := run.OpenTuned(spec.Tuned)
	if err != nil {
		return err
	}
	t.Close()
	below := t.Spec.Below
	if t.Masks != nil || below == "" {
		return nil
	}
	candidates := slices.Clone(r.masks)
	for _, name := range r.names() {
		r.mu.RLock()
		if e := r.entries[name]; e != nil && name != spec.Name {
			candidates = append(candidates, e.spec.Tuned)
		}
		r.mu.RUnlock()
	}
	for _, c := range candidates {
		m, err := run.OpenTuned(c)
		if err != nil {
			continue // it is told of where it is loaded
		}
		m.Close()
		if m.Masks != nil && m.Sum == below {
			spec.Mask = c
			return nil
		}
	}
	return fmt.Errorf("%s was trained under a mask, a file with SHA-256 %s, which is none of the tasks; name it with -mask", t.Path, below)
}

// unload takes a task away. Requests that use it are finished.
func (r *repository) unload(name string) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	return r.unloadLocked(name, unloaded)
}

func (r *repository) unloadLocked(name, reason string) error {
	r.mu.Lock()
	e := r.entries[name]
	if e == nil {
		r.mu.Unlock()
		return noTask(name)
	}
	old := e.task
	e.task, e.reason = nil, reason
	r.mu.Unlock()
	if old != nil {
		old.unload()
		r.note("task %s: %s", name, reason)
	}
	return nil
}

func noTask(name string) error {
	return statusf(http.StatusNotFound, "there is no task %s", quote.String(name))
}

// scan looks at the folder of tasks: what is new there is loaded, what changed is loaded anew, what is gone is unloaded. What cannot be
// loaded is noted and left.
func (r *repository) scan(ctx context.Context) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	if r.folder == "" {
		return badf("there is no folder of tasks (-models)")
	}
	found, err := r.list()
	if err != nil {
		return err
	}
	there := map[string]bool{}
	r.mu.Lock()
	for _, spec := range found {
		e := r.entries[spec.Name]
		if e == nil {
			e = &entry{found: true}
			r.entries[spec.Name] = e
		}
		if e.found { // a name that was given on the command line stays what it is
			e.spec = spec
			there[spec.Name] = true
		}
	}
	r.mu.Unlock()
	var load, gone []string
	for name, e := range r.entries { // to read them busy is enough
		switch {
		case e.found && !there[name]:
			gone = append(gone, name)
		case e.found && (e.task == nil && e.reason != unloaded || e.task != nil && e.stamp != stampOf(e.spec)):
			load = append(load, name)
		}
	}
	slices.Sort(gone)
	for _, name := range gone {
		if err := r.unloadLocked(name, "its files are gone"); err != nil {
			return err
		}
		r.mu.Lock()
		delete(r.entries, name)
		r.mu.Unlock()
	}
	slices.Sort(load)
	for _, name := range load {
		if err := r.loadLocked(ctx, name); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.note("task %s is not loaded: %v", name, err)
		}
	}
	return nil
}

// list is what tasks the folder has: a folder of a run, with classes.txt and class-prompts.json if it needs them, or a tuned or mask file.
func (r *repository) list() (all []Spec, err error) {
	entries, err := os.ReadDir(r.folder)
	if err != nil {
		return nil, err
	}
	for _, d := range entries {
		path := filepath.Join(r.folder, d.Name())
		name, file := strings.CutSuffix(d.Name(), ".safetensors")
		info, err := os.Stat(path)
		if err != nil || info.IsDir() == file {
			continue
		}
		s := Spec{Name: name, Tuned: path}
		if info.IsDir() {
			if !exists(path, run.TunedName) && !exists(path, run.MaskName) {
				continue
			}
			if exists(path, "classes.txt") {
				s.Classes = filepath.Join(path, "classes.txt")
			}
			if exists(path, "class-prompts.json") {
				s.Prompts = filepath.Join(path, "class-prompts.json")
			}
		}
		if err := CheckName(name); err != nil {
			r.note("%s is passed over: %v", quote.Plain(path), err)
			continue
		}
		if slices.ContainsFunc(all, func(o Spec) bool { return o.Name == name }) {
			return nil, fmt.Errorf("%s has both a folder and a file for task %s", r.folder, name)
		}
		all = append(all, s)
	}
	return all, nil
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}

// stampOf changes when the files of a task do.
func stampOf(s Spec) string {
	var b strings.Builder
	for _, path := range []string{s.Tuned, filepath.Join(s.Tuned, run.TunedName), filepath.Join(s.Tuned, run.MaskName), s.Classes, s.Prompts} {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
