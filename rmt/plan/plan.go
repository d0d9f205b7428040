package plan

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/run"
)

// Format is what a plan's header says it is.
const Format = run.PlanFormat

const (
	planVersion = 1
	maxHeader   = 1 << 12
	maxLine     = 1 << 20  // a run with a thousand templates
	maxRuns     = 10 << 20 // with 48 bytes each in memory
)

// Plan is a list of runs, each before those that need it, none twice. Its runs are kept as lines of JSON, where they came from, and of
// each only a few bytes in memory.
type Plan struct {
	lines io.ReaderAt
	index []entry
	byID  map[[idLen / 2]byte]int32
	sum   string // SHA-256 of all lines
	file  *os.File
}

// entry is where a run's line is.
type entry struct {
	id    [idLen / 2]byte
	at    int64
	n     int32
	below int32 // -1 for none
}

// header is a plan file's first line.
type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Program string `json:"program"`
	Runs    int    `json:"runs"`
	Sum     string `json:"sha256"` // of the lines that follow
}

// line is a run's.
type line struct {
	ID string `json:"id"`
	Run
}

// New makes a plan of runs. Those that are equal become one, with the evaluations of all; each needs to come after the one whose mask it is
// trained under.
func New(runs []Run) (*Plan, error) {
	at := map[string]int{}
	var all []Run
	var ids []string
	for _, r := range runs {
		id := r.ID()
		if i, again := at[id]; again {
			all[i] = all[i].With(r.Evaluate...)
			continue
		}
		at[id] = len(all)
		all, ids = append(all, r.With()), append(ids, id)
	}
	p := &Plan{byID: map[[idLen / 2]byte]int32{}}
	var b bytes.Buffer
	for i := range all {
		l := append(canonical(line{ids[i], all[i]}), '\n')
		if err := p.add(&all[i], ids[i], int64(b.Len()), len(l)); err != nil {
			return nil, fmt.Errorf("run %d, %s: %w", i+1, &all[i], err)
		}
		b.Write(l)
	}
	sum := sha256.Sum256(b.Bytes())
	p.lines, p.sum = bytes.NewReader(b.Bytes()), hex.EncodeToString(sum[:])
	return p, nil
}

// Union makes one plan of several.
func Union(plans ...*Plan) (*Plan, error) {
	var all []Run
	for _, p := range plans {
		for _, r := range p.All() {
			all = append(all, r)
		}
	}
	return New(all)
}

var (
	errTwice = errors.New("the run is in the plan twice")
	errBelow = errors.New("the run is to be trained under the mask of another, which must stand before it in the plan and does not")
)

// add appends a run to the index.
func (p *Plan) add(r *Run, id string, at int64, n int) error {
	if err := r.Check(); err != nil {
		return err
	}
	e := entry{id: binaryID(id), at: at, n: int32(n), below: -1}
	if _, twice := p.byID[e.id]; twice {
		return errTwice
	}
	if r.Below != "" {
		below, ok := p.byID[binaryID(r.Below)]
		if !ok || len(r.Below) != idLen {
			return errBelow
		}
		e.below = below
	}
	if len(p.index) == maxRuns {
		return fmt.Errorf("a plan has at most %d runs", maxRuns)
	}
	p.byID[e.id] = int32(len(p.index))
	p.index = append(p.index, e)
	return nil
}

// binaryID is an id's bytes; those of what is no id are zero.
func binaryID(s string) (id [idLen / 2]byte) {
	if len(s) == idLen {
		hex.Decode(id[:], []byte(s))
	}
	return id
}

// Len is the number of runs.
func (p *Plan) Len() int { return len(p.index) }

// Hash identifies the plan: SHA-256 of all its lines.
func (p *Plan) Hash() string { return p.sum }

// ID is that of run i.
func (p *Plan) ID(i int) string { return hex.EncodeToString(p.index[i].id[:]) }

// Below is the number of the run whose mask run i is trained under, -1 where there is none.
func (p *Plan) Below(i int) int { return int(p.index[i].below) }

// Index is the number of the run of an id, -1 where the plan has none.
func (p *Plan) Index(id string) int {
	if i, ok := p.byID[binaryID(id)]; ok && len(id) == idLen {
		return int(i)
	}
	return -1
}

// Run is run i.
func (p *Plan) Run(i int) (Run, error) {
	e := p.index[i]
	b := make([]byte, e.n)
	if _, err := p.lines.ReadAt(b, e.at); err != nil {
		return Run{}, fmt.Errorf("run %d of the plan cannot be read again: %w", i+1, err)
	}
	l, err := parseLine(b)
	if err == nil && binaryID(l.ID) != e.id {
		err = errors.New("it is another one now")
	}
	if err != nil {
		return Run{}, fmt.Errorf("run %d: the plan was changed meanwhile: %w", i+1, err)
	}
	return l.Run, nil
}

// All are the runs in their order, with their numbers. A plan whose file is changed while it is open panics here; [Plan.Run] says so.
func (p *Plan) All() iter.Seq2[int, Run] {
	return func(yield func(int, Run) bool) {
		for i := range p.index {
			r, err := p.Run(i)
			if err != nil {
				panic("plan: " + err.Error())
			}
			if !yield(i, r) {
				return
			}
		}
	}
}

