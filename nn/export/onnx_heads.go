package export

import (
	"encoding/json"
	"fmt"

	"fewshot/nn"
)

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
