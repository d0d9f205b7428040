package export

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
)

// A Model is a CLIP: a text encoder, and for images a transformer or one of CLIP's ResNets; or a relative of it.
type Model struct {
	Weights               checkpoint.Source // OpenAI's names and orientations; float32
	Activation            string            // quickgelu, gelu, or of a relative gelu-tanh
	ImageHeads, TextHeads int               // of a ResNet those of its attention pool
	ImageEps, TextEps     float64           // of the layer norms; 0 for 1e-5
	Preprocessing         checkpoint.Preprocessing

	// Merges and Vocab are the contents of merges.txt and vocab.json; nil without a tokenizer.
	Merges, Vocab []byte
	// OpenAIVocabulary says that they are those which open_clip and clip have built in.
	OpenAIVocabulary bool

	// Relative says how the model differs from CLIP; nil for CLIP's own architecture.
	Relative *Relative

	Card Card
	// About goes into the metadata of weights files and graphs.
	About map[string]string

	made map[string][]float32 // constants of the last graph that are none of the weights, by name

	sizes
}

// sizes are what the tensors' shapes tell.
type sizes struct {
	image tower   // of a ResNet empty
	net   *resNet // of a transformer nil
	text  tower
	patch int
	side  int // of images, in pixels
	vocab int
	embed int
}

// A tower is one transformer.
type tower struct {
	prefix                              string // of its tensors
	width, layers, inner, heads, tokens int
	eps                                 float64

	// Of relatives.
	activation string // "" for the model's
	post       bool   // norms are of what attention and MLP make
	rotary     nn.RotaryConfig
}

// A File is one of those that make a model.
type File struct {
	Name  string
	Write func(io.Writer) error
}

// text is a File of some bytes.
func text(name string, content []byte) File {
	return File{name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}}
}

// Plain is an error unless the model has CLIP's own architecture, by its tensors.
func (m *Model) Plain() error { return m.prepare() }

// prepare reads the sizes, and compares the tensors with those that such a model has: none may be missing, and none left
// over, since it would be lost.
func (m *Model) prepare() error {
	shape := func(name string, rank int) []int {
		s, _ := m.Weights.Shape(name)
		if len(s) != rank {
			return make([]int, rank)
		}
		return s
	}
	m.sizes = sizes{}
	if _, ok := m.Weights.Shape("visual.layer1.0.conv1.weight"); ok {
		if err := m.prepareNet(shape); err != nil {
			return err
		}
	} else if m.Relative == nil {
		if err := m.prepareTransformer(shape); err != nil {
			return err
		}
	}
	tokens, context := shape("token_embedding.weight", 2), shape("positional_embedding", 2)
	if tokens[0] == 0 || context[0] == 0 {
		return fmt.Errorf("export: the model has no text encoder as CLIP's; an image encoder alone has no export")
	}
	m.text, m.vocab = tower{prefix: "transformer.", width: tokens[1], heads: m.TextHeads, tokens: context[0], eps: epsilon(m.TextEps)}, tokens[0]
	if m.Relative != nil {
		m.prepareRelative(shape)
	}
	for _, t := range m.towers() {
		t.layers, t.inner = nn.Blocks(m.Weights, t.prefix)
		if t.layers == 0 || t.inner == 0 || t.heads < 1 || t.width%t.heads != 0 {
			return fmt.Errorf("export: %s has %d blocks of width %d with %d heads: no transformer", t.prefix, t.layers, t.width, t.heads)
		}
	}
	if m.Relative == nil && m.Activation != "quickgelu" && m.Activation != "gelu" {
		return fmt.Errorf("export: activation %q; there are quickgelu and gelu", m.Activation)
	}
	var err error
	if m.Preprocessing, err = m.Preprocessing.For(m.side); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if m.Relative != nil {
		return nil
	}
	want := m.shapes()
	var wrong []string
	for _, name := range m.Weights.Names() {
		if want[name] == nil {
			wrong = append(wrong, name+" is not part of it")
		}
	}
	for name, shape := range want {
		if got, ok := m.Weights.Shape(name); !ok || !slices.Equal(got, shape) {
			wrong = append(wrong, fmt.Sprintf("%s should have shape %v, has %v", name, shape, got))
		}
	}
	if wrong != nil {
		slices.Sort(wrong)
		return fmt.Errorf("export: this is not the architecture of CLIP's %s, and would lose something: %s (%d differences)", m.kind(), wrong[0], len(wrong))
	}
	return nil
}

