package plan

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/rmt/run"
)

// WriteCoOp writes what CoOp's scripts read of their logs, as parse_test_res.py does with and without --test-log: of each row and column of the
// outcomes' table dir/ROW/COLUMN/seedN/log.txt, so that a row is a folder for its --multi-exp. It returns the number of files.
func WriteCoOp(dir string, all []*Outcome) (files int, err error) {
	varies := variation(all)
	written := map[string]string{} // folder to id
	for _, o := range all {
		own := Evaluation{Data: o.Run.Data.Name, Classes: o.Run.Data.Classes}
		for _, e := range append([]Evaluation{own}, o.Run.Evaluate...) {
			a := o.Test(e)
			if a == nil {
				continue
			}
			for _, column := range varies.columns(o, e) {
				folder := filepath.Join(dir, fileName(rowName(o, varies)), fileName(column), fmt.Sprintf("seed%d", o.Run.Data.Seed))
				if was, twice := written[folder]; twice {
					return files, fmt.Errorf("%s would be of two runs, %s and %s", folder, was, o.ID)
				}
				written[folder] = o.ID
				if err := writeLog(folder, a); err != nil {
					return files, err
				}
				files++
			}
		}
	}
	return files, nil
}

func writeLog(folder string, a *run.Accuracy) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	return checkpoint.WriteFile(filepath.Join(folder, "log.txt"), func(w io.Writer) error {
		// The scripts begin at a line that was "Finished training" first, and is "Finish training" now.
		_, err := fmt.Fprintf(w, "Finish training\nFinished training\n=> result\n* total: %s\n* correct: %s\n* accuracy: %.2f%%\n* error: %.2f%%\n* macro_f1: %.2f%%\n",
			thousands(a.Images), thousands(a.Correct), a.Accuracy, 100-a.Accuracy, a.MacroF1)
		return err
	})
}

// thousands writes a number as Python's {:,} does.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// fileName makes a name of a folder of a text.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.=+", r):
			return r
		}
		return '_'
	}, s)
	return strings.TrimLeft(s, ".")
}
