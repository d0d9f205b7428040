package predict

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/rmt/run"
)

// SettingsSuffix follows the name of a file of predictions in that of the file that says how they were made.
const SettingsSuffix = ".settings.json"

const maxSettings = 64 << 20

// Output is a file of predictions that this process has to itself.
type Output struct {
	Before Written // what was there; it is not written again

	path   string
	format Format
	file   *os.File
	size   int64 // of complete rows
}

// Open makes a file, which may not be there, or with resume takes one up. settings are an object of what determines the rows: it is kept
// beside the file, and a file is gone on with by the settings that it was begun with alone.
func Open(path string, f Format, settings any, resume bool) (*Output, error) {
	is, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(path)
	there := err == nil
	if there && !resume {
		return nil, fmt.Errorf("%s is there already; give another -out, or -resume to go on with it", path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := checkpoint.OpenOwn(path)
	if err != nil {
		return nil, err
	}
	o := &Output{path: path, format: f, file: file}
	if err := o.begin(is, resume); err != nil {
		if !there && o.size == 0 {
			os.Remove(path)
		}
		return nil, errors.Join(err, file.Close())
	}
	return o, nil
}

// begin finds the end of what was written, or begins the file.
func (o *Output) begin(settings []byte, resume bool) error {
	if err := run.Lock(o.file); err != nil {
		return err
	}
	info, err := o.file.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() > 0 && !resume:
		return fmt.Errorf("%s was made meanwhile by another process; give another -out", o.path)
	case info.Size() > 0:
		if err := o.sameSettings(settings); err != nil {
			return err
		}
		if o.Before, err = o.format.scan(io.NewSectionReader(o.file, 0, info.Size())); err != nil {
			return fmt.Errorf("%s cannot be gone on with: %w; give another -out", o.path, err)
		}
	}
	o.size = o.Before.Bytes
	if err := o.cut(); err != nil || o.size > 0 {
		return err
	}
	if _, err := ReadSettings(o.path); err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody's, called as ours would be
		return fmt.Errorf("%w; it is not replaced: give another -out", err)
	}
	if err := o.note(settings, nil); err != nil {
		return err
	}
	return o.Write(o.format.Header())
}

// sidecar says beside a file of predictions how it was made.
type sidecar struct {
	Settings json.RawMessage `json:"settings"`
	Sum      string          `json:"settings_sha256"`
	Result   any             `json:"result,omitempty"` // of the process that came to the end
}

func (o *Output) note(settings []byte, result any) error {
	sum := sha256.Sum256(settings)
	return checkpoint.WriteFile(o.path+SettingsSuffix, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(sidecar{settings, hex.EncodeToString(sum[:]), result})
	})
}

// ReadSettings reads the settings of a file of predictions.
func ReadSettings(path string) (json.RawMessage, error) {
	path += SettingsSuffix
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxSettings) {
		err = fmt.Errorf("%s is no file of settings", path)
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseSettings(path, b)
}

func parseSettings(path string, b []byte) (json.RawMessage, error) {
	var s sidecar
	err := json.Unmarshal(b, &s)
	var compact bytes.Buffer
	if err == nil {
		err = json.Compact(&compact, s.Settings)
	}
	if err != nil || compact.Len() == 0 || compact.Bytes()[0] != '{' {
		return nil, fmt.Errorf("%s: is no file of settings, as fewshot predict writes it", path)
	}
	if sum := sha256.Sum256(compact.Bytes()); hex.EncodeToString(sum[:]) != s.Sum {
		return nil, fmt.Errorf("%s: was changed: its settings have another SHA-256 than it says", path)
	}
	return compact.Bytes(), nil
}

// sameSettings refuses a file that was begun with other settings, and says which.
func (o *Output) sameSettings(settings []byte) error {
	was, err := ReadSettings(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no %s beside it, so that nothing says how it was made; give another -out", o.path, filepath.Base(o.path)+SettingsSuffix)
	}
	if err != nil || bytes.Equal(was, settings) {
		return err
	}
	before, now := run.FieldsOf(was), run.FieldsOf(settings)
	var differ []string
	for _, k := range slices.Sorted(maps.Keys(maps.Collect(both(before, now)))) {
		if before[k] != now[k] {
			differ = append(differ, fmt.Sprintf("%s was %s and is %s", k, shown(before[k]), shown(now[k])))
		}
	}
	return fmt.Errorf("%s was begun with other settings: %s; give those, or another -out", o.path, strings.Join(differ, "; "))
}

func both(a, b map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, m := range []map[string]string{a, b} {
			for k, v := range m {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

func shown(v string) string {
	if v == "" {
		return "not there"
	}
	if len(v) > 60 {
		v = v[:60] + "…"
	}
	return quote.Text(v)
}

// cut takes away what is behind the last complete rows.
func (o *Output) cut() error {
	if err := o.file.Truncate(o.size); err != nil {
		return err
	}
	_, err := o.file.Seek(o.size, io.SeekStart)
	return err
}

// Write writes complete rows: all of them, or, where they do not fit, none.
func (o *Output) Write(rows []byte) error {
	n, err := o.file.Write(rows)
	if err != nil {
		return errors.Join(err, o.cut())
	}
	o.size += int64(n)
	return nil
}

// Finish says beside the file what came of it, and closes it.
func (o *Output) Finish(settings, result any) error {
	is, err := json.Marshal(settings)
	if err == nil {
		err = o.file.Sync()
	}
	if err == nil {
		err = o.note(is, result)
	}
	return errors.Join(err, o.file.Close())
}

// Close closes the file.
func (o *Output) Close() error { return o.file.Close() }
