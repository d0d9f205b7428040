package export

import (
	"fmt"
	"io"
	"math"
	"strings"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
)

// A Relative is what a model that differs from CLIP has beside its weights. Its configuration is that of the library whose folder it came in:
// it is taken along as it is, and the weights go back to the names and shapes that they had there.
type Relative struct {
	Settings checkpoint.Settings
	Stored   *checkpoint.Model // the folder, which stays open until everything is written
	Beside   []File            // its configuration, preprocessing and tokenizer
}

// forms are the formats of folders that a Relative can go back to, with the name of the weights.
var forms = map[string]struct{ format, weights string }{
	"transformers": {"huggingface", "model.safetensors"},
	"open_clip":    {"open_clip", "open_clip_model.safetensors"},
}

// again is the folder that a relative came in, with the model's weights.
func (m *Model) again(form string) ([]File, error) {
	r := m.Relative
	if f := forms[form]; r.Stored.Format() != f.format {
		return nil, fmt.Errorf("export to %s: a relative of CLIP's goes back into the form that it came in, which is %s's here: use -to %[2]s, or onnx", form, formOf(r.Stored))
	}
	entries := r.Stored.Restored(m.Weights)
	return append(append([]File{}, r.Beside...),
		File{forms[form].weights, func(w io.Writer) error {
			return checkpoint.WriteSafetensors(w, map[string]string{"format": "pt"}, entries)
		}}, m.card(form)), nil
}

// formOf is what -to calls the form of a folder.
func formOf(m *checkpoint.Model) string {
	for name, f := range forms {
		if f.format == m.Format() {
			return name
		}
	}
	return m.Format()
}

// prepareRelative reads the sizes. That the tensors are the model's was checked where it was opened, and a graph is compared with them.
func (m *Model) prepareRelative(shape func(name string, rank int) []int) {
	s := m.Relative.Settings
	if m.net == nil {
		conv, pos := shape("visual.conv1.weight", 4), shape("visual.positional_embedding", 2)
		m.image = tower{prefix: "visual.transformer.", width: conv[0], heads: m.ImageHeads, tokens: pos[0], eps: epsilon(m.ImageEps),
			activation: s.Vision.Activation, post: s.Vision.PostNorm, rotary: nn.RotaryConfig(s.Vision.Rotary)}
		m.patch, m.side, m.embed = conv[2], m.Preprocessing.Size, conv[0]
		if proj := shape("visual.proj", 2); proj[1] != 0 {
			m.embed = proj[1]
		}
	}
	m.text.activation = s.Text.Activation
}

// has reports whether the model has a tensor of that name.
func (g *graph) has(name string) bool {
	_, ok := g.model.Weights.Shape(name)
	return ok
}

// whole is an error where a tensor of the model, below a prefix, is no part of the graph: it would be lost.
func (g *graph) whole(prefix string) error {
	for _, name := range g.model.Weights.Names() {
		if strings.HasPrefix(name, prefix) && !g.known[name] && !g.known[name+"_transposed"] {
			return fmt.Errorf("export to onnx: %s has no place in the graph", name)
		}
	}
	return nil
}

// turn turns queries or keys [N, heads, tokens, d] as [nn.RotaryConfig] says.
func (g *graph) turn(x string, t tower) string {
	if t.rotary.Ref == 0 {
		return x
	}
	d := t.width / t.heads
	grid := int(math.Sqrt(float64(t.tokens))) // with one token more or without
	before := t.tokens - grid*grid
	cos, sin := make([]float32, t.tokens*d), make([]float32, t.tokens*d)
	for i := range t.tokens {
		for j := range d {
			angle := 0.0
			if i >= before {
				angle = t.rotary.Angle(i-before, j, grid, d)
			}
			cos[i*d+j], sin[i*d+j] = float32(math.Cos(angle)), float32(math.Sin(angle))
		}
	}
	swap := make([]float32, d*d)
	for i := 0; i < d; i += 2 {
		swap[i*d+i+1], swap[(i+1)*d+i] = 1, -1
	}
	swapped := g.op("MatMul", x, g.floats("rotary_swap", []int{d, d}, swap...))
	return g.op("Add", g.op("Mul", x, g.floats("rotary_cos", []int{t.tokens, d}, cos...)), g.op("Mul", swapped, g.floats("rotary_sin", []int{t.tokens, d}, sin...)))
}

// mlp is the pointwise half of a block, or of pooling.
func (g *graph) mlp(x string, t tower, p string) string {
	h := g.linear(x, p+"c_fc.weight", p+"c_fc.bias")
	if g.has(p + "c_gate.weight") {
		gate := g.linear(x, p+"c_gate.weight", p+"c_gate.bias")
		h = g.op("Mul", h, g.op("Mul", gate, g.op("Sigmoid", gate)))
	} else {
		h = g.activate(h, t.activation)
	}
	if g.has(p + "ln.weight") {
		h = g.norm(h, p+"ln", t.eps)
	}
	return g.linear(h, p+"c_proj.weight", p+"c_proj.bias")
}