func (m *Model) kind() string {
	if m.net != nil {
		return "ResNets"
	}
	return "vision transformers"
}

// towers are the transformers that there are.
func (m *Model) towers() []*tower {
	if m.net != nil {
		return []*tower{&m.text}
	}
	return []*tower{&m.image, &m.text}
}

// epsilon is that of layer norms, 0 for the usual one.
func epsilon(v float64) float64 {
	if v == 0 {
		return 1e-5
	}
	return v
}

// prepareTransformer reads the sizes of a vision transformer.
func (m *Model) prepareTransformer(shape func(name string, rank int) []int) error {
	conv, pos, proj := shape("visual.conv1.weight", 4), shape("visual.positional_embedding", 2), shape("visual.proj", 2)
	if conv[0] == 0 || pos[0] < 2 || proj[1] == 0 {
		return fmt.Errorf("export: the image encoder is no vision transformer and no ResNet as CLIP's; other architectures have no export yet")
	}
	grid := int(math.Round(math.Sqrt(float64(pos[0] - 1))))
	if grid*grid+1 != pos[0] {
		return fmt.Errorf("export: %d positions are no square of patches and a class token", pos[0])
	}
	m.image = tower{prefix: "visual.transformer.", width: conv[0], heads: m.ImageHeads, tokens: pos[0], eps: epsilon(m.ImageEps)}
	m.patch, m.side, m.embed = conv[2], conv[2]*grid, proj[1]
	return nil
}

// shapes are the tensors of the architecture.
func (m *Model) shapes() map[string][]int {
	s := map[string][]int{
		"token_embedding.weight": {m.vocab, m.text.width}, "positional_embedding": {m.text.tokens, m.text.width},
		"text_projection": {m.text.width, m.embed}, "logit_scale": {},
	}
	norm := func(name string, width int) { s[name+".weight"], s[name+".bias"] = []int{width}, []int{width} }
	linear := func(weight, bias string, in, out int) { s[weight], s[bias] = []int{out, in}, []int{out} }
	if m.net != nil {
		m.net.shapes(s, m.embed)
	} else {
		s["visual.conv1.weight"], s["visual.class_embedding"] = []int{m.image.width, 3, m.patch, m.patch}, []int{m.image.width}
		s["visual.positional_embedding"], s["visual.proj"] = []int{m.image.tokens, m.image.width}, []int{m.image.width, m.embed}
		norm("visual.ln_pre", m.image.width)
		norm("visual.ln_post", m.image.width)
	}
	norm("ln_final", m.text.width)
	for _, t := range m.towers() {
		for i := range t.layers {
			p := t.block(i)
			norm(p+"ln_1", t.width)
			norm(p+"ln_2", t.width)
			linear(p+"attn.in_proj_weight", p+"attn.in_proj_bias", t.width, 3*t.width)
			linear(p+"attn.out_proj.weight", p+"attn.out_proj.bias", t.width, t.width)
			linear(p+"mlp.c_fc.weight", p+"mlp.c_fc.bias", t.width, t.inner)
			linear(p+"mlp.c_proj.weight", p+"mlp.c_proj.bias", t.inner, t.width)
		}
	}
	return s
}

func (t tower) block(i int) string { return fmt.Sprintf("%sresblocks.%d.", t.prefix, i) }

// needVocabulary is for folders that promise to read text.
func (m *Model) needVocabulary(format string) error {
	if m.Merges == nil || m.Vocab == nil {
		return fmt.Errorf("export to %s: no vocabulary was found beside the model, and without one that program reads every text as the same "+
			"few tokens, silently: name it with -vocab", format)
	}
	return nil
}

