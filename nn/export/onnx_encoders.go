package export

import (
	"cmp"
	"fmt"
	"math"
)

// This file has the two encoders in operators of ONNX, from small pieces to the whole model.

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
