package predict

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Row is what is said of an image.
type Row struct {
	Path   string
	Top    []Guess // the likeliest classes, best first; equal ones by label
	Margin float64 // how much likelier the first class is than the second
	Energy float64 // -T·log Σ exp(z/T) of all logits z: lower for images of a kind that the model knows
	Logit  float64 // largest logit, before the temperature
	Err    string  // why there is none of this, on one line; "" where there is
}

// Guess is a class with its probability.
type Guess struct {
	Class       string
	Probability float64
}

// Format writes rows, each as bytes that depend on the row alone.
type Format struct {
	JSONL bool
	Top   int // classes of a row
}

// Header is what a file begins with; nothing in JSON lines.
func (f Format) Header() []byte {
	if f.JSONL {
		return nil
	}
	return csvLine(f.columns())
}

func (f Format) columns() []string {
	columns := []string{"path", "class", "probability", "margin", "energy", "logit"}
	for k := 2; k <= f.Top; k++ {
		columns = append(columns, "class_"+strconv.Itoa(k), "probability_"+strconv.Itoa(k))
	}
	return append(columns, "error")
}

// Encode is the row's line, or lines, where a quoted field of a CSV file has a line break.
func (f Format) Encode(r Row) []byte {
	if f.JSONL {
		return jsonLine(r)
	}
	fields := make([]string, len(f.columns()))
	fields[0], fields[len(fields)-1] = r.Path, r.Err
	if r.Err == "" {
		fields[1], fields[2], fields[3], fields[4], fields[5] = r.Top[0].Class, number(r.Top[0].Probability), number(r.Margin), number(r.Energy), number(r.Logit)
		for i, g := range r.Top[1:] {
			fields[6+2*i], fields[7+2*i] = g.Class, number(g.Probability)
		}
	}
	return csvLine(fields)
}

// key is what the row of a path begins with.
func (f Format) key(path string) []byte {
	if f.JSONL {
		return []byte(`{"path":` + jsonString(path) + ",")
	}
	return bytes.TrimSuffix(csvLine([]string{path, "x"}), []byte("x\n"))
}

// failed reports whether the row that has a key is that of an image without a prediction.
func (f Format) failed(row []byte, path string) bool {
	rest := row[len(f.key(path)):]
	if f.JSONL {
		return bytes.HasPrefix(rest, []byte(`"error":`))
	}
	return rest[0] == ','
}

// check reports what is wrong with a complete row of a file, as far as a row tells.
func (f Format) check(row []byte) error {
	if f.JSONL {
		if !json.Valid(row) || row[0] != '{' {
			return fmt.Errorf("is no JSON object")
		}
		return nil
	}
	fields, err := csv.NewReader(bytes.NewReader(row)).Read()
	if err != nil {
		return fmt.Errorf("is no line of a CSV file")
	}
	if want := len(f.columns()); len(fields) != want {
		return fmt.Errorf("has %d fields, and not %d", len(fields), want)
	}
	return nil
}

// number has six digits: more are not the same on another processor.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// csvLine quotes fields with commas, quotation marks or line breaks as RFC 4180 says. Bytes are written as they are.
func csvLine(fields []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(fields) // to memory
	w.Flush()
	return b.Bytes()
}

func jsonLine(r Row) []byte {
	var b strings.Builder
	b.WriteString(`{"path":` + jsonString(r.Path))
	if r.Err != "" {
		b.WriteString(`,"error":` + jsonString(r.Err) + "}\n")
		return []byte(b.String())
	}
	fmt.Fprintf(&b, `,"class":%s,"probability":%s,"margin":%s,"energy":%s,"logit":%s,"top":[`, jsonString(r.Top[0].Class),
		number(r.Top[0].Probability), number(r.Margin), number(r.Energy), number(r.Logit))
	for i, g := range r.Top {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"class":%s,"probability":%s}`, jsonString(g.Class), number(g.Probability))
	}
	b.WriteString("]}\n")
	return []byte(b.String())
}

// jsonString is a JSON string. A byte 0xNN that is no UTF-8 becomes \udcNN, as in Python, whose os.fsencode makes the byte of it again.
func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\udc%02x`, s[i])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	b.WriteByte('"')
	return b.String()
}

// NewRow is the row of an image by its logits, whose probabilities p are those at a temperature T, and log Σ exp(z/T) of them.
func NewRow(path string, classes []string, top int, logits, p []float64, temperature, logSumExp float64) Row {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) }) // not p, where small ones are equal
	r := Row{Path: path, Logit: logits[order[0]], Energy: -temperature * logSumExp, Margin: p[order[0]]}
	if len(order) > 1 {
		r.Margin -= p[order[1]]
	}
	for _, c := range order[:min(top, len(order))] {
		r.Top = append(r.Top, Guess{classes[c], p[c]})
	}
	return r
}
