package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Type is the physical type of a column.
type Type int64

const (
	Boolean   Type = 0
	Int32     Type = 1
	Int64     Type = 2
	Int96     Type = 3
	Float     Type = 4
	Double    Type = 5
	ByteArray Type = 6
	Fixed     Type = 7
)

func (t Type) String() string {
	if t < 0 || int(t) >= len(types) {
		return fmt.Sprintf("type %d", int64(t))
	}
	return types[t]
}

var types = [...]string{"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}

// Limits of a file.
const (
	maxFooter     = 64 << 20
	maxColumns    = 10_000
	maxPage       = 1 << 30
	maxUnpacked   = 256 << 20 // of a page that is compressed
	maxDictionary = 16 << 20  // writers give one up at 1 MiB
)

// A Column is a leaf of the schema.
type Column struct {
	// Path has the column's name, after those of the groups that it is in.
	Path []string
	Type Type
	// Repeated says that a row may have several values: lists and maps. Such columns are not read.
	Repeated bool

	maxDef int // the definition level of a value that is there
}

// Name is the path with dots.
func (c *Column) Name() string { return strings.Join(c.Path, ".") }

// A File is an open Parquet file.
type File struct {
	// Columns are the leaves of the schema, in order.
	Columns []Column
	// Rows is the number of rows.
	Rows int64
	// Metadata are the file's own keys and values, such as "huggingface".
	Metadata map[string]string

	r      io.ReaderAt
	size   int64
	groups []group
}

type group struct {
	rows   int64
	chunks []chunk
}

// chunk is where a column's pages lie in a group of rows.
type chunk struct {
	codec      int64
	start, end int64
	values     int64
}

const magic = "PAR1"

// Open reads the schema of a file of size bytes.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, size: size, Metadata: make(map[string]string)}
	head, tail := make([]byte, 4), make([]byte, 8)
	if size < 12 {
		return nil, errors.New("is too short for a Parquet file")
	}
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if _, err := r.ReadAt(tail, size-8); err != nil {
		return nil, err
	}
	switch {
	case string(head) == "PARE" || string(tail[4:]) == "PARE":
		return nil, errors.New("is encrypted")
	case string(head) != magic:
		return nil, errors.New("is not a Parquet file")
	case string(tail[4:]) != magic:
		return nil, errors.New("has no footer: the file was cut short")
	}
	n := int64(binary.LittleEndian.Uint32(tail))
	if n > size-12 || n > maxFooter {
		return nil, fmt.Errorf("has a footer of %d bytes in a file of %d", n, size)
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-8-n); err != nil {
		return nil, err
	}
	d := decoder{data: footer}
	meta, err := d.structure(0)
	if err != nil {
		return nil, err
	}
	if err := f.schema(meta.fields[2].list); err != nil {
		return nil, err
	}
	f.Rows = meta.fields[3].n
	for _, kv := range meta.fields[5].list {
		f.Metadata[string(kv.fields[1].b)] = string(kv.fields[2].b)
	}
	var rows int64
	for i, g := range meta.fields[4].list {
		out := group{rows: g.fields[3].n}
		if out.rows < 0 || out.rows > f.Rows-rows {
			return nil, fmt.Errorf("group %d has %d rows, and the file %d", i, out.rows, f.Rows)
		}
		rows += out.rows
		if len(g.fields[1].list) != len(f.Columns) {
			return nil, fmt.Errorf("group %d has %d columns, and the file %d", i, len(g.fields[1].list), len(f.Columns))
		}
		for j, c := range g.fields[1].list {
			k, err := f.chunk(&f.Columns[j], c, n)
			if err != nil {
				return nil, fmt.Errorf("group %d, column %q: %w", i, f.Columns[j].Name(), err)
			}
			out.chunks = append(out.chunks, k)
		}
		f.groups = append(f.groups, out)
	}
	if rows != f.Rows {
		return nil, fmt.Errorf("has groups of %d rows together, and says %d", rows, f.Rows)
	}
	return f, nil
}

// schema reads the tree of columns, which is written in depth-first order.
func (f *File) schema(elements []value) error {
	if len(elements) < 2 || len(elements) > maxColumns {
		return fmt.Errorf("has a schema of %d elements", len(elements))
	}
	next := 0
	var visit func(path []string, def int, repeated bool, depth int) error
	visit = func(path []string, def int, repeated bool, depth int) error {
		if next == len(elements) || depth > maxDepth {
			return errThrift
		}
		e := elements[next]
		next++
		if depth > 0 {
			path = append(path[:len(path):len(path)], string(e.fields[4].b))
			switch e.fields[3].n {
			case 0:
			case 1:
				def++
			case 2:
				def++
				repeated = true
			default:
				return errThrift
			}
		}
		children := e.fields[5].n
		if children == 0 && depth > 0 {
			t, ok := e.fields[1]
			if !ok {
				return errThrift
			}
			f.Columns = append(f.Columns, Column{Path: path, Type: Type(t.n), Repeated: repeated, maxDef: def})
			return nil
		}
		if children < 1 {
			return errThrift
		}
		for range children {
			if err := visit(path, def, repeated, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := visit(nil, 0, false, 0); err != nil {
		return err
	}
	if next != len(elements) {
		return errThrift
	}
	return nil
}

// chunk reads where a column's pages lie, before a footer of so many bytes.
func (f *File) chunk(c *Column, v value, footer int64) (k chunk, err error) {
	m := v.fields[3].fields
	switch {
	case len(v.fields[1].b) > 0:
		return k, errors.New("lies in another file")
	case m == nil:
		return k, errors.New("is encrypted, or has no metadata")
	case Type(m[1].n) != c.Type:
		return k, fmt.Errorf("is %v, and the schema says %v", Type(m[1].n), c.Type)
	}
	k = chunk{codec: m[4].n, values: m[5].n, start: m[9].n}
	if dict, ok := m[11]; ok && dict.n > 0 && dict.n < k.start {
		k.start = dict.n
	}
	length := m[7].n
	if end := f.size - 8 - footer; k.start < 4 || length < 0 || k.start > end || length > end-k.start || k.values < 0 {
		return k, fmt.Errorf("%d bytes at %d are not in the file", length, k.start)
	}
	k.end = k.start + length
	return k, nil
}
