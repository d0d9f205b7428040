package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fewshot/rmt/run"
)

// left is what a finished run leaves that does not depend on when it was made: its mask or tuned file, and its result
// without times, the place, and the flag that it was resumed by.
func left(t *testing.T, dir string) (file, result string) {
	t.Helper()
	var r run.Result
	if err := json.Unmarshal(read(t, filepath.Join(dir, run.ResultName)), &r); err != nil {
		t.Fatal(err)
	}
	file = string(read(t, filepath.Join(dir, filepath.Base(r.File))))
	r.TrainRate, r.EvalRate, r.Seconds, r.CPU, r.File = 0, 0, 0, 0, filepath.Base(r.File)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(b)
}

// killedMethods are those that are killed if nothing else is said, one of each way to get done: steps on images, in two
// stages, with a teacher, with an average beside what is trained, on features, with the best epoch kept, with paths in
// both encoders, by a solver, by none.
var killedMethods = []string{"r-amt", "plot++", "promptsrc", "taskres", "tip-adapter-f", "clip-lora", "linear-probe", "gda"}

// TestKillMethods ends the training of methods by SIGKILL at random moments and resumes it each time, until a run comes
// through, and compares its file and its result with an undisturbed run's; and so on until there have been enough kills
// of the method: one of each of killedMethods, or FEWSHOT_METHOD_KILLS of every method there is. Checkpoints are saved
// after every step. Kills with a checkpoint behind them, and those in a write, are counted apart.
func TestKillMethods(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a killed process cannot be told from a failed one here")
	}
	kills, all := 1, false
	if s := os.Getenv("FEWSHOT_METHOD_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("FEWSHOT_METHOD_KILLS=%s: %v", s, err)
		}
		kills, all = n, true
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for _, m := range run.Methods() {
		if !all && !slices.Contains(killedMethods, m.Name) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			root := t.TempDir()
			calm := filepath.Join(root, "calm")
			begin := time.Now()
			c, out := program(t, learn(t, m.Name, calm, "-save-every", "1ns")...)
			if err := c.Wait(); err != nil {
				if strings.Contains(out.String(), "there is nothing to mask") {
					t.Skip("by this kind of kernels no layer's mean gradient is positive here") // it is near zero in a random model
				}
				t.Fatalf("%v\n%s", err, out)
			}
			full := time.Since(begin)
			wantFile, wantResult := left(t, calm)
			killed, behind, during, runs, starts := 0, 0, 0, 0, 0
			for killed < kills {
				dir := filepath.Join(root, strconv.Itoa(runs))
				runs++
				for done := false; !done; {
					args := learn(t, m.Name, dir, "-save-every", "1ns")
					if entries(t, dir) != "" {
						args = append(args, "-resume")
					}
					starts++
					c, out := program(t, args...)
					kill := time.AfterFunc(time.Duration(random.Int64N(int64(full))), func() { c.Process.Kill() })
					err := c.Wait()
					kill.Stop()
					var exit *exec.ExitError
					switch {
					case err == nil:
						done = true
					case errors.As(err, &exit) && !exit.Exited():
						killed++
						names := entries(t, dir)
						if strings.Contains(names, "training-") {
							behind++
						}
						if strings.Contains(names, ".tmp-") {
							during++
						}
						// Killed after the last write: there is nothing left to do.
						done = finished(dir)
					default:
						t.Fatalf("seed %d, run %d, start %d: %v\n%s", seed, runs, starts, err, out)
					}
				}
				file, result := left(t, dir)
				if file != wantFile {
					t.Errorf("seed %d, run %d: another file than undisturbed", seed, runs)
				}
				if result != wantResult {
					t.Errorf("seed %d, run %d: the result is\n%s\nundisturbed it is\n%s", seed, runs, result, wantResult)
				}
			}
			t.Logf("%d kills, %d with a checkpoint behind them, %d while a file was being written, %d starts, %d runs, all files and results equal (seed %d)", killed, behind, during, starts, runs, seed)
		})
	}
}
