package main

import (
	"fmt"
	"io"
	"time"

	"fewshot/nn/quote"
)

// logEvery is how long nothing may be heard of a long piece of work, where stderr is no terminal with a bar: a batch system's file.
const logEvery = 30 * time.Second

// log is what is written there: at most a line in that time.
type log struct {
	w    io.Writer
	now  func() time.Time
	last time.Time // when something was written, or the program begun
}

func (l *log) line(format string, a ...any) {
	if now := l.now(); now.Sub(l.last) >= logEvery {
		l.last = now
		fmt.Fprintln(l.w, quote.Text(fmt.Sprintf(format, a...))) // a line that cannot be written is no reason to stop
	}
}

// progress writes about work of n steps.
func (l *log) progress(what string, n int, count func(done, n int) string) func(done int, say string) {
	return func(done int, say string) {
		if say != "" {
			say = ", " + say
		}
		l.line("%s %s%s", what, count(done, n), say)
	}
}

// checked is where a command's output goes: it remembers the first error, so that output that went nowhere fails the command.
type checked struct {
	w   io.Writer
	err error
}

func (c *checked) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}
