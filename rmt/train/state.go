package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/optim"
)

// StateFormat is the metadata "format" of a training checkpoint.
const StateFormat = "fewshot-training"

// Training checkpoints are sealed safetensors files, training-STEP.safetensors, of trained tensors and optimizer
// state. A run continued from one gives the same result, to the byte, as one that was never stopped: everything else
// a step depends on is a function of the settings, the data and the step's number.
const (
	stateVersion = "2"
	statePrefix  = "training-"
	stateSuffix  = ".safetensors"
	runPrefix    = "run/" // of metadata that says which run it is
	keepStates   = 2      // the newest, and one to fall back on
)

// ErrOtherRun says that a training checkpoint was written by a run with other settings, data or backbone.
var ErrOtherRun = errors.New("the checkpoint belongs to another run")

// SaveState writes the trainer's state at a position into dir, with what the run has behind it, and removes older
// checkpoints. run says which run it is: settings, data, backbone, by name; RestoreState compares it. A state that is
// not finite is not written: what was written before is of more use.
func SaveState(dir string, t *Trainer, at Position, done Progress, run map[string]string) error {
	if err := t.Check(); err != nil {
		return err
	}
	where, err := json.Marshal(at)
	if err != nil {
		return err
	}
	behind, err := json.Marshal(done)
	if err != nil {
		return err
	}
	meta := map[string]string{"format": StateFormat, "version": stateVersion, "position": string(where), "progress": string(behind), "steps": strconv.Itoa(t.steps)}
	for k, v := range run {
		meta[runPrefix+k] = v
	}
	var entries []checkpoint.Entry
	for _, s := range t.state() {
		entries = append(entries, checkpoint.Entry{Name: s.Name, DType: checkpoint.F32, Shape: s.Tensor.Shape(),
			Data: func(w io.Writer) error { return checkpoint.Float32s(s.Tensor.Floats(), checkpoint.F32)(w) }})
	}
	path := filepath.Join(dir, stateName(t.steps))
	// What a broken device hands out is no state: its error must be known before the file counts.
	write := func(w io.Writer) error { return errors.Join(checkpoint.WriteSealed(w, meta, entries), t.dev.Sync()) }
	if err := checkpoint.WriteFile(path, write); err != nil {
		return err
	}
	files, err := StateFiles(dir)
	if err != nil {
		return err
	}
	return remove(files[min(keepStates, len(files)):])
}

// RestoreState puts the trainer where the newest readable checkpoint in dir left off. found is false if dir has none.
// A damaged checkpoint is passed over for the one before, and reported through skipped. One of another run is refused
// with ErrOtherRun. What a killed process left half written is removed: only the process that owns dir may call this.
func RestoreState(dir string, t *Trainer, run map[string]string, skipped func(path string, err error)) (s State, found bool, err error) {
	files, err := StateFiles(dir)
	if err == nil {
		err = removeTemporary(dir)
	}
	if err != nil {
		return s, false, err
	}
	for i, path := range files {
		s, err := t.restore(path, run)
		if err == nil {
			return s, true, nil
		}
		if !errors.Is(err, checkpoint.Corrupt) || i == len(files)-1 {
			return s, false, err
		}
		skipped(path, err)
	}
	return s, false, nil
}

// CheckState refuses with ErrOtherRun if the newest readable checkpoint in dir is another run's, without taking
// anything from it.
func CheckState(dir string, run map[string]string) error {
	files, err := StateFiles(dir)
	if err != nil {
		return err
	}
	for _, path := range files {
		s, err := ReadState(path)
		if errors.Is(err, checkpoint.Corrupt) {
			continue
		}
		if err != nil {
			return err
		}
		return s.check(path, run)
	}
	return nil
}

// check refuses the checkpoint of another run.
func (s State) check(path string, run map[string]string) error {
	if differ := differences(s.Run, run); differ != nil {
		return fmt.Errorf("%s: %w: %s", path, ErrOtherRun, strings.Join(differ, ", "))
	}
	return nil
}

// RemoveState removes all checkpoints in dir, half-written ones too, after the run they were for is done.
func RemoveState(dir string) error {
	files, err := StateFiles(dir)
	if err != nil {
		return err
	}
	return errors.Join(remove(files), removeTemporary(dir))
}

func (t *Trainer) restore(path string, run map[string]string) (s State, err error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s, err = readState(f); err != nil {
		return s, err
	}
	if err := s.check(path, run); err != nil {
		return s, err
	}
	// Read everything before changing anything.
	var values [][]float32
	state := t.state()
	if err := holds(f, state); err != nil {
		return s, err
	}
	for _, of := range state {
		v := make([]float32, of.Tensor.Len())
		if err := f.Read(of.Name, v); err != nil {
			return s, err
		}
		values = append(values, v)
	}
	for i, of := range state {
		of.Tensor.Set(values[i])
	}
	t.setSteps(s.Steps)
	return s, nil
}

