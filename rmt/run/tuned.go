package run

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/optim"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// TunedFormat is the metadata "format" of a tuned file.
const TunedFormat = "fewshot-tuned"

const tunedVersion = "1"

// SpecKey is the key of metadata under which tuned and mask files keep the spec of their run.
const SpecKey = "spec"

// ClassesKey is that of the names of the classes that a run was on.
const ClassesKey = "classes"

// SaveTuned writes what a method has learned: a sealed safetensors file of float32 tensors under the method's names, with the
// spec of the run and the names of its classes. Equal runs write equal bytes.
func SaveTuned(path string, s Spec, classes []string, tensors []optim.Named) error {
	names, err := json.Marshal(classes)
	if err != nil {
		return err
	}
	meta := map[string]string{"format": TunedFormat, "version": tunedVersion, SpecKey: string(s.JSON()), ClassesKey: string(names)}
	return checkpoint.WriteFile(path, func(w io.Writer) error { return writeTuned(w, meta, tensors) })
}

func writeTuned(w io.Writer, meta map[string]string, tensors []optim.Named) error {
	var entries []checkpoint.Entry
	for _, t := range tensors {
		entries = append(entries, checkpoint.Entry{Name: t.Name, DType: checkpoint.F32, Shape: t.Tensor.Shape(),
			Data: func(w io.Writer) error { return checkpoint.Float32s(t.Tensor.Floats(), checkpoint.F32)(w) }})
	}
	return checkpoint.WriteSealed(w, meta, entries)
}

// Tuned is an open file of what was learned: a tuned file, or a mask.
type Tuned struct {
	Path    string
	Sum     string   // SHA-256 of the file
	Spec    Spec     // of the run that wrote it; its Method is "" in mask files that are older than specs
	Classes []string // names of the classes; nil in mask files that are older than these
	Masks   *rmt.MaskFile
	file    *checkpoint.File
}

// OpenTuned opens a tuned or mask file, or that of an output folder, and verifies its digest. The caller closes it.
func OpenTuned(path string) (*Tuned, error) {
	if s, err := os.Stat(path); err == nil && s.IsDir() {
		folder := path
		for _, name := range []string{TunedName, MaskName} {
			if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
				path = filepath.Join(folder, name)
			}
		}
		if path == folder {
			if err := otherFolder(folder); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("%s is a folder without a %s or %s; give the output folder of a finished run, or the file", folder, MaskName, TunedName)
		}
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	t := &Tuned{Path: path}
	if f.Metadata()["format"] == TunedFormat {
		t.file, err = f, t.read(f)
	} else {
		f.Close()
		if t.Masks, err = rmt.OpenMasks(path); err == nil {
			err = errors.Join(t.readSpec(t.Masks.About[SpecKey]), t.readClasses(t.Masks.About[ClassesKey]))
		}
	}
	if err == nil {
		t.Sum, err = fileSum(path)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tuned) read(f *checkpoint.File) error {
	if err := f.VerifySeal(); err != nil {
		return err
	}
	meta := f.Metadata()
	if meta["version"] != tunedVersion {
		return &checkpoint.Error{Path: f.Path(), Offset: -1, Kind: checkpoint.Unsupported,
			Problem: "tuned file of version " + quote.String(meta["version"]) + "; this program reads version " + tunedVersion}
	}
	if err := errors.Join(t.readSpec(meta[SpecKey]), t.readClasses(meta[ClassesKey])); err != nil {
		return err
	}
	if t.Spec.Method == "" || len(t.Classes) == 0 {
		return &checkpoint.Error{Path: f.Path(), Offset: -1, Kind: checkpoint.Corrupt, Problem: "a tuned file names its method and its classes"}
	}
	return nil
}

func (t *Tuned) readSpec(s string) error {
	if s == "" {
		return nil
	}
	spec, err := ParseSpec([]byte(s))
	if err != nil {
		return &checkpoint.Error{Path: t.Path, Entry: SpecKey, Offset: -1, Kind: checkpoint.Corrupt, Problem: err.Error()}
	}
	t.Spec = spec
	return nil
}

func (t *Tuned) readClasses(s string) error {
	if s == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(s), &t.Classes); err != nil {
		return &checkpoint.Error{Path: t.Path, Entry: ClassesKey, Offset: -1, Kind: checkpoint.Corrupt, Problem: "is no list of names", Err: err}
	}
	return nil
}

// Close closes the file.
func (t *Tuned) Close() error {
	var err error
	if t.Masks != nil {
		err = t.Masks.Close()
	}
	if t.file != nil {
		err = errors.Join(err, t.file.Close())
	}
	return err
}

// Tensor reads a tensor of the file onto a device.
func (t *Tuned) Tensor(dev *tensor.Device, name string) (*tensor.Tensor, error) {
	info, ok := t.file.Info(name)
	if !ok || info.DType != checkpoint.F32 {
		return nil, &checkpoint.Error{Path: t.Path, Entry: name, Offset: -1, Kind: checkpoint.Corrupt, Problem: "is not there, in float32"}
	}
	v := make([]float32, tensor.Len(info.Shape))
	if err := t.file.Read(name, v); err != nil {
		return nil, err
	}
	return dev.From(v, info.Shape...), nil
}

// Check refuses a model that is not the one the file was made for, in its weights or in how they are used. The weights decide
// alone whether a result means anything; what else differs may be forced, and is then returned by name.
func (t *Tuned) Check(m clip.Spec, force bool) (forced []string, err error) {
	digest := t.Spec.Model.Digest
	if t.Masks != nil {
		digest = t.Masks.Backbone
	}
	if digest != m.Digest {
		return nil, fmt.Errorf("%s: %w: that one's digest is %s, this one's %s", t.Path, rmt.ErrBackbone, digest, m.Digest)
	}
	now := t.Spec
	now.Model = m
	differ := t.Spec.Differences(now)
	if t.Spec.Method == "" || differ == nil {
		return nil, nil
	}
	if !force {
		return nil, fmt.Errorf("%s was made with this model used in another way: %s; use it as then, or -force", t.Path, strings.Join(differ, "; "))
	}
	return differ, nil
}

// fileSum is the SHA-256 of a file.
func fileSum(path string) (string, error) {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