// part is columns [from, to) of x's last axis, or of a bias.
func (g *graph) part(x string, from, to int) string {
	return g.op("Slice", x, g.ints(from), g.ints(to), g.ints(-1))
}

// attend lets a learned query [1, width] attend to tokens x: [N, width]. p is the path of its attention.
func (g *graph) attend(query, x, p string, width, heads int) string {
	bias := g.weight(p + "in_proj_bias")
	project := func(x string, i int) string {
		w := p + [...]string{"q", "k", "v"}[i] + "_proj_weight"
		var y string
		if g.has(w) {
			y = g.op("MatMul", x, g.matrix(w))
		} else {
			y = g.op("MatMul", x, g.part(g.matrix(p+"in_proj_weight"), i*width, (i+1)*width))
		}
		return g.op("Add", y, g.part(bias, i*width, (i+1)*width))
	}
	head := width / heads
	q := g.transposed(g.reshape(project(query, 0), 1, 1, heads, head), 0, 2, 1, 3)
	k := g.transposed(g.reshape(project(x, 1), 0, 0, heads, head), 0, 2, 3, 1)
	v := g.transposed(g.reshape(project(x, 2), 0, 0, heads, head), 0, 2, 1, 3)
	share := g.node("Softmax", []string{g.op("MatMul", g.op("Mul", q, g.scalar(1/math.Sqrt(float64(head)))), k)}, "", attribute{"axis", -1})
	y := g.reshape(g.op("MatMul", share, v), 0, width) // [N, heads, 1, head]
	return g.linear(y, p+"out_proj.weight", p+"out_proj.bias")
}

// toEnd ends a slice where the sequence does, being more than any has.
const toEnd = math.MaxInt32

// tokenAt is one token of each sequence, [N, width].
func (g *graph) tokenAt(x string, i, width int) string {
	end := i + 1
	if i < 0 {
		end = toEnd
	}
	return g.reshape(g.op("Slice", x, g.ints(i), g.ints(end), g.ints(1)), 0, width)
}

// featured makes features [N, embed] of an image's tokens.
func (g *graph) featured(x string) string {
	m, t := g.model, g.model.image
	vision := checkpoint.VisionSettings{}
	if m.Relative != nil {
		vision = m.Relative.Settings.Vision
	}
	post := func(x string) string { return g.norm(x, "visual.ln_post", t.eps) }
	const p = "visual.attn_pool."
	switch vision.Pool {
	case "map":
		heads := vision.PoolHeads
		if heads == 0 {
			heads = t.heads
		}
		y := g.attend(g.weight(p+"probe"), post(x), p+"attn.", t.width, heads)
		x = g.op("Add", y, g.mlp(g.norm(y, p+"ln", t.eps), t, p+"mlp."))
	case "query":
		query := g.norm(g.op("Slice", g.weight(p+"query"), g.ints(0), g.ints(1), g.ints(0)), p+"ln_q", t.eps)
		x = post(g.attend(query, g.norm(x, p+"ln_k", t.eps), p+"attn.", m.embed, vision.PoolHeads))
	case "avg":
		first := 0
		if g.has("visual.class_embedding") {
			first = 1
		}
		mean := func(x string) string {
			own := g.op("Slice", x, g.ints(first), g.ints(toEnd), g.ints(1))
			return g.node("ReduceMean", []string{own}, "", attribute{"axes", []int{1}}, attribute{"keepdims", 0})
		}
		if vision.NormLast {
			x = post(mean(x))
		} else {
			x = mean(post(x))
		}
	default:
		x = post(g.tokenAt(x, 0, t.width))
	}
	return g.projected(x, "visual.proj", "visual.proj.bias")
}

// projected multiplies pooled tokens by a projection, where there is one, and adds its bias, where that is.
func (g *graph) projected(x, proj, bias string) string {
	if g.has(proj) {
		x = g.op("MatMul", x, g.weight(proj))
	}
	if g.has(bias) {
		x = g.op("Add", x, g.weight(bias))
	}
	return x
}

// ended is the token of each text that becomes its feature, [N, width].
func (g *graph) ended(x, ids string) string {
	words := checkpoint.TextSettings{}
	if g.model.Relative != nil {
		words = g.model.Relative.Settings.Text
	}
	var marks string
	switch words.Pool {
	case "last":
		return g.tokenAt(x, -1, g.model.text.width)
	case "first":
		return g.tokenAt(x, 0, g.model.text.width)
	case "eos":
		marks = g.op("Equal", ids, g.ints(int(words.EOS)))
	default: // the largest
		marks = ids
	}
	narrow := g.node("Cast", []string{marks}, "", attribute{"to", 6}) // int32: not every ArgMax takes int64
	end := g.node("ArgMax", []string{narrow}, "", attribute{"axis", 1}, attribute{"keepdims", 1}, attribute{"select_last_index", 0})
	return g.node("GatherND", []string{x, end}, "", attribute{"batch_dims", 1})
}

// padded reports whether features of texts depend on what comes behind these, which then are padded to the context.
func (m *Model) padded() bool {
	return m.Relative != nil && (m.Relative.Settings.Text.Full || m.Relative.Settings.Text.Pool == "last")
}
