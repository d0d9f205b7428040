package rmt

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/optim"
)

// Training checkpoints are sealed safetensors files, training-STEP.safetensors, of scores and optimizer state. A run
// continued from one gives the same mask file, to the byte, as one that was never stopped: everything else a step
// depends on is a function of the settings, the data and the step's number.
const (
	stateFormat  = "fewshot-training"
	stateVersion = "1"
	statePrefix  = "training-"
	stateSuffix  = ".safetensors"
	keepStates   = 2 // the newest, and one to fall back on
)

// ErrOtherRun says that a training checkpoint was written by a run with other settings, data or backbone.
var ErrOtherRun = errors.New("the checkpoint belongs to another run")

// SaveState writes the tuner's state at a position into dir and removes older checkpoints. identity says which run it
// is: settings, data, backbone; RestoreState compares it.
func SaveState(dir string, t *Tuner, at Position, identity string) error {
	where, err := json.Marshal(at)
	if err != nil {
		return err
	}
	step := t.Optimizer.Steps()
	meta := map[string]string{"format": stateFormat, "version": stateVersion, "identity": identity, "position": string(where), "steps": strconv.Itoa(step)}
	var entries []checkpoint.Entry
	for _, s := range t.state() {
		entries = append(entries, checkpoint.Entry{Name: s.Name, DType: checkpoint.F32, Shape: s.Tensor.Shape(),
			Data: func(w io.Writer) error { return checkpoint.Float32s(s.Tensor.Floats(), checkpoint.F32)(w) }})
	}
	path := filepath.Join(dir, fmt.Sprintf("%s%09d%s", statePrefix, step, stateSuffix))
	if err := checkpoint.WriteFile(path, func(w io.Writer) error { return checkpoint.WriteSealed(w, meta, entries) }); err != nil {
		return err
	}
	files, err := stateFiles(dir)
	if err != nil {
		return err
	}
	return remove(files[min(keepStates, len(files)):])
}

// RestoreState puts the tuner where the newest readable checkpoint in dir left off. found is false if dir has none.
// A damaged checkpoint is passed over for the one before, and reported through skipped.
func RestoreState(dir string, t *Tuner, identity string, skipped func(path string, err error)) (at Position, found bool, err error) {
	files, err := stateFiles(dir)
	if err != nil {
		return at, false, err
	}
	for i, path := range files {
		at, err := t.restore(path, identity)
		if err == nil {
			return at, true, nil
		}
		if !errors.Is(err, checkpoint.Corrupt) || i == len(files)-1 {
			return at, false, err
		}
		skipped(path, err)
	}
	return at, false, nil
}

// RemoveState removes all checkpoints in dir, after the run they were for is done.
func RemoveState(dir string) error {
	files, err := stateFiles(dir)
	if err != nil {
		return err
	}
	return remove(files)
}

// state lists everything that changes from step to step, under fixed names.
func (t *Tuner) state() []optim.Named {
	var all []optim.Named
	for _, m := range t.Masks {
		all = append(all, optim.Named{Name: "scores/" + m.Param.Name, Tensor: m.Scores})
		for _, s := range t.Optimizer.State(m.Scores) {
			all = append(all, optim.Named{Name: s.Name + "/" + m.Param.Name, Tensor: s.Tensor})
		}
	}
	return all
}

func (t *Tuner) restore(path, identity string) (at Position, err error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return at, err
	}
	defer f.Close()
	meta := f.Metadata()
	if meta["format"] != stateFormat || meta["version"] != stateVersion {
		return at, &checkpoint.Error{Path: path, Offset: -1, Kind: checkpoint.Unsupported, Problem: "not a training checkpoint of this version of the program"}
	}
	if err := f.VerifySeal(); err != nil {
		return at, err
	}
	if meta["identity"] != identity {
		return at, fmt.Errorf("%s: %w: it says %s, this run is %s", path, ErrOtherRun, cut(meta["identity"]), cut(identity))
	}
	steps, err := strconv.Atoi(meta["steps"])
	if err == nil {
		err = json.Unmarshal([]byte(meta["position"]), &at)
	}
	if err != nil {
		return at, &checkpoint.Error{Path: path, Offset: -1, Kind: checkpoint.Corrupt, Problem: "steps or position are not numbers", Err: err}
	}
	// Read everything before changing anything.
	var values [][]float32
	for _, s := range t.state() {
		v := make([]float32, s.Tensor.Len())
		if err := f.Read(s.Name, v); err != nil {
			return at, err
		}
		values = append(values, v)
	}
	for i, s := range t.state() {
		s.Tensor.Set(values[i])
	}
	t.Optimizer.SetSteps(steps)
	t.flipped = SparsityOf(t.Masks).Off > 0
	return at, nil
}

// stateFiles lists the checkpoints in dir, newest first.
func stateFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	step := func(name string) int {
		number, ok := strings.CutPrefix(name, statePrefix)
		number, suffix := strings.CutSuffix(number, stateSuffix)
		n, err := strconv.Atoi(number)
		if !ok || !suffix || err != nil {
			return -1
		}
		return n
	}
	var names []string
	for _, e := range entries {
		if step(e.Name()) >= 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(step(b), step(a)) })
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names, nil
}

func remove(paths []string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
