package export

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
)

// Versions of the format: opset 17 has LayerNormalization; IR 8 goes with it. Newer ones gain nothing here, and some of
// their operators have no kernel in onnxruntime.
const (
	onnxOpset = 17
	onnxIR    = 8
)

// maxOnnx is how large a graph may be with its weights inside: readers refuse messages of 2 GiB.
const maxOnnx = 2_000_000_000

// Element types of ONNX's TensorProto.
const (
	onnxFloat = 1
	onnxInt64 = 7
)

// A constant is an initializer: a tensor of the model, or values made here.
type constant struct {
	name  string
	dtype int64
	shape []int
	bytes int64
	write func(io.Writer) error
}

// A graph is an ONNX graph being built. A value is known by its name.
type graph struct {
	name      string
	model     *Model
	nodes     []message
	constants []constant
	known     map[string]bool
	inputs    []message
	outputs   []message
	count     int
}

func newGraph(name string, m *Model) *graph {
	m.made = map[string][]float32{}
	return &graph{name: name, model: m, known: map[string]bool{}}
}

// A dim is the size of an axis: a number, or a name for what is not fixed.
type dim any

func valueInfo(name string, dtype int64, dims ...dim) message {
	var shape message
	for _, d := range dims {
		var one message
		switch d := d.(type) {
		case int:
			one.int(1, int64(d))
		case string:
			one.str(2, d)
		}
		shape.sub(1, one)
	}
	var tensor, kind, info message
	tensor.int(1, dtype)
	tensor.sub(2, shape)
	kind.sub(1, tensor)
	info.str(1, name)
	info.sub(2, kind)
	return info
}

func (g *graph) input(name string, dtype int64, dims ...dim) string {
	g.inputs = append(g.inputs, valueInfo(name, dtype, dims...))
	return name
}

// output gives a value the name of one of the graph's outputs.
func (g *graph) output(value, name string, dims ...dim) {
	g.node("Identity", []string{value}, name)
	g.outputs = append(g.outputs, valueInfo(name, onnxFloat, dims...))
}

type attribute struct {
	name  string
	value any // int, float64, []int
}

// node adds one operation with one result, and names it.
func (g *graph) node(op string, inputs []string, output string, attributes ...attribute) string {
	g.count++
	if output == "" {
		output = op + "_" + strconv.Itoa(g.count)
	}
	var n message
	for _, in := range inputs {
		n.str(1, in)
	}
	n.str(2, output)
	n.str(3, op+"_"+strconv.Itoa(g.count)+"_node")
	n.str(4, op)
	for _, a := range attributes {
		n.sub(5, a.message())
	}
	g.nodes = append(g.nodes, n)
	return output
}

func (a attribute) message() (m message) {
	const typeFloat, typeInt, typeInts = 1, 2, 7
	m.str(1, a.name)
	switch v := a.value.(type) {
	case float64:
		m.float(2, math.Float32bits(float32(v)))
		m.int(20, typeFloat)
	case int:
		m.int(3, int64(v))
		m.int(20, typeInt)
	case []int:
		for _, i := range v {
			m.int(8, int64(i))
		}
		m.int(20, typeInts)
	}
	return m
}

func (g *graph) add(c constant) string {
	if !g.known[c.name] {
		g.known[c.name] = true
		g.constants = append(g.constants, c)
	}
	return c.name
}

// weight is one of the model's tensors.
func (g *graph) weight(name string) string { return g.tensor(name, name, false) }

// matrix is a weight [out, in] as MatMul takes it, [in, out].
func (g *graph) matrix(name string) string { return g.tensor(name+"_transposed", name, true) }

func (g *graph) tensor(as, name string, transposed bool) string {
	e := g.model.entry(as, name, 0, 1, transposed)
	n := int64(4)
	for _, d := range e.Shape {
		n *= int64(d)
	}
	return g.add(constant{as, onnxFloat, e.Shape, n, e.Data})
}

// floats is a constant made here.
func (g *graph) floats(name string, shape []int, values ...float32) string {
	g.model.made[name] = values
	return g.add(constant{name, onnxFloat, shape, int64(4 * len(values)), checkpoint.Float32s(values, checkpoint.F32)})
}

func (g *graph) scalar(v float64) string {
	return g.floats("scalar_"+strconv.FormatFloat(v, 'g', -1, 64), []int{}, float32(v))
}

func (g *graph) ints(v ...int) string {
	b := make([]byte, 0, 8*len(v))
	name := "ints"
	for _, n := range v {
		for i := range 8 {
			b = append(b, byte(uint64(int64(n))>>(8*i)))
		}
		name += "_" + strconv.Itoa(n)
	}
	return g.add(constant{name, onnxInt64, []int{len(v)}, int64(len(b)), checkpoint.Bytes(b)})
}

