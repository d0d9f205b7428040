package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// slurmTask is what Slurm calls this process's job, as scontrol takes it; "" outside of Slurm. A task of an array is named by the array's
// number and its own: the last task of an array that starts has the array's number as its own job's, by which scontrol means all tasks.
func slurmTask(getenv func(string) string) string {
	if array, task := getenv("SLURM_ARRAY_JOB_ID"), getenv("SLURM_ARRAY_TASK_ID"); array != "" && task != "" {
		return array + "_" + task
	}
	return getenv("SLURM_JOB_ID")
}

// footprint changes whenever something of the chosen runs is saved.
func footprint(p *plan.Plan, dir string, chosen func(int) bool) string {
	var b strings.Builder
	for i := range p.Len() {
		if chosen != nil && !chosen(i) {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(dir, p.ID(i)))
		if err != nil {
			continue // not begun
		}
		for _, e := range entries {
			if e.Name() == run.LockName || strings.HasPrefix(e.Name(), ".") { // files that are being written
				continue
			}
			fmt.Fprintf(&b, "%d %s\n", i, e.Name())
		}
	}
	return b.String()
}

// putBack puts the task back into Slurm's queue, and says why. Slurm then ends this process, if it has not ended.
func putBack(task, why string) error {
	out, err := exec.Command("scontrol", "requeue", task).CombinedOutput()
	if err != nil {
		return again{fmt.Sprintf("%s; it could not be put back into the queue: scontrol requeue %s: %v: %s", why, task, err, strings.TrimSpace(string(out)))}
	}
	return again{fmt.Sprintf("%s; %s is back in the queue", why, task)}
}
