package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// A bar shows on a terminal how far something is, in one line that is written anew over itself. How wide the terminal is, is
// asked each time: a line longer than it would wrap. Terminals that become narrower wrap what they show, and keep the cursor at its
// character: so it is left at the line's beginning, and what has wrapped is erased below it.
type bar struct {
	w     io.Writer
	width func() int // columns
	now   func() time.Time
	count func(done, n int) string // how many, in words
	what  string
	n     int

	mu          sync.Mutex
	begun, last time.Time
	drawn       bool
}

// eraseBelow erases from the cursor to the end of the terminal.
const eraseBelow = "\x1b[J"

const (
	barEvery = 100 * time.Millisecond
	barWidth = 24 // of the bar itself; less on narrow terminals
)

// set draws the bar with done steps of n, unless it was drawn a moment ago.
func (b *bar) set(done int, say string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.drawn && done < b.n && now.Sub(b.last) < barEvery {
		return
	}
	b.last, b.drawn = now, true
	done = max(0, min(done, b.n))
	left := ""
	if spent := now.Sub(b.begun); done > 0 && done < b.n {
		rest := time.Duration(float64(spent) / float64(done) * float64(b.n-done))
		left = ", " + rest.Round(time.Second).String() + " left"
	}
	io.WriteString(b.w, "\r"+b.line(done, left, say, b.width()-1)+eraseBelow+"\r")
}

// line is what fits into so many columns: first the share, then the bar, how many, and what is said.
func (b *bar) line(done int, left, say string, columns int) string {
	share := done * 100 / max(b.n, 1)
	line := fmt.Sprintf("%s %3d%%", b.what, share)
	for _, part := range []string{
		fmt.Sprintf(" [%s%s]", strings.Repeat("=", barWidth*share/100), strings.Repeat(" ", barWidth-barWidth*share/100)),
		fmt.Sprintf(" (%s%s)", b.count(done, b.n), left),
		"  " + say,
	} {
		if len([]rune(line))+len([]rune(part)) <= columns {
			line += part
		}
	}
	if r := []rune(line); len(r) > columns {
		line = string(r[:max(columns, 0)])
	}
	return line
}

// finish takes the bar away.
func (b *bar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drawn {
		io.WriteString(b.w, "\r"+eraseBelow)
	}
	b.drawn = false
}

// terminalWidth asks how wide a terminal is now, 80 where it does not say.
func terminalWidth(fd int) int {
	if w, _, err := term.GetSize(fd); err == nil && w > 0 {
		return w
	}
	return 80
}
