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

// TestKill ends training at random moments, by SIGKILL or one of the signals that it saves at, resumes it, ends it again, until a run
// comes through, and compares the mask file with an undisturbed run's; and so on until there have been enough kills: 8, or FEWSHOT_KILLS. Checkpoints are saved
// after every step, so that many kills fall into a save.
func TestKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a killed process cannot be told from a failed one here")
	}
	kills := 8
	if s := os.Getenv("FEWSHOT_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("FEWSHOT_KILLS=%s: %v", s, err)
		}
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	_, want := undisturbedRun(t)

	root := t.TempDir()
	begin := time.Now()
	c, out := program(t, tune(t, filepath.Join(root, "calm"), "-save-every", "1ns")...)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	full := time.Since(begin)

	signals := []os.Signal{os.Kill, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	by := map[os.Signal]int{}
	killed, during, runs, starts := 0, 0, 0, 0
	for killed < kills {
		dir := filepath.Join(root, strconv.Itoa(runs))
		runs++
		for done := false; !done; {
			args := tune(t, dir, "-save-every", "1ns")
			if entries(t, dir) != "" {
				args = append(args, "-resume")
			}
			starts++
			c, out := program(t, args...)
			signal := signals[random.IntN(len(signals))]
			kill := time.AfterFunc(time.Duration(random.Int64N(int64(full))), func() { c.Process.Signal(signal) })
			err := c.Wait()
			kill.Stop()
			var exit *exec.ExitError
			switch {
			case err == nil:
				done = true
			case errors.As(err, &exit) && (!exit.Exited() || exit.ExitCode() == exitInterrupted):
				killed++
				by[signal]++
				names := entries(t, dir)
				if strings.Contains(names, ".tmp-") {
					during++
				}
				// Killed after the last write: there is nothing left to do.
				done = finished(dir)
			default:
				t.Fatalf("seed %d, run %d, start %d: %v\n%s", seed, runs, starts, err, out)
			}
		}
		if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
			t.Fatalf("seed %d, run %d: mask %x, undisturbed %x", seed, runs, sha256.Sum256(got), sha256.Sum256(want))
		}
	}
	t.Logf("%d kills (%v), %d of them while a file was being written, %d starts, %d runs, %d equal masks (seed %d)", killed, by, during, starts, runs, runs, seed)
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
