package tensorboard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"fewshot/nn/checkpoint"
)

// Writer writes the events of one run into its folder.
type Writer struct {
	dir  string
	now  func() time.Time
	file *os.File // nil until there is something to write
	has  map[string]map[int64]bool
	last int64 // time in the name of the newest file that was there
}

// mostBytes bounds a file that is read: a hundred thousand epochs of ten scalars take 60 MB.
const mostBytes = 256 << 20

// eventFile is a file that TensorBoard's own writer, or this one, has written.
var eventFile = regexp.MustCompile(`^events\.out\.tfevents\.([0-9]{10})\.`)

// Open makes a writer for a run's folder, which is made if there is none. now is the clock.
func Open(dir string, now func() time.Time) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, now: now, has: map[string]map[int64]bool{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		m := eventFile.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		at, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return nil, err
		}
		w.last = max(w.last, at)
		b, err := checkpoint.ReadFile(filepath.Join(dir, e.Name()), mostBytes)
		if err != nil {
			return nil, err
		}
		for _, r := range records(b) {
			for _, p := range points(r) {
				w.had(p.tag, p.step)
			}
		}
	}
	return w, nil
}

// had takes down that a tag has a value at a step, and reports whether it had one.
func (w *Writer) had(tag string, step int64) bool {
	if w.has[tag] == nil {
		w.has[tag] = map[int64]bool{}
	}
	had := w.has[tag][step]
	w.has[tag][step] = true
	return had
}

// Scalars writes the values of tags at a step. A tag that has a value there keeps it: equal runs have equal values.
func (w *Writer) Scalars(step int64, values ...Scalar) error {
	var summary message
	for _, v := range values {
		if !w.had(v.Tag, step) {
			summary.bytes(1, scalar(v.Tag, v.Value))
		}
	}
	return w.summary(step, summary)
}

// Scalar is a value under a tag, as train/loss: what comes before the stroke is a section of the page.
type Scalar struct {
	Tag   string
	Value float64
}

// Start writes a run's hyper-parameters: numbers as float64, texts and truths. They are there once.
func (w *Writer) Start(params map[string]any) error {
	if w.had(startTag, 0) {
		return nil
	}
	var summary message
	summary.bytes(1, plugin(startTag, sessionStart(params, w.wall())))
	return w.summary(0, summary)
}

// End says that the run is done.
func (w *Writer) End() error {
	if w.had(endTag, 0) {
		return nil
	}
	var summary message
	summary.bytes(1, plugin(endTag, sessionEnd(w.wall())))
	return w.summary(0, summary)
}

func (w *Writer) wall() float64 { return float64(w.now().UnixMicro()) / 1e6 }

func (w *Writer) summary(step int64, summary message) error {
	if len(summary) == 0 {
		return nil
	}
	if w.file == nil {
		if err := w.create(); err != nil {
			return err
		}
	}
	return w.write(event(w.wall(), step, func(m *message) { m.bytes(5, summary) }))
}

// create opens a file whose name comes last, even where the clock has gone back.
func (w *Writer) create() error {
	at := max(w.now().Unix(), w.last+1)
	for ; w.file == nil; at++ {
		if at < 0 || at > 9_999_999_999 {
			return fmt.Errorf("%s: the clock says %d seconds since 1970, which an event file's name cannot hold", w.dir, at)
		}
		f, err := os.OpenFile(filepath.Join(w.dir, fmt.Sprintf("events.out.tfevents.%010d.fewshot", at)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		switch {
		case err == nil:
			w.file = f
		case !errors.Is(err, fs.ErrExist): // another process may just have made one of that name
			return err
		}
	}
	return w.write(event(w.wall(), 0, func(m *message) { m.string(3, "brain.Event:2") }))
}

// write writes a record at once, so that who watches sees it and a kill cuts off one record at most.
func (w *Writer) write(payload message) error {
	_, err := w.file.Write(record(payload))
	return err
}

// Close closes the file, if there is one.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
