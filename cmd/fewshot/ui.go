package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"fewshot/nn/quote"
)

// ui renders what a command finds out: as text for people, with a progress bar if the terminal is one, or
// as JSON, one object a line, for programs. No text that it prints can play tricks on a terminal, whoever wrote it.
type ui struct {
	out, errw io.Writer
	json      bool
	terminal  bool
	fd        int // of the terminal
	log       log // where there is none
}

func newUI(out, errw io.Writer, json bool) *ui {
	u := &ui{out: out, errw: errw, json: json, log: log{w: errw, now: time.Now, last: time.Now()}}
	if f, ok := errw.(*os.File); ok && !json {
		u.terminal, u.fd = term.IsTerminal(int(f.Fd())), int(f.Fd())
	}
	return u
}

// result prints the outcome of a command, or one object of several.
func (u *ui) result(v any, text func(w io.Writer)) error {
	if !u.json {
		var b strings.Builder
		text(&b)
		_, err := io.WriteString(u.out, quote.Text(b.String()))
		return err
	}
	return json.NewEncoder(u.out).Encode(v)
}

// Note is a line for people.
func (u *ui) Note(format string, a ...any) {
	if !u.json {
		u.aside()
		io.WriteString(u.out, quote.Text(fmt.Sprintf(format, a...))+"\n")
	}
}

// aside takes a bar away for a line in its place; it is drawn again below.
func (u *ui) aside() {
	if u.terminal {
		io.WriteString(u.errw, "\r"+eraseBelow)
	}
}

// Warn is a line that must not be missed.
func (u *ui) Warn(format string, a ...any) {
	u.aside()
	io.WriteString(u.errw, "warning: "+quote.Text(fmt.Sprintf(format, a...))+"\n")
}

// Log is a line for whoever reads, later on, what went to stderr, unless there was one just now: on a terminal a bar says it.
func (u *ui) Log(format string, a ...any) {
	if !u.terminal {
		u.log.line(format, a...)
	}
}

// Event is an object for programs only.
func (u *ui) Event(v any) error {
	if !u.json {
		return nil
	}
	return json.NewEncoder(u.out).Encode(v)
}

// Progress starts a bar of n steps. The returned function is told how many are done, and what to say.
func (u *ui) Progress(what string, n int) (advance func(done int, say string), finish func()) {
	return u.bar(what, n, func(done, n int) string { return fmt.Sprintf("%d/%d", done, n) })
}

// bytes is Progress of what is fetched.
func (u *ui) bytes(what string, n int64) (advance func(done int, say string), finish func()) {
	return u.bar(what, int(n), func(done, n int) string { return bytesText(int64(done)) + " of " + bytesText(int64(n)) })
}

func (u *ui) bar(what string, n int, count func(done, n int) string) (advance func(done int, say string), finish func()) {
	if n == 0 {
		return func(int, string) {}, func() {}
	}
	if !u.terminal {
		return u.log.progress(what, n, count), func() {}
	}
	b := &bar{w: u.errw, width: func() int { return terminalWidth(u.fd) }, now: time.Now, count: count, what: quote.Text(what), n: n, begun: time.Now()}
	return func(done int, say string) { b.set(done, quote.Text(say)) }, b.finish
}
