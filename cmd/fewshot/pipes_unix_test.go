//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestPipesAreNotWaitedFor: whatever a flag or an argument names to be read is refused if it is a pipe, in a line that
// names it, and the pipe is not opened, as its opening would wait for another end that may never be.
func TestPipesAreNotWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	var opened, ended atomic.Bool
	done := make(chan bool)
	go func() { // whoever opens it is found out, and finds it empty
		defer close(done)
		for {
			f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
			if err != nil || ended.Load() {
				return
			}
			opened.Store(true)
			f.Close()
		}
	}()
	data := tinyData(t)
	few := []string{"-model", tiny(t), "-data", data, "-dataset", "few"}
	images, _ := testFiles(t)
	for _, line := range []string{"zeroshot -model PIPE -data DATA -dataset few", "zeroshot FEW -vocab PIPE", "eval FEW -mask PIPE", "eval FEW -tuned PIPE", "zeroshot -dataset PIPE/", "zeroshot -data PIPE -dataset few",
		"zeroshot FEW -template-file PIPE", "zeroshot FEW -class-prompts PIPE", "train FEW -sample PIPE -out OUT", "train -from PIPE -out OUT", "predict -classes-file PIPE IMAGE",
		"predict -mask PIPE IMAGE", "predict -model MODEL -classes-file CLASSES PIPE", "encode -model MODEL PIPE", "export -to onnx -model MODEL -classes PIPE -out OUT", "import -model MODEL -out OUT PIPE", "collect PIPE", "run PIPE",
		"plan emit slurm PIPE", "report PIPE", "verify PIPE", "info PIPE", "data check -dataset PIPE", "serve -model MODEL -tuned a=PIPE", "bench -model PIPE"} {
		var args []string
		for _, w := range strings.Fields(line) {
			switch w {
			case "FEW":
				args = append(args, few...)
			case "OUT":
				args = append(args, filepath.Join(t.TempDir(), "out"))
			case "CLASSES":
				w = filepath.Join(t.TempDir(), "classes.txt")
				if err := os.WriteFile(w, []byte("a\nb\n"), 0o666); err != nil {
					t.Fatal(err)
				}
				args = append(args, w)
			default:
				args = append(args, strings.NewReplacer("PIPE", pipe, "MODEL", tiny(t), "IMAGE", images[0], "DATA", data).Replace(w))
			}
		}
		if code, out, errw := cli(t, args...); code != exitFailed && code != exitUsage || !strings.Contains(out+errw, pipe) {
			t.Errorf("%s: exit code %d, %s%s", line, code, out, errw)
		}
		if opened.Swap(false) {
			t.Errorf("%s: the pipe was opened", line)
		}
	}
	ended.Store(true)
	if f, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		<-done
		f.Close()
	}
}
