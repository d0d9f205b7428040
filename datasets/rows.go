package datasets

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// row is a line of a table of images: a path, what the image shows, and the part that it belongs to, "" if the table
// does not say.
type row struct {
	line        int
	path, class string
	part        string
}

// Columns of tables by their names, in any case and with '-', '_' or blanks or none. The first that a table has
// counts: names of classes before numbers.
var (
	pathColumns  = []string{"filename", "path", "imagepath", "filepath", "imagefile", "imagename", "impath", "imgpath", "image", "img", "file", "imageid", "id"}
	classColumns = []string{"classname", "labelname", "categoryname", "class", "category", "label", "labels", "target", "classid", "labelid"}
	partColumns  = []string{"split", "set", "subset", "partition"}
)

const tableFix = `a table of images is CSV, TSV or JSON lines with columns such as "path" and "label", and "split" (train, val, test) if it ` +
	`divides them; CSV without a header has a path and a label a line`

// columnName brings spellings of a column's name together.
func columnName(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.TrimSpace(s)))
}

// columns are the places of what is read of a table; -1 stands for none.
type columns struct{ path, class, part int }

// findColumns finds the columns in a header; label is that of labels, if the user said it. What is missing or there
// twice is said.
func findColumns(header []string, label string) (c columns, problem string) {
	classColumns := classColumns
	if label != "" {
		classColumns = []string{columnName(label)}
	}
	find := func(known []string) (int, string) {
		for _, name := range known {
			at, n := -1, 0
			for i, h := range header {
				if columnName(h) == name {
					at = i
					n++
				}
			}
			if n > 1 {
				return -1, fmt.Sprintf("has %d columns called %s", n, quote.String(header[at]))
			}
			if n == 1 {
				return at, ""
			}
		}
		return -1, ""
	}
	for _, f := range []struct {
		known []string
		to    *int
	}{{pathColumns, &c.path}, {classColumns, &c.class}, {partColumns, &c.part}} {
		if *f.to, problem = find(f.known); problem != "" {
			return c, problem
		}
	}
	var shown []string
	for _, h := range header[:min(12, len(header))] {
		shown = append(shown, quote.String(h))
	}
	has := "it has " + strings.Join(shown, ", ")
	switch {
	case c.path < 0:
		return c, "has no column of paths, such as " + strings.Join(pathColumns[:4], ", ") + ": " + has
	case c.class < 0:
		return c, "has no column of labels, such as " + strings.Join(classColumns[:min(6, len(classColumns))], ", ") + " (-label-column names another): " + has
	}
	return c, ""
}

// headless finds the columns of a table without a header by its first line: a path that ends like an image, a label,
// and a part's word or none.
func headless(first []string) (c columns, ok bool) {
	c = columns{-1, -1, -1}
	for i, f := range first {
		switch {
		case isImageName(f) && c.path < 0:
			c.path = i
		case partWords[strings.ToLower(strings.TrimSpace(f))] != "" && c.part < 0 && len(first) == 3:
			c.part = i
		case c.class < 0 && strings.TrimSpace(f) != "":
			c.class = i
		default:
			return c, false
		}
	}
	return c, c.path >= 0 && c.class >= 0 && (len(first) == 2 || len(first) == 3 && c.part >= 0)
}

// parseRows reads a table by the ending of its name: .csv, .tsv or .jsonl. label is the column of labels, if the user
// said it.
func parseRows(file string, data []byte, label string) ([]row, error) {
	if len(data) > maxSplitBytes {
		return nil, fault(file, nil, "", "is %d bytes; the limit for a table is %d", len(data), maxSplitBytes)
	}
	text, problem := plainText(data)
	if problem != "" {
		return nil, fault(file, nil, tableFix, "%s", problem)
	}
	p := problems{file: file}
	var rows []row
	if strings.ToLower(path.Ext(file)) == ".jsonl" {
		rows = parseJSONLines(&p, text, label)
	} else {
		rows = parseCSV(&p, text, label)
	}
	if len(rows) == 0 && p.total == 0 {
		p.add("has no rows")
	}
	return rows, p.err(tableFix)
}

// separators are what may stand between the fields of a line.
var separators = []rune{',', '\t', ';', '|'}

