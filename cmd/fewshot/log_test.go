package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// Where there is no terminal, a line is written when nothing was heard for half a minute.
func TestProgressLog(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	l := &log{w: &b, now: func() time.Time { return now }, last: now}
	set := l.progress("test", 1000, func(done, n int) string { return fmt.Sprintf("%d/%d", done, n) })
	for i := range 1000 {
		now = now.Add(100 * time.Millisecond)
		set(i+1, "loss \x1b[2J")
		l.line("an epoch")
	}
	if lines := strings.Split(strings.TrimSpace(b.String()), "\n"); len(lines) != 3 || lines[0] != `test 300/1000, loss \x1b[2J` || lines[2] != `test 900/1000, loss \x1b[2J` {
		t.Errorf("%q", lines)
	}
}

// full is a disk without room.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

// Output that goes nowhere fails every command, whatever form it has.
func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"version"}, {"train", "-help"}, {"info", "embedded"}, {"info", "-json", "embedded"},
		{"encode", "-text", "a"}, {"zeroshot", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few"}} {
		var e bytes.Buffer
		if code := runMain(t.Context(), full{}, &e, args); code != exitFailed || !strings.Contains(e.String(), errFull.Error()) {
			t.Errorf("%v: exit code %d, %s", args, code, &e)
		}
	}
}

// A panic has an exit code of its own, which is not that of wrong usage, and asks for a report.
func TestPanic(t *testing.T) {
	broken := command{name: "broken", setup: func(*flag.FlagSet, []string) func(context.Context, *ui, []string) error {
		return func(context.Context, *ui, []string) error { panic("index out of range") }
	}}
	var e bytes.Buffer
	code := guard(&e, func() int {
		_ = execute(t.Context(), broken, io.Discard, &e, nil)
		return exitDone
	})
	if code != exitPanic || !strings.Contains(e.String(), "please report") || !strings.Contains(e.String(), "index out of range") {
		t.Errorf("exit code %d, %s", code, &e)
	}
}
