package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fewshot/nn/quote"
)

// The Open Inference Protocol, version 2, over HTTP, with the extensions of binary tensors, of classification and of the repository of
// models: https://github.com/kserve/open-inference-protocol and Triton's documentation of extensions.

// oipRequest is a request to infer. What it has beyond is passed over, as clients send more (kserve's: model_name).
type oipRequest struct {
	ID         string                     `json:"id"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Inputs     []oipInput                 `json:"inputs"`
	Outputs    []oipWanted                `json:"outputs"`
}

type oipInput struct {
	Name       string                     `json:"name"`
	Shape      []int64                    `json:"shape"`
	DataType   string                     `json:"datatype"`
	Parameters map[string]json.RawMessage `json:"parameters"`
	Data       json.RawMessage            `json:"data"`
}

type oipWanted struct {
	Name       string                     `json:"name"`
	Parameters map[string]json.RawMessage `json:"parameters"`
}

// input is a tensor of bytes that came with a request.
type input struct {
	shape    []int64
	elements [][]byte
	binary   bool // as bytes, and not as text in JSON
}

// wanted is an output that a request asks for.
type wanted struct {
	name   string
	binary bool
	top    int // of classes, by the extension of classification; 0 for the tensor itself
}

// inference is a request, read.
type inference struct {
	id      string
	inputs  map[string]input
	outputs []wanted // nil for the usual ones
	binary  bool     // those are binary
}

// The inputs of tasks.
const (
	inImage    = "image"
	inLabels   = "candidate_labels"
	inTemplate = "hypothesis_template"
)

// parseInference reads a request of which the first header bytes are JSON, and the rest tensors; all is JSON where header is negative. Of
// images there may be at most maxImages, of labels maxLabels.
func parseInference(body []byte, header, maxImages, maxLabels int) (*inference, error) {
	var tail []byte
	if header >= 0 {
		body, tail = body[:header], body[header:]
	}
	var r oipRequest
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	if len(r.Inputs) == 0 {
		return nil, badf("the request has no inputs; %s is a tensor of BYTES with an encoded image each", inImage)
	}
	f := &inference{id: r.ID, inputs: map[string]input{}}
	most := map[string]int{inImage: maxImages, inLabels: maxLabels, inTemplate: 1}
	for _, in := range r.Inputs {
		limit, ok := most[in.Name]
		if !ok {
			return nil, badf("input %s: there are %s, and with the untouched model and masks %s and %s", quote.String(in.Name), inImage, inLabels, inTemplate)
		}
		if _, twice := f.inputs[in.Name]; twice {
			return nil, badf("input %s is there twice", in.Name)
		}
		t, rest, err := in.read(tail, limit, header >= 0)
		if err != nil {
			return nil, badf("input %s: %s", in.Name, err.Error())
		}
		f.inputs[in.Name], tail = t, rest
	}
	if len(tail) > 0 {
		return nil, badf("%d bytes follow the last tensor", len(tail))
	}
	err := checkParameters(r.Parameters)
	if err != nil {
		return nil, err
	}
	if f.binary, err = flag(r.Parameters, "binary_data_output"); err != nil {
		return nil, err
	}
	for _, o := range r.Outputs {
		w := wanted{name: o.Name}
		if w.binary, err = flag(o.Parameters, "binary_data"); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(outputs, func(k outputKind) bool { return k.name == o.Name }) {
			return nil, badf("output %s: there are %s", quote.String(o.Name), outputNames())
		}
		if _, ok := o.Parameters["shared_memory_region"]; ok {
			return nil, badf("output %s: shared memory is not supported", o.Name)
		}
		if c, ok := o.Parameters["classification"]; ok {
			if w.top, err = strconv.Atoi(string(c)); err != nil || w.top < 1 || w.top > math.MaxInt32 {
				return nil, badf("output %s: classification is how many classes, at least 1, not %s", o.Name, quote.String(string(c)))
			}
		}
		if slices.ContainsFunc(f.outputs, func(other wanted) bool { return other.name == w.name }) {
			return nil, badf("output %s is asked for twice", o.Name)
		}
		f.outputs = append(f.outputs, w)
	}
	return f, nil
}

// unmarshal reads JSON, and says where it is none.
func unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return badf("the body is empty, and should be JSON")
	case errors.As(err, &syntax):
		return badf("the body is no JSON: byte %d: %s", syntax.Offset, syntax.Error())
	case errors.As(err, &kind):
		return badf("the body's %s is a %s, which does not belong there (byte %d)", quote.String(kind.Field), quote.Text(kind.Value), kind.Offset)
	}
	return badf("the body cannot be read as JSON: %s", quote.Text(err.Error()))
}

// flag is a parameter that is true or false, false where it is not there.
func flag(parameters map[string]json.RawMessage, name string) (bool, error) {
	switch v := string(parameters[name]); v {
	case "", "false", "null":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badf("parameter %s is true or false, not %s", name, quote.String(v))
	}
}

// read is the tensor, with its bytes at the beginning of tail if it has any there, and what is left of that.
func (in oipInput) read(tail []byte, most int, binaryBody bool) (t input, rest []byte, err error) {
	if in.DataType != "BYTES" {
		return t, nil, fmt.Errorf("datatype %s; images and texts are BYTES", quote.String(in.DataType))
	}
	n := int64(1)
	for _, d := range in.Shape {
		// Shapes come from strangers: products of them are kept in bounds at each step.
		if d < 0 || d > int64(most) || n*d > int64(most) {
			return t, nil, fmt.Errorf("shape %v; at most %d elements are taken", cutShape(in.Shape), most)
		}
		n *= d
	}
	if len(in.Shape) == 0 || len(in.Shape) > 2 || len(in.Shape) == 2 && in.Shape[1] != 1 && in.Shape[0] != 1 {
		return t, nil, fmt.Errorf("shape %v; it is [N], or [N, 1]", cutShape(in.Shape))
	}
	if _, ok := in.Parameters["shared_memory_region"]; ok {
		return t, nil, errors.New("shared memory is not supported; send the bytes")
	}
	t.shape = in.Shape
	size, ok := in.Parameters["binary_data_size"]
	if !ok {
		if len(in.Data) == 0 {
			return t, nil, errors.New("has neither data nor the parameter binary_data_size")
		}
		t.elements, err = stringsOf(in.Data, int(n))
		return t, tail, err
	}
	switch bytes, err := strconv.Atoi(string(size)); {
	case err != nil || bytes < 0:
		return t, nil, fmt.Errorf("binary_data_size %s: a number of bytes", quote.String(string(size)))
	case len(in.Data) > 0:
		return t, nil, errors.New("has both data and the parameter binary_data_size")
	case !binaryBody:
		return t, nil, errors.New("has the parameter binary_data_size, and the request no header Inference-Header-Content-Length")
	case bytes > len(tail):
		return t, nil, fmt.Errorf("binary_data_size %d, and the body has %d bytes left", bytes, len(tail))
	default:
		t.binary = true
		t.elements, err = framed(tail[:bytes], int(n))
		return t, tail[bytes:], err
	}
}

// cutShape is a shape for a message.
func cutShape(s []int64) []int64 { return s[:min(len(s), 8)] }

// framed are n elements of BYTES: each a length of four bytes, little endian, and so many bytes.
func framed(b []byte, n int) (all [][]byte, err error) {
	for i := range n {
		if len(b) < 4 {
			return nil, fmt.Errorf("ends before element %d of %d", i+1, n)
		}
		length := binary.LittleEndian.Uint32(b)
		if b = b[4:]; uint64(length) > uint64(len(b)) {
			return nil, fmt.Errorf("element %d of %d has %d bytes, and %d are left", i+1, n, length, len(b))
		}
		all, b = append(all, b[:length:length]), b[length:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes follow the last of %d elements", len(b), n)
	}
	return all, nil
}

// stringsOf are n strings of JSON that has been found to be such, flat or nested as the shape is. Images are long: what has no escapes is not copied.
func stringsOf(data json.RawMessage, n int) (all [][]byte, err error) {
	depth := 0
	for at := 0; at < len(data); at++ {
		switch c := data[at]; c {
		case ' ', '\t', '\r', '\n', ',':
		case '[':
			if depth++; depth > 2 {
				return nil, errors.New("data is nested more deeply than [N, 1]")
			}
		case ']':
			depth--
		case '{':
			return nil, errors.New("data has an object; it is a list of strings")
		case '"':
			if len(all) == n {
				return nil, fmt.Errorf("data has more elements than the shape, %d", n)
			}
			text, length := stringAt(data[at:])
			all = append(all, text)
			at += length - 1
		default:
			word := data[at:]
			if end := bytes.IndexAny(word, ", \t\r\n]"); end >= 0 {
				word = word[:end]
			}
			return nil, fmt.Errorf("data has %s; it is a list of strings", quote.String(string(word)))
		}
	}
	if len(all) != n {
		return nil, fmt.Errorf("data has %d elements, the shape %d", len(all), n)
	}
	return all, nil
}

// stringAt is the string that JSON begins with, and how many bytes that takes there, quotes included.
func stringAt(data []byte) (text []byte, length int) {
	end := 1
	for data[end] != '"' {
		if data[end] == '\\' {
			end++
		}
		end++
	}
	text = data[1:end:end]
	if bytes.IndexByte(text, '\\') >= 0 || !utf8.Valid(text) {
		var s string
		_ = json.Unmarshal(data[:end+1], &s) // a string, as whoever calls knows
		text = []byte(s)
	}
	return text, end + 1
}

// images are the encoded images of a request.
func (f *inference) images() ([][]byte, error) {
	in, ok := f.inputs[inImage]
	if !ok {
		return nil, badf("there is no input %s", inImage)
	}
	if len(in.elements) == 0 {
		return nil, badf("input %s has no elements", inImage)
	}
	if in.binary {
		return in.elements, nil
	}
	all := make([][]byte, len(in.elements))
	for i, s := range in.elements {
		b, err := unbase64(s)
		if err != nil {
			return nil, badf("input %s: element %d of %d: %s", inImage, i+1, len(all), err.Error())
		}
		all[i] = b
	}
	return all, nil
}

// unbase64 is an image that came as text, with the beginning of a data: address or without, in either alphabet, padded or not.
func unbase64(s []byte) ([]byte, error) {
	if bytes.HasPrefix(s, []byte("data:")) {
		head, rest, ok := bytes.Cut(s, []byte(","))
		if !ok || !bytes.HasSuffix(head, []byte(";base64")) {
			return nil, errors.New("a data: address without ;base64,")
		}
		s = rest
	}
	if bytes.Contains(s, []byte("://")) {
		return nil, errors.New("an address; nothing is fetched, send the image as base64")
	}
	s = bytes.TrimRight(bytes.TrimSpace(s), "=")
	coding := base64.RawStdEncoding
	if bytes.ContainsAny(s, "-_") {
		coding = base64.RawURLEncoding
	}
	out := make([]byte, coding.DecodedLen(len(s)))
	n, err := coding.Decode(out, s)
	if err != nil {
		return nil, fmt.Errorf("an image in JSON is base64, and this is not: %v", err)
	}
	return out[:n], nil
}

// outputKind is an output that tasks have.
type outputKind struct {
	name, datatype string
	unasked        bool // given where no outputs are named
}

// The outputs of all tasks. probabilities are the softmax of logits, label is the class that both are largest for, and untouched the
// probabilities of the model without the task's file; that one takes another batch and is given only where it is named.
var outputs = []outputKind{{"probabilities", "FP32", true}, {"logits", "FP32", true}, {"label", "BYTES", true}, {"untouched", "FP32", false}}

func outputNames() string {
	var names []string
	for _, o := range outputs {
		names = append(names, o.name)
	}
	return strings.Join(names, ", ")
}

// oipOutput is a tensor of an answer.
type oipOutput struct {
	Name       string         `json:"name"`
	DataType   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]int `json:"parameters,omitempty"`
	Data       any            `json:"data,omitempty"`
}

type oipAnswer struct {
	ModelName    string      `json:"model_name"`
	ModelVersion string      `json:"model_version"`
	ID           string      `json:"id,omitempty"`
	Outputs      []oipOutput `json:"outputs"`
}

// answer is a request's answer. Classification gives, as Triton does, "score:index:label".
func (f *inference) answer(task string, p *prediction) (a oipAnswer, tail []byte) {
	want := f.outputs
	if want == nil {
		for _, k := range outputs {
			if k.unasked {
				want = append(want, wanted{name: k.name, binary: f.binary})
			}
		}
	}
	a = oipAnswer{ModelName: task, ModelVersion: version, ID: f.id}
	for _, w := range want {
		o := oipOutput{Name: w.name}
		var numbers []float32
		var texts []string
		n := len(p.logits)
		switch w.name {
		case "label":
			for _, row := range p.logits {
				texts = append(texts, p.classes[largest(row)])
			}
			o.Shape = []int{n}
		case "logits":
			numbers = flat(p.logits)
		case "probabilities":
			numbers = flat(softmaxAll(p.logits))
		case "untouched":
			numbers = flat(softmaxAll(p.plain))
		}
		if numbers != nil {
			o.Shape = []int{n, len(p.classes)}
		}
		if w.top > 0 && numbers != nil {
			top := min(w.top, len(p.classes))
			for i := range n {
				row := numbers[i*len(p.classes) : (i+1)*len(p.classes)]
				for _, j := range best(row, top) {
					texts = append(texts, fmt.Sprintf("%f:%d:%s", row[j], j, p.classes[j]))
				}
			}
			numbers, o.Shape = nil, []int{n, top}
		}
		if o.DataType, o.Data = "FP32", numbers; numbers == nil {
			o.DataType, o.Data = "BYTES", texts
		}
		if w.binary {
			before := len(tail)
			for _, v := range numbers {
				tail = binary.LittleEndian.AppendUint32(tail, math.Float32bits(v))
			}
			for _, s := range texts {
				tail = append(binary.LittleEndian.AppendUint32(tail, uint32(len(s))), s...)
			}
			o.Data, o.Parameters = nil, map[string]int{"binary_data_size": len(tail) - before}
		}
		a.Outputs = append(a.Outputs, o)
	}
	return a, tail
}

// write sends an answer, with tensors in binary where they were asked for.
func (a oipAnswer) write(w http.ResponseWriter, tail []byte) {
	if !slices.ContainsFunc(a.Outputs, func(o oipOutput) bool { return o.Parameters != nil }) {
		writeJSON(w, http.StatusOK, a)
		return
	}
	head, err := json.Marshal(a)
	if err != nil {
		panic(err) // numbers are finite
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Inference-Header-Content-Length", strconv.Itoa(len(head)))
	h.Set("Content-Length", strconv.Itoa(len(head)+len(tail)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(append(head, tail...))
}

// version is that of every task: files have none.
const version = "1"
