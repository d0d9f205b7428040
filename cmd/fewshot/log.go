package main

import (
	"fmt"
	"io"
	"time"

	"fewshot/nn/quote"
)

// logEvery is how long nothing may be heard of a long piece of work, where stderr is no terminal with a bar: a batch system's file.
const logEvery = 30 * time.Second

// progressLog writes a line about work of n steps now and then.
type progressLog struct {
	w     io.Writer
	now   func() time.Time
	what  string
	n     int
	count func(done, n int) string
	last  time.Time // when something was written, or the work begun
}

func (l *progressLog) set(done int, say string) {
	now := l.now()
	if now.Sub(l.last) < logEvery {
		return
	}
	l.last = now
	line := l.what + " " + l.count(done, l.n)
	if say != "" {
		line += ", " + say
	}
	fmt.Fprintln(l.w, quote.Text(line)) // a line that cannot be written is no reason to stop
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
