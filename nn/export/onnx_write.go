package export

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// files are the graph and, where it is too large for one message, its weights beside it.
func (g *graph) files(name string, about map[string]string) ([]File, error) {
	var total int64
	for _, c := range g.constants {
		total += c.bytes
	}
	external := ""
	if total > maxOnnx {
		external = baseName(name) + "_data"
	}
	meta := maps.Clone(g.model.About)
	if meta == nil {
		meta = map[string]string{}
	}
	maps.Copy(meta, about)
	files := []File{{name, func(w io.Writer) error { return g.write(w, meta, external) }}}
	if external != "" {
		files = append(files, File{name + "_data", func(w io.Writer) error {
			for _, c := range g.constants {
				if c.external() {
					if err := c.write(w); err != nil {
						return err
					}
				}
			}
			return nil
		}})
	}
	return files, nil
}

func baseName(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}

// external says whether a constant goes beside the graph where any does: shapes and scalars have to be in it.
func (c constant) external() bool { return c.dtype == onnxFloat && c.bytes >= 1024 }

// write writes the model. Weights go through in pieces; only their sizes are known before.
func (g *graph) write(w io.Writer, meta map[string]string, external string) error {
	var model, opset, rest message
	model.int(1, onnxIR)
	model.str(2, "fewshot")
	opset.str(1, "")
	opset.int(2, onnxOpset)
	model.sub(8, opset)
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		var entry message
		entry.str(1, k)
		entry.str(2, meta[k])
		model.sub(14, entry)
	}
	for _, v := range g.inputs {
		rest.sub(11, v)
	}
	for _, n := range g.nodes {
		rest.sub(1, n)
	}
	rest.str(2, g.name)
	for _, v := range g.outputs {
		rest.sub(12, v)
	}
	heads := make([]message, len(g.constants))
	size := int64(len(rest))
	var offset int64
	for i, c := range g.constants {
		var t message
		for _, d := range c.shape {
			t.int(1, int64(d))
		}
		t.int(2, c.dtype)
		t.str(8, c.name)
		inside := c.bytes
		if external != "" && c.external() {
			for _, kv := range [][2]string{{"location", external}, {"offset", strconv.FormatInt(offset, 10)}, {"length", strconv.FormatInt(c.bytes, 10)}} {
				var entry message
				entry.str(1, kv[0])
				entry.str(2, kv[1])
				t.sub(13, entry)
			}
			t.int(14, 1)
			offset += c.bytes
			inside = 0
		} else {
			t.length(9, c.bytes)
		}
		heads[i].length(5, int64(len(t))+inside)
		heads[i] = append(heads[i], t...)
		size += int64(len(heads[i])) + inside
	}
	model.length(7, size)
	if _, err := w.Write(append(model, rest...)); err != nil {
		return err
	}
	for i, c := range g.constants {
		if _, err := w.Write(heads[i]); err != nil {
			return err
		}
		if external != "" && c.external() {
			continue
		}
		counted := &countingWriter{w: w}
		if err := c.write(counted); err != nil {
			return err
		}
		if counted.n != c.bytes {
			return fmt.Errorf("export to onnx: %s wrote %d bytes, announced %d", c.name, counted.n, c.bytes)
		}
	}
	return nil
}
