package checkpoint

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	show "fewshot/nn/quote"
)

// Kind says what class of fault an [Error] is. A Kind is itself an error, so
// that errors.Is(err, checkpoint.Corrupt) asks for the class.
type Kind uint8

const (
	// Corrupt: the bytes break the rules of their own format.
	Corrupt Kind = iota + 1
	// Unsupported: well-formed as far as it was read, but not something this
	// package handles.
	Unsupported
	// Limit: a size beyond what any real checkpoint has; refused before
	// memory is allocated for it.
	Limit
	// Mismatch: readable, but not what was asked for: missing, extra or
	// contradicting tensors, wrong lengths.
	Mismatch
	// Forbidden: a pickle that asks for code: a global or an opcode outside
	// the allow-list.
	Forbidden
	// NonFinite: a weight that is NaN or infinite.
	NonFinite
	// IO: the operating system refused; the cause is wrapped.
	IO
)

var kindNames = [...]string{
	Corrupt:     "corrupt",
	Unsupported: "unsupported",
	Limit:       "over limit",
	Mismatch:    "mismatch",
	Forbidden:   "forbidden",
	NonFinite:   "not finite",
	IO:          "input/output error",
}

// String is the kind in words, as it appears in messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Error makes a Kind usable as the target of [errors.Is].
func (k Kind) Error() string { return k.String() }

// An Error is the one error type of this package. Every string in it that
// came out of a file has been quoted and cut, so that a hostile file cannot
// write to the terminal through its own error message.
type Error struct {
	Kind    Kind
	Path    string // the file; for a folder, the file in it
	Entry   string // tensor, archive entry or JSON key; may be empty
	Offset  int64  // byte in the file or in the archive entry; -1 when none applies
	Problem string // what is wrong, and where it helps what to do
	Want    string // what was expected; may be empty
	Got     string // what was found; may be empty
	Err     error  // wrapped cause; may be nil
}

// Error renders file, entry, offset, kind, problem, expectation and finding.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Path != "" { // which may well be no checkpoint: all files of the program are written here
		b.WriteString(show.Plain(e.Path))
		b.WriteString(": ")
	} else {
		b.WriteString("checkpoint: ")
	}
	if e.Entry != "" {
		b.WriteString(quote(e.Entry))
		b.WriteString(": ")
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, "at byte %d: ", e.Offset)
	}
	cause := e.cause()
	switch {
	case errors.Is(e.Err, fs.ErrNotExist): // plain words for the commonest of all
		b.WriteString(cmp.Or(e.Problem, "no such file or folder"))
		cause = ""
	case e.Problem != "":
		b.WriteString(e.Kind.String() + ": " + e.Problem)
	default:
		b.WriteString(e.Kind.String())
	}
	if e.Want != "" {
		b.WriteString("; expected ")
		b.WriteString(e.Want)
	}
	if e.Got != "" {
		b.WriteString(", found ")
		b.WriteString(e.Got)
	}
	if cause != "" {
		b.WriteString(": ")
		b.WriteString(cause)
	}
	return b.String()
}

// cause is the wrapped error in words, without the path where the message has it already.
func (e *Error) cause() string {
	var at *fs.PathError
	switch {
	case e.Err == nil:
		return ""
	case errors.As(e.Err, &at) && at.Path == e.Path && e.Err == error(at):
		return at.Op + ": " + at.Err.Error()
	}
	return e.Err.Error()
}

// Is reports whether target is the error's [Kind].
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// Unwrap returns the wrapped cause, such as an *fs.PathError.
func (e *Error) Unwrap() error { return e.Err }

// wanted completes an Error with an expectation and a finding.
func (e *Error) wanted(want, got any) *Error {
	e.Want, e.Got = fmt.Sprint(want), fmt.Sprint(got)
	return e
}

// at completes an Error with a byte offset.
func (e *Error) at(offset int64) *Error {
	e.Offset = offset
	return e
}

// in completes an Error with the entry it is about.
func (e *Error) in(entry string) *Error {
	e.Entry = entry
	return e
}

// fault starts an Error of the given kind.
func fault(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Offset: -1, Problem: fmt.Sprintf(format, args...)}
}

// inFile completes err with the path of the file it is about. What is not
// yet an *Error came from the operating system and becomes one of kind IO.
func inFile(path string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Path == "" {
			e.Path = path
		}
		return err
	}
	return &Error{Kind: IO, Path: path, Offset: -1, Err: err}
}

// toWrite is inFile for what could not be created: where that is for want of a folder, it says so.
func toWrite(path string, err error) error {
	dir := filepath.Dir(path)
	if _, missing := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && errors.Is(missing, fs.ErrNotExist) {
		e := fault(IO, "there is no folder %s", show.Plain(dir))
		e.Err = err
		err = e
	}
	return inFile(path, err)
}

// quote shows a string out of a file: Go syntax, a bounded part of it.
func quote(s string) string { return show.String(s) }

// maxListed bounds how many faults of one kind a message lists by name.
const maxListed = 20

// problems collects all faults of a checkpoint, so that they are reported
// together instead of one per attempt.
type problems struct {
	list  []string
	total int
}

func (p *problems) add(format string, args ...any) {
	p.total++
	if len(p.list) < maxListed {
		p.list = append(p.list, fmt.Sprintf(format, args...))
	}
}

// err is nil when nothing was collected.
func (p *problems) err(kind Kind, headline string) error {
	if p.total == 0 {
		return nil
	}
	text := headline + ": " + strings.Join(p.list, "; ")
	if more := p.total - len(p.list); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return fault(kind, "%s", text)
}

func hex32(v uint32) string { return fmt.Sprintf("0x%08x", v) }

func rangeText(from, to uint64) string { return fmt.Sprintf("[%d, %d)", from, to) }

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

// clampOffset turns an unchecked offset out of a file into one for a message.
func clampOffset(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func intText(n int64) string { return strconv.FormatInt(n, 10) }

func hexText(b []byte) string { return hex.EncodeToString(b) }
