package paper

import (
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed published/*.csv
var published embed.FS

// Figure is a printed figure.
type Figure struct {
	Mean   float64
	SD     float64 // what stands behind ±
	HasSD  bool
	Digits int // behind the point
}

// Source is what the paper printed in a table: figures by the names of a row and a column.
type Source struct {
	Name    string
	Keys    []string // headings of the columns that name a row
	Columns []string
	Rows    [][]string // the names of each row, in the paper's order
	figures map[string]Figure
}

// keysOf is how many columns name a row, where it is not one.
var keysOf = map[string]int{"table16": 2, "table17": 2}

// Published reads what the paper printed in a table or figure, by the name of its file, as table17. What has no file was not printed as
// figures.
func Published(name string) (*Source, error) {
	f, err := published.Open("published/" + name + ".csv")
	if errors.Is(err, fs.ErrNotExist) {
		return &Source{Name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := readSource(f, max(keysOf[name], 1))
	if err != nil {
		return nil, fmt.Errorf("published/%s.csv: %w", name, err)
	}
	s.Name = name
	return s, nil
}

// readSource reads a table: a heading, then rows of keys names and of figures, as 83.96, 83.96±0.30, or - for none.
func readSource(r io.Reader, keys int) (*Source, error) {
	all := csv.NewReader(r)
	head, err := all.Read()
	if err != nil {
		return nil, err
	}
	if len(head) <= keys {
		return nil, fmt.Errorf("a heading of %d columns, of which %d name rows", len(head), keys)
	}
	s := &Source{Keys: head[:keys], Columns: head[keys:], figures: map[string]Figure{}}
	for i, name := range head {
		for _, before := range head[:i] {
			if name == before || name == "" {
				return nil, fmt.Errorf("column %q is there twice, or has no name", name)
			}
		}
	}
	for {
		row, err := all.Read()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := all.FieldPos(0)
		names := row[:keys:keys]
		for i, cell := range row[keys:] {
			at := key(names, s.Columns[i])
			if _, twice := s.figures[at]; twice {
				return nil, fmt.Errorf("line %d: the row %s is there twice", line, strings.Join(names, ", "))
			}
			f, err := parseFigure(cell)
			if err != nil {
				return nil, fmt.Errorf("line %d, column %s: %w", line, s.Columns[i], err)
			}
			if f != nil {
				s.figures[at] = *f
			}
		}
		s.Rows = append(s.Rows, names)
	}
}

// key names a cell.
func key(row []string, column string) string { return strings.Join(row, "\x00") + "\x00\x00" + column }

// Figure is that of a row and a column; there may be none.
func (s *Source) Figure(row []string, column string) (Figure, bool) {
	f, ok := s.figures[key(row, column)]
	return f, ok
}

// parseFigure reads 83.96, 83.96±0.30 or -.
func parseFigure(s string) (*Figure, error) {
	if s == "-" {
		return nil, nil
	}
	mean, sd, has := strings.Cut(s, "±")
	f := &Figure{HasSD: has}
	var err error
	if f.Mean, f.Digits, err = parseDecimal(mean); err == nil && has {
		f.SD, _, err = parseDecimal(sd)
	}
	if err != nil || f.SD < 0 {
		return nil, fmt.Errorf("%q is no figure: 83.96, 83.96±0.30, or -", s)
	}
	return f, nil
}

// parseDecimal reads digits, a point, digits: no exponents, no infinities, no signs but a leading minus.
func parseDecimal(s string) (v float64, digits int, err error) {
	whole, rest, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	ok := whole != "" && strings.Trim(whole+rest, "0123456789") == "" && (rest != "" || !point)
	if !ok {
		return 0, 0, fmt.Errorf("%q is no decimal number", s)
	}
	v, err = strconv.ParseFloat(s, 64)
	return v, len(rest), err
}
