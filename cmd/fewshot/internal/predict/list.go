package predict

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxPath is more bytes than a path has on any system.
const maxPath = 32 << 10

// List reads paths, one a line, or, with nul, each with a zero byte behind it, as find -print0 writes them. They are bytes, in no particular
// encoding. Without nul a byte order mark in front and carriage returns before line feeds are taken away, and empty lines passed over. The
// last path may lack its end. An error names the line.
func List(r io.Reader, nul bool) iter.Seq2[string, error] {
	end, what := byte('\n'), "line"
	if nul {
		end, what = 0, "entry"
	}
	return func(yield func(string, error) bool) {
		in := bufio.NewReaderSize(r, maxPath+2)
		for n := 1; ; n++ {
			path, err := in.ReadSlice(end)
			ended := err == nil
			if err != nil && !errors.Is(err, io.EOF) {
				if errors.Is(err, bufio.ErrBufferFull) {
					err = fmt.Errorf("is longer than a path of %d bytes", maxPath)
				}
				yield("", fmt.Errorf("%s %d of the list: %w", what, n, err))
				return
			}
			if ended {
				path = path[:len(path)-1]
			}
			problem := ""
			if !nul {
				if n == 1 && (bytes.HasPrefix(path, []byte("\xff\xfe")) || bytes.HasPrefix(path, []byte("\xfe\xff"))) {
					problem = "the list is UTF-16 text: write it as UTF-8"
				}
				if n == 1 {
					path = bytes.TrimPrefix(path, []byte("\ufeff"))
				}
				path = bytes.TrimSuffix(path, []byte("\r"))
			}
			switch {
			case problem != "":
			case len(path) > maxPath:
				problem = fmt.Sprintf("is longer than a path of %d bytes", maxPath)
			case bytes.IndexByte(path, 0) >= 0:
				problem = "has a zero byte: paths that end with one are read with -0"
			case nul && ended && len(path) == 0:
				problem = "is empty"
			}
			if problem != "" {
				yield("", fmt.Errorf("%s %d of the list: %s", what, n, problem))
				return
			}
			if len(path) > 0 && !yield(string(path), nil) || !ended {
				return
			}
		}
	}
}