func (g *graph) op(op string, inputs ...string) string { return g.node(op, inputs, "") }

func (g *graph) reshape(x string, shape ...int) string { return g.op("Reshape", x, g.ints(shape...)) }

func (g *graph) transposed(x string, perm ...int) string {
	return g.node("Transpose", []string{x}, "", attribute{"perm", perm})
}

func (g *graph) norm(x, name string, eps float64) string {
	return g.node("LayerNormalization", []string{x, g.weight(name + ".weight"), g.weight(name + ".bias")}, "",
		attribute{"axis", -1}, attribute{"epsilon", eps})
}

func (g *graph) linear(x, weight, bias string) string {
	return g.op("Add", g.op("MatMul", x, g.matrix(weight)), g.weight(bias))
}

// block is one residual block, x [N, T, width]; mask, added to the scores, may be "".
func (g *graph) block(x string, t tower, i int, mask string) string {
	p := t.block(i)
	x = g.half(x, t, p+"ln_1", p+"ls_1.gamma", func(x string) string { return g.attention(x, t, p+"attn.", mask) })
	return g.half(x, t, p+"ln_2", p+"ls_2.gamma", func(x string) string { return g.mlp(x, t, p+"mlp.") })
}

// half is x with a half of a block added, and the norm and the scale that belong to it.
func (g *graph) half(x string, t tower, norm, scale string, f func(x string) string) string {
	if t.post {
		return g.op("Add", x, g.norm(f(x), norm, t.eps))
	}
	y := f(g.norm(x, norm, t.eps))
	if g.has(scale) {
		y = g.op("Mul", y, g.weight(scale))
	}
	return g.op("Add", x, y)
}

func (g *graph) attention(x string, t tower, p, mask string) string {
	head := t.width / t.heads
	qkv := g.linear(x, p+"in_proj_weight", p+"in_proj_bias")
	var part [3]string
	for j := range part { // rows of the packed weight are queries, keys, values
		part[j] = g.transposed(g.reshape(g.part(qkv, j*t.width, (j+1)*t.width), 0, 0, t.heads, head), 0, 2, 1, 3)
	}
	q, k, v := g.turn(part[0], t), g.transposed(g.turn(part[1], t), 0, 1, 3, 2), part[2]
	scores := g.op("MatMul", g.op("Mul", q, g.scalar(1/math.Sqrt(float64(head)))), k)
	if mask != "" {
		scores = g.op("Add", scores, mask)
	}
	share := g.node("Softmax", []string{scores}, "", attribute{"axis", -1})
	y := g.reshape(g.transposed(g.op("MatMul", share, v), 0, 2, 1, 3), 0, 0, t.width)
	if g.has(p + "ln_inner.weight") {
		y = g.norm(y, p+"ln_inner", t.eps)
	}
	return g.linear(y, p+"out_proj.weight", p+"out_proj.bias")
}

// activate writes the plain forms, which onnxruntime fuses. An activation of "" is the model's.
func (g *graph) activate(x, activation string) string {
	switch cmp.Or(activation, g.model.Activation) {
	case "quickgelu":
		return g.op("Mul", x, g.op("Sigmoid", g.op("Mul", x, g.scalar(1.702))))
	case "gelu-tanh":
		cube := g.op("Mul", g.op("Mul", x, x), g.op("Mul", x, g.scalar(0.044715)))
		y := g.op("Tanh", g.op("Mul", g.op("Add", x, cube), g.scalar(math.Sqrt(2/math.Pi))))
		return g.op("Mul", g.op("Mul", x, g.op("Add", y, g.scalar(1))), g.scalar(0.5))
	}
	erf := g.op("Erf", g.op("Div", x, g.scalar(math.Sqrt2)))
	return g.op("Mul", g.op("Mul", x, g.op("Add", erf, g.scalar(1))), g.scalar(0.5))
}

// unit divides by the length.
func (g *graph) unit(x string) string {
	return g.op("Div", x, g.node("ReduceL2", []string{x}, "", attribute{"axes", []int{-1}}, attribute{"keepdims", 1}))
}

// size is the length of an axis, as a list of one.
func (g *graph) size(x string, axis int) string {
	return g.op("Gather", g.op("Shape", x), g.ints(axis))
}

