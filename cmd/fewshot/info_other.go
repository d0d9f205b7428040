package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/export"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// fileInfo describes a file that is no checkpoint, or a folder of several runs, and says what takes it.
type fileInfo struct {
	Kind  string `json:"kind"` // result, plan, onnx, official-mask or runs
	Path  string `json:"path"`
	Bytes int64  `json:"bytes,omitempty"`
	What  string `json:"what"`
	Use   string `json:"use"` // what takes it

	Runs   int             `json:"runs,omitempty"`
	Result json.RawMessage `json:"result,omitempty"` // result.json
	Epochs int             `json:"epochs,omitempty"` // of an official mask
	Masks  []packedInfo    `json:"masks,omitempty"`
	Lines  []string        `json:"lines,omitempty"` // one a run
}

// packedInfo is a mask of the released code. How many elements it has only the model knows: up to seven less than its bytes have bits.
type packedInfo struct {
	Name string `json:"name"`
	Kept int    `json:"kept"`
	Bits int    `json:"bits"`
}

func (r *fileInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.Path, r.What)
	if r.Result != nil {
		var t run.Result
		_ = json.Unmarshal(r.Result, &t) // of another version only what is alike is printed
		if t.File != "" {
			t.File = t.Learned(filepath.Dir(r.Path))
		}
		t.Print(w)
	}
	for _, m := range r.Masks {
		fmt.Fprintf(w, "  keeps %d of %d  %s\n", m.Kept, m.Bits, quote.Plain(m.Name))
	}
	for _, l := range r.Lines {
		fmt.Fprintf(w, "  %s\n", l)
	}
	fmt.Fprintf(w, "  use        %s\n", r.Use)
}

// describeFile says what a file is that no reader of checkpoints has to look at; nil where it may be a checkpoint.
func describeFile(path string, size int64) (*fileInfo, error) {
	head, err := firstBytes(path)
	if err != nil {
		return nil, err
	}
	r := &fileInfo{Path: path, Bytes: size}
	switch {
	case strings.EqualFold(filepath.Ext(path), ".onnx"):
		r.Kind, r.What = "onnx", fmt.Sprintf("by its name a model for ONNX Runtime and the like, %s", bytesText(size))
		r.Use = "no command here reads it; fewshot export -to onnx writes such files, of a model that is named with -model"
		return r, nil
	case !isJSON(head):
		return nil, nil
	}
	if r.Runs, err = plan.OpenHeader(path); err == nil {
		r.Kind, r.What = "plan", "plan of "+words.Count(r.Runs, "run")
		r.Use = fmt.Sprintf("fewshot run %[1]s, fewshot collect %[1]s, fewshot plan emit slurm %[1]s", quote.Shell(path))
		return r, nil
	}
	b, err := checkpoint.ReadFile(path, run.MaxResult)
	if err != nil {
		return nil, err
	}
	if isResult(b) == nil {
		r.Kind, r.What, r.Result = "result", "result of a run", b
		r.Use = fmt.Sprintf("%s makes the run again, fewshot verify compares; %s shows what was learned, too",
			quote.Shell("fewshot", "train", "-from", path), quote.Shell("fewshot", "info", filepath.Dir(path)))
		return r, nil
	}
	return nil, fmt.Errorf("%s is a JSON file, and neither a plan nor a run's %s; of a model give the folder", path, run.ResultName)
}

// firstBytes are some of a file.
func firstBytes(path string) ([]byte, error) {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 16)
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:n], err
}

// isJSON tells an object of JSON from a safetensors file, whose first eight bytes are a number.
func isJSON(head []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{"))
	return ok && !bytes.ContainsRune(rest, 0)
}

// describeOfficial says what a mask of the released code is; nil if the file is none.
func describeOfficial(path string, size int64) *fileInfo {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	masks, epochs, err := export.PackedOfficialMask(f, size)
	if err != nil {
		return nil
	}
	r := &fileInfo{Kind: "official-mask", Path: path, Bytes: size, What: fmt.Sprintf("masks as R-AMT's released code saves them, after %s, %s",
		words.Count(epochs, "epoch"), bytesText(size)), Epochs: epochs, Use: fmt.Sprintf("fewshot import -model MODEL -out mask.safetensors %s", path)}
	for _, m := range masks {
		kept := 0
		for _, b := range m.Bits {
			kept += bits.OnesCount8(b)
		}
		r.Masks = append(r.Masks, packedInfo{m.Name, kept, 8 * len(m.Bits)})
	}
	return r
}

// mostListed bounds the runs that are listed, and depth how far below a folder they are looked for: runs/DATASET/METHOD.
const (
	mostListed = 200
	runsDepth  = 3
)

// describeRuns lists the runs below a folder; nil where there are none.
func describeRuns(dir string) *fileInfo {
	r := &fileInfo{Kind: "runs", Path: dir}
	done := 0
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, err := os.ReadDir(dir)
		if err != nil || depth == 0 {
			return
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !e.IsDir() {
				continue
			}
			if !isRun(path) {
				walk(path, depth-1)
				continue
			}
			r.Runs++
			line := "not finished"
			if t, _, err := run.ReadResult(path); err == nil {
				done++
				line = fmt.Sprintf("%s on %s, %s, seed %d", quote.Plain(t.Method), quote.Plain(t.Dataset), words.Count(t.Shots, "shot"), t.Seed)
				if t.Test != nil {
					line += fmt.Sprintf(": %.2f %%", t.Test.Accuracy)
				}
			} else if exists(filepath.Join(path, run.ResultName)) {
				line = err.Error()
			}
			if r.Runs <= mostListed {
				r.Lines = append(r.Lines, quote.Plain(path)+"  "+line)
			}
		}
	}
	walk(dir, runsDepth)
	if r.Runs == 0 {
		return nil
	}
	if r.Runs > mostListed {
		r.Lines = append(r.Lines, fmt.Sprintf("and %d more", r.Runs-mostListed))
	}
	r.What = fmt.Sprintf("folder of %s, %d finished", words.Count(r.Runs, "run"), done)
	r.Use = "fewshot info on one of them; fewshot eval -mask or -tuned; fewshot collect, with the plan that they are of"
	return r
}

// written is the one file of a folder that export wrote for programs that know no folders of models; "" where it is no such folder.
func written(dir string) string {
	for _, name := range []string{"model.pt", "model.onnx", filepath.Join("onnx", "model.onnx")} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "model.pth.tar-") {
			return filepath.Join(dir, e.Name())
		}
	}
	return ""
}
