// Package cputime says what a process has cost: what work beside others on a machine is compared by, where the clock
// says little.
package cputime