// read gives the values of one tensor.
func (m *Model) read(name string) ([]float32, error) {
	shape, _ := m.Weights.Shape(name)
	n := 1
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	return values, m.Weights.Read(name, values)
}

// entry is a tensor of a safetensors file: rows [from, to) of one of the model's, perhaps transposed.
func (m *Model) entry(as, name string, part, parts int, transposed bool) checkpoint.Entry {
	shape, _ := m.Weights.Shape(name)
	shape = slices.Clone(shape)
	if parts > 1 {
		shape[0] /= parts
	}
	if transposed {
		slices.Reverse(shape)
	}
	return checkpoint.Entry{Name: as, DType: checkpoint.F32, Shape: shape, Data: func(w io.Writer) error {
		values, err := m.read(name)
		if err != nil {
			return err
		}
		n := len(values) / parts
		values = values[part*n : (part+1)*n]
		if transposed {
			values = transpose(values, shape[1], shape[0])
		}
		return checkpoint.Float32s(values, checkpoint.F32)(w)
	}}
}

// transpose turns [rows, cols] into [cols, rows].
func transpose(v []float32, rows, cols int) []float32 {
	out := make([]float32, len(v))
	for r := range rows {
		for c := range cols {
			out[c*rows+r] = v[r*cols+c]
		}
	}
	return out
}

// Check opens what was written, as [checkpoint.OpenModel] does, and compares it with the model: every tensor to the bit,
// every setting that the format holds.
func (m *Model) Check(path string) error {
	got, err := checkpoint.OpenModel(path)
	if err != nil {
		return fmt.Errorf("export: reading back: %w", err)
	}
	defer got.Close()
	fault := func(what string, want, have any) error {
		return fmt.Errorf("export: reading %s back: %s is %v, was %v", path, what, have, want)
	}
	names := slices.Sorted(slices.Values(m.Weights.Names()))
	if have := got.Names(); !slices.Equal(names, have) {
		return fault("the set of tensors", len(names), len(have))
	}
	for _, name := range names {
		want, err := m.read(name)
		if err != nil {
			return err
		}
		have := make([]float32, len(want))
		if err := got.Read(name, have); err != nil {
			return fmt.Errorf("export: reading back: %w", err)
		}
		for i := range want {
			if math.Float32bits(want[i]) != math.Float32bits(have[i]) {
				return fault(fmt.Sprintf("%s at %d", name, i), want[i], have[i])
			}
		}
	}
	if a := got.Activation(); a != "" && a != m.Activation {
		return fault("the activation", m.Activation, a)
	}
	if image, text := got.Heads(); image != 0 && (image != m.ImageHeads || text != m.TextHeads) {
		return fault("the number of heads", []int{m.ImageHeads, m.TextHeads}, []int{image, text})
	}
	image, text := got.Eps()
	for _, e := range [][2]float64{{m.image.eps, image}, {m.text.eps, text}} {
		if e[0] != 0 && e[1] != 0 && e[1] != e[0] {
			return fault("the epsilon of layer norms", e[0], e[1])
		}
	}
	if m.Relative != nil && got.Settings() != m.Relative.Settings {
		return fault("what the configuration says", m.Relative.Settings, got.Settings())
	}
	if p, ok := got.Preprocessing(); ok {
		if p, err = p.For(m.side); err != nil || p != m.Preprocessing {
			return fault("the preprocessing", m.Preprocessing, p)
		}
	}
	return nil
}

// openAIMerges is the SHA-256 of OpenAI's vocabulary as a merges.txt.
const openAIMerges = "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"

// IsOpenAIVocabulary recognises the vocabulary that open_clip and clip have built in.
func IsOpenAIVocabulary(merges []byte) bool {
	h := sha256.Sum256(merges)
	return hex.EncodeToString(h[:]) == openAIMerges
}
