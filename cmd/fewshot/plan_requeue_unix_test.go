//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// slurm makes the process a task of an array, with a scontrol that notes what it is asked for.
func slurm(t *testing.T) (asked func() string) {
	t.Helper()
	bin := t.TempDir()
	file := filepath.Join(bin, "asked")
	if err := os.WriteFile(filepath.Join(bin, "scontrol"), []byte("#!/bin/sh\necho \"$@\" >>"+file+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for k, v := range map[string]string{"JOB_ID": "9", "ARRAY_JOB_ID": "9", "ARRAY_TASK_ID": "1", "ARRAY_TASK_MIN": "0", "ARRAY_TASK_MAX": "3", "ARRAY_TASK_COUNT": "4"} {
		t.Setenv("SLURM_"+k, v)
	}
	return func() string {
		b, _ := os.ReadFile(file)
		return string(b)
	}
}

// A task of Slurm that is not done goes back into the queue, by its number in the array.
func TestRequeue(t *testing.T) {
	path := planOf(t)
	args := []string{"run", path, "-data", tinyData(t), "-index", "1", "-requeue"}
	if code, _, errw := cli(t, args...); code != exitUsage || !strings.Contains(errw, "SLURM_JOB_ID is not set") {
		t.Errorf("outside of Slurm: exit code %d, %s", code, errw)
	}
	asked := slurm(t)
	p, err := plan.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	folder := filepath.Join(runsFolder("", path), p.ID(1))
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	other, err := run.TakeFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	code, _, errw := cli(t, args...)
	other.Close()
	if code != exitAgain || !strings.Contains(errw, "9_1 is back in the queue") || asked() != "requeue 9_1\n" {
		t.Errorf("a run in other hands: exit code %d, asked for %q, %s", code, asked(), errw)
	}
	must(t, args...)
	if asked() != "requeue 9_1\n" {
		t.Errorf("what is done is put back: %q", asked())
	}
}

// A task that is told that its time is nearly over saves, and goes back.
func TestRequeueAtSignal(t *testing.T) {
	asked := slurm(t)
	path := planOf(t, "-methods", "r-amt", "-set", "epochs=100000")
	p, err := plan.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir := runsFolder("", path)
	folder := filepath.Join(dir, p.ID(1))
	want := ""
	for range 2 {
		before := footprint(p, dir, nil)
		r, out := program(t, "run", path, "-data", tinyData(t), "-index", "1", "-requeue", "-save-every", "1ns")
		ended := make(chan error, 1)
		go func() { ended <- r.Wait() }()
		for ; footprint(p, dir, nil) == before; time.Sleep(time.Millisecond) {
			select {
			case err := <-ended:
				t.Fatalf("%v\n%s", err, out)
			default:
			}
		}
		if err := r.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		<-ended
		want += "requeue 9_1\n"
		if code := r.ProcessState.ExitCode(); code != exitAgain || !strings.Contains(out.String(), "9_1 is back in the queue") || asked() != want {
			t.Errorf("exit code %d, asked for %q, %s", code, asked(), out)
		}
	}

	// Whether something was saved is seen by what is in the runs' folders.
	before := footprint(p, dir, nil)
	if err := os.WriteFile(filepath.Join(folder, run.LockName), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if footprint(p, dir, nil) != before {
		t.Error("a lock counts as something that was saved")
	}
	if footprint(p, dir, func(i int) bool { return i != 1 }) != "" {
		t.Error("there is something of the other runs")
	}
	if err := os.WriteFile(filepath.Join(folder, "eval-0.json"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if footprint(p, dir, nil) == before {
		t.Error("an evaluation does not count as something that was saved")
	}
}
