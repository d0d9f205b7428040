package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

var infoCommand = command{
	example: "fewshot info openai/clip-vit-base-patch16",
	name:    "info", args: "FILE|FOLDER|NAME", summary: "say what a file or folder is, and what takes it",
	about: `Tells what a file or folder holds, and describes it: of a model its dialect, sizes, digest and vocabulary; of a mask its
backbone, sparsity and how it was learned; of a training checkpoint where it stands; of a result folder what came out; of
other files that this program writes, plans among them, what takes them. Digests of masks and checkpoints are verified; that of a
model's weights is computed with -digest. "embedded" is the model in this program.`,
	setup: setupInfo,
}

func setupInfo(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var m modelFlags
	m.declareHeads(fs)
	m.declareOffline(fs)
	fs.BoolVar(&m.digest, "digest", false, "compute the digest of a model's weights, by which masks know their backbone")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give one file or folder, not %d", len(args))
		}
		m.Path = args[0]
		if err := m.fetch(ctx, u); err != nil {
			return err
		}
		r, err := m.describe()
		if err != nil {
			return err
		}
		return u.result(r, r.print)
	}
}

// description is what info finds out.
type description interface{ print(w io.Writer) }

// describe finds out what the path is.
func (m *modelFlags) describe() (description, error) {
	path := m.Path
	if path == clip.Embedded {
		return m.describeModel()
	}
	s, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file or folder", path)
	}
	if err != nil {
		return nil, err
	}
	if s.IsDir() {
		if isRun(path) {
			return describeRun(path)
		}
		d, err := m.describeModel()
		if err == nil {
			return d, nil
		}
		if file := written(path); file != "" {
			other := *m
			other.Path = file
			return other.describe()
		}
		if runs := describeRuns(path); runs != nil {
			return runs, nil
		}
		return nil, err
	}
	if !s.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if d, err := describeFile(path, s.Size()); d != nil || err != nil {
		return d, err
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		if d := describeOfficial(path, s.Size()); d != nil {
			return d, nil
		}
		return nil, err
	}
	format := f.Metadata()["format"]
	f.Close()
	switch format {
	case rmt.MaskFormat:
		return describeMask(path)
	case run.TunedFormat:
		return describeTuned(path)
	case train.StateFormat:
		return describeState(path)
	}
	return m.describeModel()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isRun reports whether train wrote into the folder.
func isRun(dir string) bool {
	for _, name := range []string{run.ResultName, run.MaskName, run.TunedName, run.LockName} {
		if exists(filepath.Join(dir, name)) {
			return true
		}
	}
	states, err := train.StateFiles(dir)
	return err == nil && len(states) > 0
}

// printPairs prints a table of strings out of a file.
func printPairs(w io.Writer, title string, pairs map[string]string) {
	fmt.Fprintf(w, "  %s\n", title)
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		fmt.Fprintf(w, "    %-14s %s\n", quote.Plain(k), quote.Plain(pairs[k]))
	}
}
