package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// An Entry is a tensor to be written.
type Entry struct {
	Name  string
	DType DType
	Shape []int

	// Data writes the payload: row-major, little-endian, exactly as many
	// bytes as DType and Shape say.
	Data func(io.Writer) error
}

// Bytes is an Entry's Data for a payload at hand.
func Bytes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// Float32s is an Entry's Data for values to be stored as d, which must be one
// of the float types, rounded to nearest even. A finite value too large for d
// is an error of kind [NonFinite].
func Float32s(values []float32, d DType) func(io.Writer) error {
	return func(w io.Writer) error {
		if !d.Float() {
			return fault(Mismatch, "not a floating-point type").wanted("F64, F32, F16 or BF16", d)
		}
		buf := make([]byte, min(chunkSize, len(values)*d.Size()))
		back := make([]float32, len(buf)/max(d.Size(), 1))
		for at := 0; at < len(values); {
			n := min(len(values)-at, len(back))
			narrow(buf, values[at:at+n], d)
			decode(back[:n], buf, d)
			for i, v := range back[:n] {
				if !finite(v) && finite(values[at+i]) {
					return fault(NonFinite, "element %d is too large for %v", at+i, d).wanted("a smaller number", values[at+i])
				}
			}
			if _, err := w.Write(buf[:n*d.Size()]); err != nil {
				return err
			}
			at += n
		}
		return nil
	}
}

// alignment is what the payloads' common start is padded to.
const alignment = 64

// WriteSafetensors writes a safetensors file in canonical form: equal input
// gives equal bytes, whatever the order of entries. The header has sorted
// metadata keys first, then the tensors in the order of their payloads; it
// has no spaces but those at its end, which make the payloads start at a
// multiple of 64. Payloads are ordered by element size, widest first, then by
// name, so that each is aligned for its type; torch cannot view one that is
// not.
func WriteSafetensors(w io.Writer, metadata map[string]string, tensors []Entry) error {
	sorted := slices.Clone(tensors)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return canonicalOrder(a.Name, a.DType, b.Name, b.DType) })
	infos := make([]Info, len(sorted))
	for i, e := range sorted {
		infos[i] = Info{e.Name, e.DType, e.Shape}
	}
	header, err := canonicalHeader(metadata, infos)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, e := range sorted {
		n, _ := payloadSize(Info{e.Name, e.DType, e.Shape}).int64() // checked with the header
		c := &countedWriter{w: w, room: n}
		if err := e.Data(c); err != nil {
			return entryFault(err, e.Name)
		}
		if c.room != 0 {
			return fault(Mismatch, "entry wrote less than its shape %v of %v", e.Shape, e.DType).in(e.Name).wanted(n, n-c.room)
		}
	}
	return nil
}

// canonicalOrder compares tensors by element size, widest first, then name.
func canonicalOrder(a string, da DType, b string, db DType) int {
	return cmp.Or(cmp.Compare(db.Size(), da.Size()), cmp.Compare(a, b))
}

func payloadSize(info Info) size { return elements(info.Shape).times(uint64(info.DType.Size())) }

// A countedWriter refuses more bytes than an entry may have.
type countedWriter struct {
	w    io.Writer
	room int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.room {
		return 0, fault(Mismatch, "entry writes more than its shape and type say").wanted(c.room, len(p))
	}
	n, err := c.w.Write(p)
	c.room -= int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, err
}

// canonicalHeader returns length and text of the header of tensors that are
// in canonical order. It accepts what readSafetensors accepts, no more.
func canonicalHeader(metadata map[string]string, infos []Info) ([]byte, error) {
	if len(infos) > maxTensors || len(metadata) > maxMetadata {
		return nil, fault(Limit, "%d tensors and %d metadata entries", len(infos), len(metadata))
	}
	b := append(make([]byte, 8, 1<<10), '{')
	if len(metadata) > 0 {
		b = append(b, `"`+metadataKey+`":{`...)
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(k) || !utf8.ValidString(metadata[k]) {
				return nil, fault(Mismatch, "metadata is not valid UTF-8").in(k)
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, k), ':')
			b = appendJSONString(b, metadata[k])
		}
		b = append(b, '}')
	}
	at := sizeOf(0)
	for i, info := range infos {
		switch {
		case !validName(info.Name) || info.Name == metadataKey:
			return nil, fault(Mismatch, "tensor name is not 1 to %d bytes of printable ASCII", maxName).in(info.Name)
		case i > 0 && infos[i-1].Name == info.Name:
			return nil, fault(Mismatch, "tensor named twice").in(info.Name)
		case !info.DType.valid():
			return nil, fault(Mismatch, "tensor without a type").in(info.Name)
		case len(info.Shape) > maxRank:
			return nil, fault(Limit, "tensor with %d axes", len(info.Shape)).in(info.Name)
		}
		bytes := payloadSize(info)
		end := at.plus(bytes.n)
		if _, ok := end.int64(); !ok || bytes.overflow {
			return nil, fault(Limit, "shape %v overflows", info.Shape).in(info.Name)
		}
		if i > 0 || len(metadata) > 0 {
			b = append(b, ',')
		}
		b = appendTensor(b, info, at.n, end.n)
		at = end
	}
	b = append(b, '}')
	for len(b)%alignment != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > maxHeader {
		return nil, fault(Limit, "header of %d bytes", len(b)-8)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

func appendTensor(b []byte, info Info, begin, end uint64) []byte {
	b = append(appendJSONString(b, info.Name), `:{"dtype":"`...)
	b = append(b, info.DType.String()...)
	b = append(b, `","shape":[`...)
	for i, d := range info.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(d), 10)
	}
	b = append(b, `],"data_offsets":[`...)
	b = append(strconv.AppendUint(b, begin, 10), ',')
	return append(strconv.AppendUint(b, end, 10), `]}`...)
}

// appendJSONString escapes what JSON requires and nothing else, so that there
// is one spelling of every string.
func appendJSONString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// A Source gives tensors by name, as [Model] does.
type Source interface {
	Names() []string
	Shape(name string) ([]int, bool)
	Read(name string, dst []float32) error
}

// WriteModel writes a CLIP model as a safetensors file under OpenAI's names:
// tensors of two and more axes as matrices (F32, F16 or BF16), vectors and
// scalars, which are few, as F32. Tensors are read one at a time.
func WriteModel(w io.Writer, metadata map[string]string, src Source, matrices DType) error {
	if matrices != F32 && matrices != F16 && matrices != BF16 {
		return fault(Mismatch, "type to store matrices in").wanted("F32, F16 or BF16", matrices)
	}
	var entries []Entry
	for _, name := range src.Names() {
		shape, ok := src.Shape(name)
		if !ok {
			return fault(Mismatch, "source has no shape for one of its names").in(name)
		}
		n, fits := elements(shape).int()
		if !fits {
			return fault(Limit, "shape %v overflows", shape).in(name)
		}
		d := F32
		if len(shape) >= 2 {
			d = matrices
		}
		entries = append(entries, Entry{name, d, shape, func(w io.Writer) error {
			values := make([]float32, n)
			if err := src.Read(name, values); err != nil {
				return err
			}
			return Float32s(values, d)(w)
		}})
	}
	buffered := bufio.NewWriterSize(w, chunkSize)
	if err := WriteSafetensors(buffered, metadata, entries); err != nil {
		return err
	}
	return buffered.Flush()
}