// images encodes pixel values [N, 3, side, side] to features [N, embed].
func (g *graph) images(x string) string {
	m := g.model
	if m.net != nil {
		return g.netImages(x)
	}
	t := m.image
	conv := []string{x, g.weight("visual.conv1.weight")}
	if g.has("visual.conv1.bias") {
		conv = append(conv, g.weight("visual.conv1.bias"))
	}
	x = g.node("Conv", conv, "", attribute{"kernel_shape", []int{m.patch, m.patch}}, attribute{"strides", []int{m.patch, m.patch}})
	x = g.transposed(g.reshape(x, 0, t.width, -1), 0, 2, 1)
	if g.has("visual.class_embedding") {
		class := g.op("Expand", g.reshape(g.weight("visual.class_embedding"), 1, 1, t.width),
			g.node("Concat", []string{g.size(x, 0), g.ints(1), g.ints(t.width)}, "", attribute{"axis", 0}))
		x = g.node("Concat", []string{class, x}, "", attribute{"axis", 1})
	}
	x = g.op("Add", x, g.weight("visual.positional_embedding"))
	if g.has("visual.ln_pre.weight") {
		x = g.norm(x, "visual.ln_pre", t.eps)
	}
	for i := range t.layers {
		x = g.block(x, t, i, "")
	}
	return g.featured(x)
}

// texts encodes ids [N, L] to features [N, embed].
func (g *graph) texts(ids string) string {
	t := g.model.text
	length := g.size(ids, 1)
	at := g.op("Slice", g.weight("positional_embedding"), g.ints(0), length, g.ints(0))
	x := g.op("Add", g.op("Gather", g.weight("token_embedding.weight"), ids), at)
	mask := ""
	if r := g.model.Relative; r == nil || !r.Settings.Text.Full {
		mask = g.future(length)
	}
	for i := range t.layers {
		x = g.block(x, t, i, mask)
	}
	return g.projected(g.norm(g.ended(x, ids), "ln_final", t.eps), "text_projection", "text_projection.bias")
}

// future is what hides later positions from earlier ones, for a text of some length.
func (g *graph) future(length string) string {
	n := g.model.text.tokens
	future := make([]float32, n*n)
	for row := range n {
		for col := row + 1; col < n; col++ {
			future[row*n+col] = -math.MaxFloat32
		}
	}
	mask := g.floats("causal_mask", []int{n, n}, future...)
	ends := g.node("Concat", []string{length, length}, "", attribute{"axis", 0})
	return g.op("Slice", mask, g.ints(0, 0), ends, g.ints(0, 1))
}

// ONNX is the whole model as one graph with the names of optimum and transformers.js, in the folder onnx, with the
// configuration, preprocessing and vocabulary that go with it.
func (m *Model) ONNX() ([]File, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if err := m.noNet("onnx", "-classes-file or -image-only, whose graph needs no configuration"); err != nil {
		return nil, err
	}
	var all []File
	if m.Relative != nil {
		if m.Relative.Settings.Text.CLS {
			return nil, fmt.Errorf("export to onnx: texts have a token behind their padding, with a mask of its own, which the graph does not have: use -classes-file or -image-only")
		}
		all = m.Relative.Beside
	} else {
		var err error
		if all, err = m.Transformers(); err != nil {
			return nil, err
		}
	}
	g := newGraph("clip", m)
	var length dim = "sequence_length"
	if m.padded() {
		length = m.text.tokens
	}
	ids := g.input("input_ids", onnxInt64, "text_batch_size", length)
	pixels := g.input("pixel_values", onnxFloat, "image_batch_size", 3, m.side, m.side)
	if !m.padded() {
		// Padding lies behind the end of a text, and attention looks back: the mask changes nothing, but callers pass one.
		g.input("attention_mask", onnxInt64, "text_batch_size", "sequence_length")
	}
	image, words := g.unit(g.images(pixels)), g.unit(g.texts(ids))
	scale := g.op("Exp", g.weight("logit_scale"))
	logits := g.op("Mul", g.op("MatMul", words, g.transposed(image, 1, 0)), scale)
	if m.Relative != nil {
		bias, err := m.Relative.Stored.Number("logit_bias")
		if err != nil {
			return nil, err
		}
		if bias != 0 {
			logits = g.op("Add", logits, g.scalar(bias))
		}
		if err := g.whole(""); err != nil {
			return nil, err
		}
	}
	g.output(g.transposed(logits, 1, 0), "logits_per_image", "image_batch_size", "text_batch_size")
	g.output(logits, "logits_per_text", "text_batch_size", "image_batch_size")
	g.output(words, "text_embeds", "text_batch_size", m.embed)
	g.output(image, "image_embeds", "image_batch_size", m.embed)
	files, err := g.files("onnx/model.onnx", nil)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.Name != "model.safetensors" && f.Name != "README.md" {
			files = append(files, f)
		}
	}
	return append(files, m.card("transformers.js")), nil
}

