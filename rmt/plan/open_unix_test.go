//go:build unix

package plan

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"fewshot/nn/checkpoint"
)

// A named pipe is no plan, and its other end is not waited for.
func TestOpenPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, ""); !errors.Is(err, checkpoint.Unsupported) {
		t.Error(err)
	}
	if _, err := OpenHeader(path); !errors.Is(err, checkpoint.Unsupported) {
		t.Error(err)
	}
}