// otherVersion is what to do about a checkpoint that another version of the program wrote, which knew less of a run,
// or more: from what it holds nobody could go on as if nothing had been.
const otherVersion = "; go on with the version of the program that wrote it, or remove the folder's " + statePrefix + "*" + stateSuffix + " to begin anew"

// holds refuses a checkpoint of the run that holds other tensors than those that make its state.
func holds(f *checkpoint.File, state []optim.Named) error {
	refuse := func(name, problem string) error {
		return &checkpoint.Error{Path: f.Path(), Entry: name, Offset: -1, Kind: checkpoint.Mismatch, Problem: problem + otherVersion}
	}
	known := map[string]bool{}
	for _, of := range state {
		known[of.Name] = true
		switch info, there := f.Info(of.Name); {
		case !there:
			return refuse(of.Name, "the training checkpoint lacks what this version of the program keeps")
		case info.DType != checkpoint.F32 || !slices.Equal(info.Shape, of.Tensor.Shape()):
			return refuse(of.Name, fmt.Sprintf("the training checkpoint has it as %v of shape %v, this version of the program as F32 of shape %v", info.DType, info.Shape, of.Tensor.Shape()))
		}
	}
	for _, name := range f.Names() {
		if name != checkpoint.SealName && !known[name] {
			return refuse(name, "the training checkpoint has what this version of the program does not know")
		}
	}
	return nil
}

// State is what a training checkpoint says of itself.
type State struct {
	Steps int      // updates made
	At    Position // where the run goes on
	Done  Progress // what is behind it
	Run   map[string]string
}

// ReadState verifies a training checkpoint and returns what it says of itself.
func ReadState(path string) (State, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return State{}, err
	}
	defer f.Close()
	return readState(f)
}

func readState(f *checkpoint.File) (s State, err error) {
	// The seal first: the name says whose file this is, so anything else in it is damage.
	if err := f.VerifySeal(); err != nil {
		return s, err
	}
	meta := f.Metadata()
	if meta["format"] != StateFormat || meta["version"] != stateVersion {
		return s, &checkpoint.Error{Path: f.Path(), Offset: -1, Kind: checkpoint.Unsupported, Problem: "no training checkpoint of this version of the program" + otherVersion}
	}
	s.Steps, err = strconv.Atoi(meta["steps"])
	if err == nil {
		err = json.Unmarshal([]byte(meta["position"]), &s.At)
	}
	if err == nil {
		err = json.Unmarshal([]byte(meta["progress"]), &s.Done)
	}
	if err == nil && (s.Steps < 0 || s.At.Epoch < 0 || s.At.Batch < 0 || s.Done.Images < 0 || s.Done.Elapsed < 0 || s.Done.Whole.negative()) {
		err = errors.New("negative")
	}
	if err != nil {
		return s, &checkpoint.Error{Path: f.Path(), Offset: -1, Kind: checkpoint.Corrupt, Problem: "steps or position make no sense", Err: err}
	}
	s.Run = map[string]string{}
	for k, v := range meta {
		if name, ok := strings.CutPrefix(k, runPrefix); ok {
			s.Run[name] = v
		}
	}
	return s, nil
}

// differences lists the settings that differ between a checkpoint's run and this one, sorted.
func differences(theirs, ours map[string]string) []string {
	names := map[string]bool{}
	for k := range theirs {
		names[k] = true
	}
	for k := range ours {
		names[k] = true
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(names)) {
		if theirs[k] != ours[k] {
			all = append(all, fmt.Sprintf("%s was %s and is %s", quote.Plain(cut(k)), shown(theirs[k]), shown(ours[k])))
		}
	}
	return all
}

// stateName is the file name of the checkpoint after a number of steps.
func stateName(step int) string { return fmt.Sprintf("%s%09d%s", statePrefix, step, stateSuffix) }

// stateStep is the inverse, or -1 for any other name.
func stateStep(name string) int {
	number := strings.TrimSuffix(strings.TrimPrefix(name, statePrefix), stateSuffix)
	n, err := strconv.Atoi(number)
	if err != nil || name != stateName(n) {
		return -1
	}
	return n
}

// StateFiles lists the training checkpoints in dir by their paths, newest first.
func StateFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if stateStep(e.Name()) >= 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(stateStep(b), stateStep(a)) })
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names, nil
}

// removeTemporary removes what killed processes left of checkpoints that they were writing.
func removeTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Name(), "."), ".tmp-")
		if stateStep(name) < 0 || name == e.Name() {
			continue
		}
		if err := checkpoint.RemoveTemporary(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func remove(paths []string) error {
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// shown is a setting's value in a message.
func shown(v string) string {
	if v == "" {
		return "not there"
	}
	return quote.Plain(cut(v))
}

// cut bounds what a file's own string may take of a message.
func cut(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}
