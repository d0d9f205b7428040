package datasets

import (
	"fmt"
	"strings"

	"fewshot/nn/quote"
)

// maxProblems is how many problems of one file an Error spells out; the rest are counted.
const maxProblems = 20

// An Error says what is wrong with one file or folder of a data set, with everything that was found
// in one go, so that a user repairs it once.
type Error struct {
	// File is the file or folder, with the data root in front.
	File string
	// Problems are the first 20 things wrong with it, in the file's order, each with its place
	// ("line 7: …", "train[12]: …") where the file has places.
	Problems []string
	// Total counts all of them; it is at least len(Problems).
	Total int
	// Fix says what to do about it; it may be empty.
	Fix string
	// Err is the cause where the operating system gave one, such as fs.ErrNotExist.
	Err error
}

// Error renders one problem on one line, and several below each other. What strangers wrote is harmless to a terminal
// in it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(quote.Plain(e.File))
	switch {
	case e.Total == 1 && len(e.Problems) == 1:
		b.WriteString(": " + e.Problems[0])
	default:
		fmt.Fprintf(&b, ": %d problems:", e.Total)
		for _, p := range e.Problems {
			b.WriteString("\n  " + p)
		}
		if rest := e.Total - len(e.Problems); rest > 0 {
			fmt.Fprintf(&b, "\n  … and %d more", rest)
		}
	}
	switch {
	case e.Fix == "":
	case e.Total > 1:
		b.WriteString("\n" + e.Fix)
	default:
		b.WriteString("; " + e.Fix)
	}
	return quote.Text(b.String())
}

// Unwrap returns the cause, so that errors.Is(err, fs.ErrNotExist) works.
func (e *Error) Unwrap() error { return e.Err }

// fault is an Error of a single problem.
func fault(file string, cause error, fix, format string, args ...any) *Error {
	return &Error{File: file, Problems: []string{fmt.Sprintf(format, args...)}, Total: 1, Fix: fix, Err: cause}
}

// problems collects what is wrong with one file.
type problems struct {
	file  string
	first []string
	total int
}

func (p *problems) add(format string, args ...any) {
	if p.total++; len(p.first) < maxProblems {
		p.first = append(p.first, fmt.Sprintf(format, args...))
	}
}

// err returns everything collected as one error, or nil if nothing was.
func (p *problems) err(fix string) error {
	if p.total == 0 {
		return nil
	}
	return &Error{File: p.file, Problems: p.first, Total: p.total, Fix: fix}
}

// tally counts occurrences of something worth a warning and remembers the first few by name.
type tally struct {
	first []string
	total int
}

func (t *tally) add(name string) {
	const limit = 3
	if t.total++; len(t.first) < limit {
		t.first = append(t.first, quote.Plain(name))
	}
}

// String renders as `3 (a, b, c)` or `7 (a, b, c, …)`.
func (t *tally) String() string {
	names := strings.Join(t.first, ", ")
	if t.total > len(t.first) {
		names += ", …"
	}
	return fmt.Sprintf("%d (%s)", t.total, names)
}