// parseCSV reads a table whose fields are separated by commas, tabs, semicolons or bars, whichever gives columns that
// are known.
func parseCSV(p *problems, text []byte, label string) []row {
	var c columns
	var separator rune
	header := false
	first, _, _ := bytes.Cut(text, []byte("\n"))
	said := ""
	for _, sep := range separators {
		fields, err := newCSV(first, sep).Read()
		if err != nil {
			continue
		}
		at, problem := findColumns(fields, label)
		if problem == "" {
			c, separator, header = at, sep, true
			break
		}
		if said == "" || len(fields) > 1 {
			said = problem
		}
	}
	if !header && label == "" {
		for _, sep := range separators {
			fields, err := newCSV(first, sep).Read()
			if err != nil {
				continue
			}
			if at, ok := headless(fields); ok {
				c, separator = at, sep
				break
			}
		}
	}
	if separator == 0 {
		p.add("%s", orText(said, "is empty"))
		return nil
	}
	r := newCSV(text, separator)
	if header {
		if _, err := r.Read(); err != nil {
			p.add("%v", err)
			return nil
		}
	}
	var rows []row
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return rows
		}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad) && errors.Is(err, csv.ErrFieldCount):
			if p.add("line %d: has %s, not the %d of the lines before", bad.Line, words.Count(len(fields), "field"), r.FieldsPerRecord); p.total >= giveUpAt {
				return nil
			}
			continue
		case errors.As(err, &bad):
			p.add("line %d: %v", bad.Line, bad.Err)
			return nil
		case err != nil:
			p.add("%v", err)
			return nil
		case len(rows) == maxSplitItems:
			p.add("has more than %d rows", maxSplitItems)
			return nil
		}
		line, _ := r.FieldPos(0)
		out := row{line: line, path: fields[c.path], class: fields[c.class]}
		if c.part >= 0 {
			out.part = fields[c.part]
		}
		if rows = out.appendTo(p, rows, c.part >= 0); p.total >= giveUpAt {
			return nil
		}
	}
}

func newCSV(text []byte, separator rune) *csv.Reader {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = separator
	return r
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// parseJSONLines reads a table of one object a line.
func parseJSONLines(p *problems, text []byte, label string) []row {
	var rows []row
	number := 0
	for l := range bytes.Lines(text) {
		number++
		if l = bytes.TrimSpace(l); len(l) == 0 {
			continue
		}
		object, twice, ok := jsonObject(l)
		if !ok {
			p.add("line %d: is not a JSON object: %s", number, quote.String(string(l)))
		} else if twice != "" {
			p.add("line %d: has %s twice", number, quote.String(twice))
		} else if out, problem := objectRow(object, label); problem != "" {
			p.add("line %d: %s", number, problem)
		} else {
			out.line = number
			rows = out.appendTo(p, rows, out.part != "")
		}
		switch {
		case p.total >= giveUpAt:
			return nil
		case len(rows) > maxSplitItems:
			p.add("has more than %d rows", maxSplitItems)
			return nil
		}
	}
	return rows
}

// jsonObject reads an object, and says which name is there twice: programs differ in which of two they take.
func jsonObject(l []byte) (object map[string]json.RawMessage, twice string, ok bool) {
	if !json.Valid(l) || l[0] != '{' {
		return nil, "", false
	}
	object = map[string]json.RawMessage{}
	in := json.NewDecoder(bytes.NewReader(l))
	in.Token() // {
	for in.More() {
		key, _ := in.Token() // of valid JSON
		name, _ := key.(string)
		var value json.RawMessage
		if in.Decode(&value) != nil {
			return nil, "", false
		}
		if _, there := object[name]; there {
			twice = name
		}
		object[name] = value
	}
	return object, twice, true
}

// objectRow reads an object of JSON lines.
func objectRow(object map[string]json.RawMessage, label string) (r row, problem string) {
	keys := make([]string, 0, len(object))
	for k := range object {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	c, problem := findColumns(keys, label)
	if problem != "" {
		return r, problem
	}
	for _, f := range []struct {
		at   int
		to   *string
		what string
	}{{c.path, &r.path, "path"}, {c.class, &r.class, "label"}, {c.part, &r.part, "split"}} {
		if f.at < 0 {
			continue
		}
		raw := object[keys[f.at]]
		if json.Unmarshal(raw, f.to) == nil && string(raw) != "null" {
			continue
		}
		var n json.Number
		if f.what != "label" || json.Unmarshal(raw, &n) != nil || !isNumber(n.String()) {
			return r, fmt.Sprintf("%s is %s, not a text", f.what, quote.String(string(raw)))
		}
		*f.to = n.String()
	}
	return r, ""
}

// appendTo checks a row and adds it.
func (r row) appendTo(p *problems, rows []row, divided bool) []row {
	clean, problem := cleanPath(strings.TrimSpace(r.path))
	if problem != "" {
		p.add("line %d: path %s %s", r.line, quote.String(r.path), problem)
		return rows
	}
	r.path, r.class = clean, canonical(strings.TrimSpace(r.class))
	if problem := checkClass(r.class); problem != "" {
		p.add("line %d: label %s %s", r.line, quote.String(r.class), problem)
		return rows
	}
	if divided {
		part := partWords[strings.ToLower(strings.TrimSpace(r.part))]
		if part == "" {
			p.add("line %d: split %s is not one of train, val and test", r.line, quote.String(r.part))
			return rows
		}
		r.part = part
	}
	return append(rows, r)
}

// compareClasses orders names as numbers where both are, so that label 10 comes after 9.
func compareClasses(a, b string) int {
	if isNumber(a) && isNumber(b) && len(a) < 10 && len(b) < 10 {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		if x != y {
			return x - y
		}
	}
	return strings.Compare(a, b)
}
