package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// Spec is what determines the result of a run: two runs of equal specs leave the same bytes. Whatever else there is, as the number
// of workers, where files lie, or whether a run was interrupted, has no influence.
//
// Mask and tuned files, training checkpoints and result.json hold it. A field that an older file lacks is unknown there and is not
// compared; see [Spec.Differences].
type Spec struct {
	Method   string          `json:"method"`
	Settings json.RawMessage `json:"settings"` // the method's, as it writes them
	Model    clip.Spec       `json:"model"`
	Below    string          `json:"mask_below,omitempty"` // SHA-256 of the mask file under which the run was made
	Data     DataSpec        `json:"data"`
	Compute  ComputeSpec     `json:"compute"`
	Select   *Selection      `json:"select,omitempty"` // by what epoch and settings were chosen; nil: the last epoch, as given
}

// DataSpec is what of a data set determines results.
type DataSpec struct {
	Title     string   `json:"title"`                 // what the data set is called, however it was opened
	Classes   string   `json:"classes"`               // all, base or new
	Split     string   `json:"split_sha256"`          // of class names, and of names and labels of all images
	Sample    string   `json:"sample_sha256"`         // of the contents of the images trained on
	Val       string   `json:"val_sha256,omitempty"`  // of those that settings or epochs were chosen on
	Test      string   `json:"test_sha256,omitempty"` // of the test images, where a method chooses by them
	Templates []string `json:"templates"`
	Prompts   string   `json:"prompts_sha256"` // of those that each class has for itself; "templates" without
	Shots     int      `json:"shots"`          // 0 for all
	Seed      uint64   `json:"seed"`
}

// ComputeSpec is what of a device determines results.
type ComputeSpec struct {
	Kernels   string `json:"kernels"` // as avx512; other kernels round otherwise
	Precision string `json:"precision"`
	Strassen  bool   `json:"strassen"`
	// MicroBatch is how many images of a batch were computed at a time, 0 for all: parts round otherwise. Of masks it is
	// among the settings.
	MicroBatch int `json:"micro_batch,omitempty"`
}

// ComputeOf is what of a device determines results.
func ComputeOf(dev *tensor.Device) ComputeSpec {
	return ComputeSpec{Kernels: dev.Kernels(), Precision: dev.Precision(), Strassen: dev.Strassen()}
}

// JSON is the spec in its one form.
func (s Spec) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // plain numbers and strings
	}
	return bytes.TrimSpace(b.Bytes())
}

// Hash identifies the spec.
func (s Spec) Hash() string {
	sum := sha256.Sum256(s.JSON())
	return hex.EncodeToString(sum[:])
}

// ParseSpec reads what JSON writes. Fields that this program does not know are kept by nobody and refused.
func ParseSpec(b []byte) (Spec, error) {
	var s Spec
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("the spec of a run cannot be read: %w", err)
	}
	if len(s.Settings) > 0 && !json.Valid(s.Settings) || s.Method == "" {
		return s, fmt.Errorf("the spec of a run names no method")
	}
	return s, nil
}

// plainJSON is JSON in the form that package json gives it: without spaces, numbers and strings written its way, members in their order.
// Whole numbers stay as they are: seeds need all 64 bits.
func plainJSON(raw []byte) (json.RawMessage, error) {
	if len(raw) == 0 {
		return raw, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	var value func() error
	write := func(v any) error {
		if n, ok := v.(json.Number); ok && strings.ContainsAny(n.String(), ".eE") {
			f, err := n.Float64()
			if err != nil {
				return err
			}
			v = f
		}
		if err := e.Encode(v); err != nil {
			return err
		}
		out.Truncate(out.Len() - 1) // the line's end
		return nil
	}
	value = func() error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		open, ok := t.(json.Delim)
		if !ok {
			return write(t)
		}
		out.WriteRune(rune(open))
		for first := true; d.More(); first = false {
			if !first {
				out.WriteByte(',')
			}
			if open == '{' {
				name, err := d.Token()
				if err == nil {
					err = write(name)
				}
				if err != nil {
					return err
				}
				out.WriteByte(':')
			}
			if err := value(); err != nil {
				return err
			}
		}
		end, err := d.Token()
		if end, ok := end.(json.Delim); ok {
			out.WriteRune(rune(end))
		}
		return err
	}
	err := value()
	return out.Bytes(), err
}

// Fields are all parts of the spec under dotted names, as model.activation, with their values as JSON.
func (s Spec) Fields() map[string]string { return FieldsOf(s.JSON()) }

// FieldsOf are all parts of a JSON object under dotted names, with their values as JSON.
func FieldsOf(object []byte) map[string]string {
	all := map[string]string{}
	var tree map[string]json.RawMessage
	var walk func(prefix string, node map[string]json.RawMessage)
	walk = func(prefix string, node map[string]json.RawMessage) {
		for k, v := range node {
			var below map[string]json.RawMessage
			if len(v) > 0 && v[0] == '{' && json.Unmarshal(v, &below) == nil {
				walk(prefix+k+".", below)
				continue
			}
			all[prefix+k] = string(v)
		}
	}
	var compact bytes.Buffer // values with line breaks in them would be others
	err := json.Compact(&compact, object)
	if err == nil {
		err = json.Unmarshal(compact.Bytes(), &tree)
	}
	if err != nil {
		panic(err) // of what was an object when it was made
	}
	walk("", tree)
	return all
}

// Differences lists what of two specs differs, as "model.activation was … and is …", sorted. What either does not know, because it
// was written before there was such a field, is no difference.
func (s Spec) Differences(now Spec) []string {
	was, is := s.Fields(), now.Fields()
	var all []string
	for _, k := range slices.Sorted(maps.Keys(was)) {
		a, b := was[k], is[k]
		if a != b && !unknown(a) && !unknown(b) && k != "model.ensemble" {
			all = append(all, fmt.Sprintf("%s was %s and is %s", k, quote.Text(a), quote.Text(b)))
		}
	}
	if a, b := s.Model.Order(), now.Model.Order(); a != b {
		all = append(all, fmt.Sprintf("model.ensemble was %s and is %s", a, b))
	}
	return all
}

func unknown(v string) bool {
	return v == "" || v == `""` || v == "null" || strings.Trim(v, "[]0,") == ""
}
