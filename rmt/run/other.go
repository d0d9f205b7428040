package run

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/train"
)

// PlanName is the file of the plan that a comparison leaves in its folder, beside the runs' folders.
const PlanName = "plan.jsonl"

// PlanFormat is how the header of a plan's file names its format.
const PlanFormat = "fewshot-plan"

// otherFolder says what a folder is that is no finished run, and what to give; nil if that is not known.
func otherFolder(dir string) error {
	if n, ok := planRuns(filepath.Join(dir, PlanName)); ok {
		return fmt.Errorf("%s is no run but has a %s of %s: name one of the folders in %s", dir, PlanName, words.Count(n, "run"), runsOf(filepath.Join(dir, PlanName)))
	}
	states, err := train.StateFiles(dir)
	_, locked := os.Stat(filepath.Join(dir, LockName))
	if err == nil && len(states) > 0 || locked == nil {
		return fmt.Errorf("%s is a run that is not finished; %s", dir, GoOn(dir))
	}
	return nil
}

// GoOn says how the run in a folder goes on that is not finished: a plan's by the plan, which is beside the runs' folder unless somebody said
// otherwise.
func GoOn(dir string) string {
	abs, err := filepath.Abs(dir)
	if err == nil && planned.MatchString(filepath.Base(abs)) {
		if of, ok := strings.CutSuffix(filepath.Dir(abs), runsSuffix); ok {
			if _, ok := planRuns(of + ".jsonl"); ok {
				return fmt.Sprintf("it is one of a plan: fewshot run %s.jsonl goes on with it", of)
			}
		}
		return "by its name it is one of a plan, and fewshot run goes on with it: give it that plan"
	}
	return fmt.Sprintf("go on with %s and its settings", quote.Shell("fewshot", "train", "-resume", "-out", dir))
}

// planned are the names of the folders of a plan's runs: their ids.
var planned = regexp.MustCompile(`^[0-9a-f]{16}$`)

const runsSuffix = "-runs"

// otherFile says what a file is that is no result, and what to give; nil if that is not known.
func otherFile(path string) error {
	if n, ok := planRuns(path); ok {
		return fmt.Errorf("%s is a plan of %s, and no run: give the folder of one of its runs, which are in %s", path, words.Count(n, "run"), runsOf(path))
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	what := "a checkpoint"
	switch f.Metadata()["format"] {
	case rmt.MaskFormat:
		what = "a mask"
	case TunedFormat:
		what = "a tuned file"
	case train.StateFormat:
		what = "a training checkpoint"
	}
	return fmt.Errorf("%s is %s, and no %s: give the folder of a run; the one that this file is in is %s", path, what, ResultName, filepath.Dir(path))
}

// planRuns is how many runs a plan has by its header, if the file is one.
func planRuns(path string) (int, bool) {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 1<<16)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false
	}
	var header struct {
		Format string
		Runs   int
	}
	err = json.Unmarshal(line, &header)
	return header.Runs, err == nil && header.Format == PlanFormat
}

// runsOf is the folder of a plan's runs, unless somebody said otherwise.
func runsOf(plan string) string { return strings.TrimSuffix(plan, filepath.Ext(plan)) + runsSuffix }
