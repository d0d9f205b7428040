// Package emit writes what gives a plan to a cluster: a script for Slurm, a manifest for Kubernetes. Both are text made of a plan's size
// and where things lie, and know nothing else of a plan. There is no daemon, queue or scheduler of ours: the cluster starts fewshot run
// for each number of an array, and fewshot run finds its work by that number.
//
// What both rest on, as found on real ones:
//
//   - fewshot run saves and exits with 75 at SIGTERM and SIGUSR1, and goes on from there when it is started again.
//   - A process that is a shell's child is told nothing of the end of its time, and its exit code is easily lost. So it replaces the shell.
//   - A failed run fails the same way again. What is worth another try is a machine that failed.
//   - A job that waits for the success of an array never starts when one of its tasks ended badly once, though it was put back and ended
//     well. So what collects starts after the end of all, and looks for itself.
package emit