// A Head classifies images.
type Head struct {
	Names []string // of the classes
	nn.Formula
}

// check refuses values that do not go together.
func (h *Head) check(embed int) error {
	n, middle, keys := len(h.Names), len(h.Down)/embed, len(h.Keys)/embed
	switch {
	case n == 0 || len(h.Classes) != n*embed:
		return fmt.Errorf("export to onnx: %d classes with %d values for features of %d", n, len(h.Classes), embed)
	case len(h.Down) != middle*embed || len(h.Up) != len(h.Down):
		return fmt.Errorf("export to onnx: an adapter of %d and %d values for features of %d", len(h.Down), len(h.Up), embed)
	case h.Bias != nil && len(h.Bias) != n:
		return fmt.Errorf("export to onnx: %d classes with %d biases", n, len(h.Bias))
	case len(h.Keys) != keys*embed || len(h.Values) != keys*n:
		return fmt.Errorf("export to onnx: %d values of keys and %d of what they say, for %d classes and features of %d", len(h.Keys), len(h.Values), n, embed)
	}
	return nil
}

// logits are the head's, [N, C], of features [N, D] as the encoder gives them; unit are those of length 1.
func (g *graph) logits(h *Head, features, unit string) string {
	n, d := len(h.Names), g.model.embed
	matrix := func(name string, rows, cols int, values []float32) string { // [rows, cols] as MatMul takes it
		return g.floats("head."+name+"_transposed", []int{cols, rows}, transpose(values, rows, cols)...)
	}
	u := unit
	if h.Down != nil {
		m := len(h.Down) / d
		y := g.op("Relu", g.op("MatMul", features, matrix("down", m, d, h.Down)))
		y = g.op("Relu", g.op("MatMul", y, matrix("up", d, m, h.Up)))
		features = g.op("Add", g.op("Mul", y, g.scalar(h.Ratio)), g.op("Mul", features, g.scalar(1-h.Ratio)))
		u = g.unit(features)
	}
	if h.Raw {
		u = features
	}
	logits := g.op("Mul", g.op("MatMul", u, matrix("classes", n, d, h.Classes)), g.scalar(h.Scale))
	if h.Bias != nil {
		logits = g.op("Add", logits, g.floats("head.bias", []int{n}, h.Bias...))
	}
	if h.Keys != nil {
		keys := len(h.Keys) / d
		a := g.op("Sub", g.op("MatMul", u, matrix("keys", keys, d, h.Keys)), g.scalar(1))
		cache := g.op("MatMul", g.op("Exp", g.op("Mul", a, g.scalar(h.Beta))), g.floats("head.values", []int{keys, n}, h.Values...))
		logits = g.op("Add", logits, g.op("Mul", cache, g.scalar(h.Alpha)))
	}
	return logits
}

// ONNXClassifier is the image encoder as one graph from pixels to probabilities: pixels [N, 3, side, side] are RGB from 0 to
// 255, already resized and cut; scaling and normalising them is part of the graph. Without a head it ends at the embedding.
func (m *Model) ONNXClassifier(h *Head) ([]File, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	g := newGraph("image_classifier", m)
	x := g.op("Mul", g.input("pixels", onnxFloat, "batch_size", 3, m.side, m.side), g.scalar(1.0/255))
	channels := func(name string, v [3]float64) string {
		return g.floats(name, []int{1, 3, 1, 1}, float32(v[0]), float32(v[1]), float32(v[2]))
	}
	x = g.op("Div", g.op("Sub", x, channels("image_mean", m.Preprocessing.Mean)), channels("image_std", m.Preprocessing.Std))
	features := g.images(x)
	image := g.unit(features)
	if err := g.whole("visual."); err != nil {
		return nil, err
	}
	g.output(image, "image_embeds", "batch_size", m.embed)
	about := map[string]string{}
	if h != nil {
		if err := h.check(m.embed); err != nil {
			return nil, err
		}
		n, logits := len(h.Names), g.logits(h, features, image)
		g.output(logits, "logits", "batch_size", n)
		g.output(g.node("Softmax", []string{logits}, "", attribute{"axis", -1}), "probabilities", "batch_size", n)
		names, err := json.Marshal(h.Names)
		if err != nil {
			return nil, err
		}
		about["classes"] = string(names)
	}
	preprocessing, err := json.Marshal(m.Preprocessing)
	if err != nil {
		return nil, err
	}
	about["preprocessing"] = string(preprocessing)
	files, err := g.files("model.onnx", about)
	return append(files, m.card("onnx")), err
}

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
