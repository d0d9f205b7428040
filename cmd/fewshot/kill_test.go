package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fewshot/rmt/run"
)

// program runs the program in a process of its own.
func program(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &out
}

// finished reports whether a run has its result; that of one that was killed while it wrote it is a file of another name.
func finished(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, run.ResultName))
	return err == nil
}

// killer ends processes at random moments.
type killer struct {
	most    int    // kills that are wanted
	seed    uint64 // of the moments, and of the choice of signals
	random  *rand.Rand
	full    time.Duration // that an undisturbed process took
	signals []os.Signal   // to choose among
	by      map[string]int
	killed  int
	starts  int
}

// newKiller is one for so many kills, or FEWSHOT_KILLS, of processes that run as long as the undisturbed one that it runs.
func newKiller(t *testing.T, kills int, undisturbed []string, signals ...os.Signal) *killer {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a killed process cannot be told from a failed one here")
	}
	k := &killer{most: kills, seed: uint64(time.Now().UnixNano()), signals: signals, by: map[string]int{}}
	if s := os.Getenv("FEWSHOT_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("FEWSHOT_KILLS=%s: %v", s, err)
		}
		k.most = n
	}
	k.random = rand.New(rand.NewPCG(k.seed, 0))
	begin := time.Now()
	c, out := program(t, undisturbed...)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	k.full = time.Since(begin)
	return k
}

// run runs the program until it ends or is ended, with the exit code of the signal if it catches it, and reports which.
func (k *killer) run(t *testing.T, codes map[os.Signal]int, args ...string) (killed bool) {
	t.Helper()
	k.starts++
	c, out := program(t, args...)
	signal := k.signals[k.random.IntN(len(k.signals))]
	kill := time.AfterFunc(time.Duration(k.random.Int64N(int64(k.full))), func() { c.Process.Signal(signal) })
	err := c.Wait()
	kill.Stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && (!exit.Exited() || exit.ExitCode() == codes[signal]):
		k.killed++
		k.by[signal.String()]++
		return true
	}
	t.Fatalf("seed %d, start %d, %v: %v\n%s", k.seed, k.starts, signal, err, out)
	return false
}

// TestKill ends training at random moments, by SIGKILL or one of the signals that it saves at, resumes it, ends it
// again, until a run comes through, and compares the mask file with an undisturbed run's; and so on until there have
// been enough kills: 8, or FEWSHOT_KILLS. Checkpoints are saved after every step, so that many kills fall into a save.
func TestKill(t *testing.T) {
	_, want := undisturbedRun(t)
	root := t.TempDir()
	signals := append([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}, batchSignals...)
	codes := map[os.Signal]int{}
	for _, s := range signals {
		codes[s] = exitInterrupted
	}
	k := newKiller(t, 8, tune(t, filepath.Join(root, "calm"), "-save-every", "1ns"), append(signals, os.Kill)...)
	during, runs := 0, 0
	for k.killed < k.most {
		dir := filepath.Join(root, strconv.Itoa(runs))
		runs++
		for done := false; !done; {
			args := tune(t, dir, "-save-every", "1ns")
			if entries(t, dir) != "" {
				args = append(args, "-resume")
			}
			if done = !k.run(t, codes, args...); !done {
				names := entries(t, dir)
				if strings.Contains(names, ".tmp-") {
					during++
				}
				// Killed after the last write: there is nothing left to do.
				done = finished(dir)
			}
		}
		if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
			t.Fatalf("seed %d, run %d: mask %x, undisturbed %x", k.seed, runs, sha256.Sum256(got), sha256.Sum256(want))
		}
	}
	t.Logf("%d kills (%v), %d of them while a file was being written, %d starts, %d runs, %d equal masks (seed %d)", k.killed, k.by, during, k.starts, runs, runs, k.seed)
}

// A second process in the folder of a running one is turned away with its name, and changes nothing.
func TestBusy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c, out := program(t, tune(t, dir, "-epochs", "100000", "-save-every", "1ns")...)
	ended := make(chan struct{})
	go func() {
		c.Wait()
		close(ended)
	}()
	defer func() {
		c.Process.Kill()
		<-ended
	}()
	for !strings.Contains(entries(t, dir), "training-") {
		select {
		case <-ended:
			t.Fatalf("ended without a checkpoint\n%s", out)
		case <-time.After(time.Millisecond):
		}
	}
	second, said := program(t, tune(t, dir, "-resume")...)
	err := second.Wait()
	if second.ProcessState.ExitCode() != exitFailed || !strings.Contains(said.String(), "is in use by process "+strconv.Itoa(c.Process.Pid)) {
		t.Errorf("%v: %s", err, said)
	}
	// SIGINT ends the first in good order.
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Skipf("no interrupts here: %v", err)
	}
	<-ended // of 100,000 epochs it would take days to end in another way
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, out)
	}
	if names := entries(t, dir); !strings.Contains(names, "training-") || strings.Contains(names, run.LockName) || strings.Contains(names, "tmp") {
		t.Errorf("an interrupted run leaves %s", names)
	}
}
