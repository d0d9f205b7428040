package prompt

import (
	"fmt"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
	"fewshot/text"
)

// Positions are where a context may stand: before the class name, half before and half behind it, or behind it.
func Positions() []string { return []string{"end", "middle", "front"} }

// promptContext says how learned vectors stand among the tokens of class prompts.
type promptContext struct {
	vectors  int    // of a prompt
	position string // where the class name is: of Positions
	prefix   string // words in the place of the vectors, from which the prompt is tokenised
	specific bool   // each class has vectors of its own
}

// placeholder is a prefix of n words that are a token each.
func placeholder(n int) string { return strings.TrimSuffix(strings.Repeat("X ", n), " ") }

// A prompt's tokens, as rows of a table: constant tokens, then learned vectors. What is below 0 is constant token −1−row.
type prompt []int32

func vector(k int) int32   { return int32(k) }
func token(id int32) int32 { return -1 - id }
func tokens(ids []int32) prompt {
	p := make(prompt, len(ids))
	for i, id := range ids {
		p[i] = token(id)
	}
	return p
}

// prompts are those of classes, and how many of their first rows all have in common.
//
// The prefix is tokenised with the name, and as many tokens behind the start as there are vectors are left out for these: where a word is
// several tokens, some of it stays, which is what the published programs do.
func (c promptContext) prompts(m *CLIP, classes []string) (all []prompt, shared int, err error) {
	if m.Text.Full || m.Text.CLS || m.Text.Pool == text.PoolLast || m.Text.Pool == text.PoolFirst {
		return nil, 0, fmt.Errorf("contexts are learned for text encoders that read forwards and end with a text, as CLIP's; this one's feature depends on its padding, " +
			"or on the first token alone. r-amt, vpt-deep, clip-lora and what learns on features do train on such a model")
	}
	for i, class := range classes {
		ids, err := m.tokens(c.prefix+" "+name(class)+".", class)
		if err != nil {
			return nil, 0, err
		}
		of, err := m.Tokenizer.Encode(name(class))
		if err != nil {
			return nil, 0, fmt.Errorf("class %q: %w", class, err)
		}
		if len(ids) < 1+c.vectors+len(of) {
			return nil, 0, fmt.Errorf("class %q: %q has fewer than %d tokens, the vectors' number", class, c.prefix, c.vectors)
		}
		own := 0
		if c.specific {
			own = i * c.vectors
		}
		var vectors prompt
		for k := range c.vectors {
			vectors = append(vectors, vector(own+k))
		}
		start, rest, half := tokens(ids[:1]), tokens(ids[1+c.vectors:]), c.vectors/2
		var p prompt
		switch c.position {
		case "end":
			p, shared = join(start, vectors, rest), 1+c.vectors
		case "middle":
			p, shared = join(start, vectors[:half], rest[:len(of)], vectors[half:], rest[len(of):]), 1+half
		case "front":
			p, shared = join(start, rest[:len(of)], vectors, rest[len(of):]), 1
		}
		all = append(all, p)
	}
	if c.specific {
		shared = 1
	}
	return all, shared, nil
}

// layout has the prompts of classes.
func (c promptContext) layout(m *CLIP, classes []string) (*texts, error) {
	prompts, shared, err := c.prompts(m, classes)
	if err != nil {
		return nil, err
	}
	return newTexts(m.Text, []family{{shared, prompts}}, chunkRows), nil
}

func join(parts ...prompt) (p prompt) {
	for _, x := range parts {
		p = append(p, x...)
	}
	return p
}

// shift is the prompt with the vectors from first on.
func (p prompt) shift(first int) prompt {
	q := make(prompt, len(p))
	for i, r := range p {
		if q[i] = r; r >= 0 {
			q[i] = r + int32(first)
		}
	}
	return q
}

// texts are prompts that are encoded together, with the constant tokens in them.
type texts struct {
	encoder *text.Encoder
	ids     []int32 // of the constant tokens in the table
	chunks  []chunk
	n       int
}

// chunk is texts whose activations are in memory at a time.
type chunk struct {
	layout *text.Layout
	table  []int32 // row of the table, by row of the layout
}

