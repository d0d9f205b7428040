package predict

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"fewshot/nn/words"
)

// maxRow bounds a row: a thousand classes with names of a thousand bytes, and a path.
const maxRow = 4 << 20

// rows gives the complete rows of what was written before, each with its line break. At the end of the file a row without one, as a
// process leaves it that was killed, or a full disk, is none.
func (f Format) rows(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReader(r)
		header := f.Header()
		var row []byte
		for n := 0; ; {
			part, err := in.ReadSlice('\n')
			row = append(row, part...)
			switch {
			case len(row) > maxRow:
				yield(nil, fmt.Errorf("row %d is longer than %d bytes", n+1, maxRow))
				return
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case err != nil:
				if !errors.Is(err, io.EOF) {
					yield(nil, err)
				}
				return
			case !f.JSONL && bytes.Count(row, []byte{'"'})%2 == 1: // a line break within quotation marks
				continue
			}
			if header != nil {
				if !bytes.Equal(row, header) {
					yield(nil, fmt.Errorf("begins with another header than %s", bytes.TrimSpace(header)))
					return
				}
				header, row = nil, row[:0]
				continue
			}
			n++
			if err := f.check(row); err != nil {
				yield(nil, fmt.Errorf("row %d %w", n, err))
				return
			}
			if !yield(row, nil) {
				return
			}
			row = row[:0]
		}
	}
}

// Written is what an earlier process has left of a file.
type Written struct {
	Rows   int   // complete ones
	Failed int   // of these, without a prediction; known when they were compared
	Bytes  int64 // of complete rows, and the header
}

// scan reads what was written before.
func (f Format) scan(r io.Reader) (w Written, err error) {
	for row, err := range f.rows(r) {
		if err != nil {
			return w, err
		}
		w.Rows++
		w.Bytes += int64(len(row))
	}
	if w.Rows > 0 {
		w.Bytes += int64(len(f.Header()))
	}
	return w, nil
}

// After are the paths that remain when those of the rows written before are taken away, from the first on of the batch in which the rows
// end, so that batches are what they would have been; Written.Rows mod batch rows are to be made again and left out. Rows of other
// paths than these, or more rows than paths, are an error.
func (o *Output) After(paths iter.Seq2[string, error], batch int) iter.Seq2[string, error] {
	if o == nil || o.Before.Rows == 0 {
		return paths
	}
	from := o.Before.Rows - o.Before.Rows%batch
	return func(yield func(string, error) bool) {
		next, stop := iter.Pull2(o.format.rows(io.NewSectionReader(o.file, 0, o.Before.Bytes)))
		defer stop()
		n := 0
		for path, err := range paths {
			if err == nil && n < o.Before.Rows {
				err = o.compare(n, path, next)
			}
			n++
			if err != nil {
				yield("", err)
				return
			}
			if n > from && !yield(path, nil) {
				return
			}
		}
		if n < o.Before.Rows {
			yield("", fmt.Errorf("%s has %s, and %s given: were some taken away? Give another -out", o.path, words.Count(o.Before.Rows, "row"), words.Plural(n, "image is", "images are")))
		}
	}
}

// compare makes sure that the next row is that of a path.
func (o *Output) compare(n int, path string, next func() ([]byte, error, bool)) error {
	row, err, ok := next()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", o.path, err)
	case !ok:
		return fmt.Errorf("%s was changed while it was read", o.path)
	case !bytes.HasPrefix(row, o.format.key(path)):
		return fmt.Errorf("row %d of %s is of another image than %s, which is number %d now: the images or their order have changed; give another -out",
			n+1, o.path, path, n+1)
	}
	if o.format.failed(row, path) {
		o.Before.Failed++
	}
	return nil
}