// Write writes the plan as a file, with the version of the program that makes it.
func (p *Plan) Write(w io.Writer, program string) error {
	h := append(canonical(header{Format, planVersion, program, p.Len(), p.sum}), '\n')
	if _, err := w.Write(h); err != nil {
		return err
	}
	for _, e := range p.index {
		if _, err := io.Copy(w, io.NewSectionReader(p.lines, e.at, int64(e.n))); err != nil {
			return err
		}
	}
	return nil
}

// Save writes the plan into a file of that path, whole or not at all.
func (p *Plan) Save(path, program string) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<16)
		if err := p.Write(b, program); err != nil {
			return err
		}
		return b.Flush()
	})
}

// Close closes the plan's file, if it came from one.
func (p *Plan) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// Open opens a plan's file, and refuses one that was changed by hand, cut off, or made by another program than that of the given version,
// whose settings and ids may mean something else; "" takes any. The caller closes the plan.
func Open(path, program string) (*Plan, error) {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	p, err := read(f, f, program)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s%w", path, err)
	}
	p.file = f
	return p, nil
}

// OpenHeader reports whether a file begins as a plan does, and for how many runs.
func OpenHeader(path string) (runs int, err error) {
	f, err := checkpoint.OpenRegular(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var h header
	b, err := readLine(bufio.NewReader(io.LimitReader(f, maxHeader)), maxHeader)
	if err != nil || strict(b, &h) != nil || h.Format != Format {
		return 0, fmt.Errorf("%s%w", path, errNoPlan)
	}
	return h.Runs, nil
}

var errNoPlan = errors.New(" is no plan: a plan's first line is its header; fewshot plan makes one")

// read reads a plan, and keeps where its lines are.
func read(r io.Reader, lines io.ReaderAt, program string) (*Plan, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	first, err := readLine(in, maxHeader)
	var h header
	if err != nil || strict(first, &h) != nil || h.Format != Format {
		return nil, errNoPlan
	}
	switch {
	case h.Version != planVersion:
		return nil, fmt.Errorf(" is a plan of version %d; this program reads version %d", h.Version, planVersion)
	case program != "" && h.Program != program:
		return nil, fmt.Errorf(" was made by another version of the program, %s; this is %s: make the plan again with the same flags; runs that are done keep their ids", quote.Plain(h.Program), quote.Plain(program))
	case h.Runs < 0 || h.Runs > maxRuns:
		return nil, fmt.Errorf(" is a plan of %d runs; there may be 0 to %d", h.Runs, maxRuns)
	}
	p := &Plan{lines: lines, byID: map[[idLen / 2]byte]int32{}}
	sum, at := sha256.New(), int64(len(first))
	for {
		b, err := readLine(in, maxLine)
		if err == io.EOF && len(b) == 0 {
			break
		}
		number := len(p.index) + 2
		if err == nil && len(p.index) == h.Runs {
			return nil, fmt.Errorf(", line %d: the plan has %s by its header: it was changed; make the plan again", number, words.Count(h.Runs, "run"))
		}
		if err != nil {
			return nil, fmt.Errorf(", line %d: %w", number, err)
		}
		l, err := parseLine(b)
		if err == nil {
			err = p.add(&l.Run, l.ID, at, len(b))
		}
		if err != nil {
			return nil, fmt.Errorf(", line %d: %w; make the plan again", number, err)
		}
		sum.Write(b)
		at += int64(len(b))
	}
	if p.sum = hex.EncodeToString(sum.Sum(nil)); len(p.index) != h.Runs || p.sum != h.Sum {
		return nil, fmt.Errorf(" was changed or cut off: it holds %s with SHA-256 %s, its header says %d with %s; make it again", words.Count(len(p.index), "run"), p.sum, h.Runs, quote.Plain(h.Sum))
	}
	return p, nil
}

// readLine reads a line with its end.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var all []byte
	for {
		b, err := in.ReadSlice('\n')
		if len(all)+len(b) > limit {
			return nil, fmt.Errorf("is longer than %d bytes", limit)
		}
		all = append(all, b...)
		switch err {
		case nil:
			return all, nil
		case bufio.ErrBufferFull:
		case io.EOF:
			if len(all) > 0 {
				return nil, errors.New("the line is cut off; make the plan again")
			}
			return nil, io.EOF
		default:
			return nil, err
		}
	}
}

// strict reads a line of JSON without unknown fields, written as this program does.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	return nil
}

func parseLine(b []byte) (line, error) {
	var l line
	if err := strict(b, &l); err != nil {
		return l, err
	}
	if id := l.Run.ID(); id != l.ID {
		return l, fmt.Errorf("the run's id is %s, and what the line says has the id %s: it was changed", quote.String(l.ID), id)
	}
	if !bytes.Equal(append(canonical(line{l.ID, l.Run.With()}), '\n'), b) {
		return l, errors.New("is not written as this program writes it: it was changed")
	}
	return l, nil
}

// leavesMask reports whether other runs can be trained under a method's result.
func leavesMask(method string) bool { return slices.Contains(rmt.Methods(), method) }