// chunkRows is about how many tokens are kept in memory for a sweep: a quarter of a gigabyte in CLIP's smaller text encoder.
const chunkRows = 1024

// family are prompts with the same first rows.
type family struct {
	shared  int
	prompts []prompt
}

// newTexts lays out families one after the other. No chunk has more rows than most, unless a prompt alone has.
func newTexts(e *text.Encoder, families []family, most int) *texts {
	x := &texts{encoder: e}
	var constants []int32
	for _, f := range families {
		for _, p := range f.prompts {
			for _, r := range p {
				if r < 0 {
					constants = append(constants, -1-r)
				}
			}
		}
	}
	x.ids = unique(constants)
	at := map[int32]int32{}
	for i, id := range x.ids {
		at[token(id)] = int32(i)
	}
	row := func(r int32) int32 {
		if r < 0 {
			return at[r]
		}
		return int32(len(x.ids)) + r
	}
	var layouts []*text.Layout
	var table []int32
	flush := func() {
		if len(layouts) > 0 {
			x.chunks = append(x.chunks, chunk{text.Combine(layouts...), table})
			layouts, table = nil, nil
		}
	}
	for _, f := range families {
		x.n += len(f.prompts)
		for rest := f.prompts; len(rest) > 0; {
			n, rows := 0, len(table)+f.shared
			for n < len(rest) && rows+len(rest[n])-f.shared <= most {
				rows += len(rest[n]) - f.shared
				n++
			}
			if n == 0 && len(table) > 0 {
				flush()
				continue
			}
			n = max(n, 1)
			lengths := make([]int, n)
			for i, p := range rest[:n] {
				lengths[i] = len(p) - f.shared
			}
			layout, where := text.Continued(f.shared, lengths)
			rowsOf := make([]int32, layout.Rows())
			for k, r := range rest[0][:f.shared] {
				rowsOf[k] = row(r)
			}
			for i, p := range rest[:n] {
				for k, r := range p[f.shared:] {
					rowsOf[where[i]+k] = row(r)
				}
			}
			layouts, table = append(layouts, layout), append(table, rowsOf...)
			rest = rest[n:]
		}
	}
	flush()
	return x
}

// features are those of all texts, [n, Embed], not normalised. vectors are the learned ones, [m, Width].
func (x *texts) features(t *autograd.Tape, vectors *autograd.Var) *autograd.Var {
	return x.deep(vectors, nil, 0)
}

// deep is features with prompts at each depth: those of all rows from at on are replaced before block i+1 by deeper[i], [n, Width]. The
// rows must be in the prefix of the only family.
func (x *texts) deep(vectors *autograd.Var, deeper []*autograd.Var, at int) *autograd.Var {
	encode := func(t *autograd.Tape, part int, in []*autograd.Var) *autograd.Var {
		c := x.chunks[part]
		rows := t.Scope(func() *autograd.Var {
			table := autograd.JoinTokens(x.encoder.Embeddings(t, x.ids), in[0])
			return x.encoder.Place(autograd.TakeRows(table, c.table), c.layout)
		})
		p := nn.Prompts{At: at}
		if len(in) > 1 {
			p.Before = append([]*autograd.Var{nil}, in[1:]...)
		}
		return x.encoder.EncodeRows(rows, c.layout, p)
	}
	in := append([]*autograd.Var{vectors}, deeper...)
	if len(x.chunks) == 1 {
		return encode(vectors.Tape(), 0, in)
	}
	return autograd.Checkpoint(in, len(x.chunks), encode)
}

// rows views vectors [..., n, Width] as [m, Width].
func rows(v *autograd.Var) *autograd.Var {
	w := v.Value.Dim(1)
	return autograd.Reshape(v, v.Value.Len()/w, w)
}

// frozen runs f without gradients and keeps its result. The caller releases it.
func frozen(dev *tensor.Device, f func(t *autograd.Tape) *autograd.Var) *tensor.Tensor {
	t := autograd.NoGrad(dev)
	defer t.Release()
	x := f(t).Value
	x.Retain()
	return x
}
