package prompt

import (
	"fmt"
	"slices"
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
	specific bool   // each class has vectors of its own
	blank    int    // so many of the vectors, the first ones, stand for no words
	words    string // whose first tokens the others stand for
}

// newContext is one that stands for no words.
func newContext(vectors int, position string, specific bool) promptContext {
	return promptContext{vectors: vectors, position: position, specific: specific, blank: vectors}
}

// of is the context whose vectors stand for words.
func (c promptContext) of(words string) promptContext {
	c.blank, c.words = 0, words
	return c
}

// prefix is what prompts are tokenised with before the name, in which the published programs have an X for what stands
// for no words, and its tokens. The vectors take the place of those before last, of which those from first on are the
// words'.
func (c promptContext) prefix(tok text.Tokenizer) (prefix string, ids []int32, first, last int, err error) {
	blanks := strings.TrimSuffix(strings.Repeat("X ", c.blank), " ")
	out, err := tok.Encode(blanks)
	if err != nil {
		return "", nil, 0, 0, err
	}
	prefix = strings.TrimSpace(blanks + " " + c.words)
	ids, err = tok.Encode(prefix)
	first = len(out) // an X is several tokens with some tokenizers
	last = first + c.vectors - c.blank
	switch {
	case err != nil:
		err = fmt.Errorf("words %q: %w", c.words, err)
	case len(ids) < last:
		err = fmt.Errorf("%q has %d tokens; %d context vectors want as many", c.words, len(ids)-first, last-first)
	}
	return prefix, ids, first, last, err
}

// embeddings are those of the words' tokens, behind zeros for what stands for none: [vectors, Width].
func (c promptContext) embeddings(m *CLIP) (*tensor.Tensor, error) {
	_, ids, first, last, err := c.prefix(m.Tokenizer)
	if err != nil {
		return nil, err
	}
	t := autograd.NoGrad(m.Device)
	defer t.Release()
	x := m.Device.Zeros(tensor.Full, c.vectors, m.Text.Width)
	tensor.Copy(x.Rows(c.blank, c.vectors), m.Text.Embeddings(t, ids[first:last]).Value)
	return x, nil
}

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
// Words are tokenised with the name, and as many of their tokens as there are vectors are left out for these: where a word is
// several tokens, some of it stays, which is what the published programs do. Where padding has an influence, prompts are padded as
// texts are, and have nothing in common if every token sees all.
func (c promptContext) prompts(m *CLIP, classes []string) (all []prompt, shared int, err error) {
	if m.Text.CLS || m.Text.Pool == text.PoolFirst && !m.Text.Full {
		return nil, 0, fmt.Errorf("contexts are learned for text encoders whose feature is that of a token of the text which sees the others; this one's is that of a token " +
			"behind the text (CoCa), or of the first, which sees none. r-amt, vpt-deep, clip-lora and what learns on features do train on such a model")
	}
	prefix, before, _, last, err := c.prefix(m.Tokenizer)
	if err != nil {
		return nil, 0, err
	}
	first := m.Tokenizer.Before()
	for i, class := range classes {
		line := prefix + " " + name(class) + "."
		// What of the prefix is no vectors needs no room.
		ids, err := m.Tokenizer.Tokenize(line, m.Text.Context+last-c.vectors, false)
		if err != nil {
			return nil, 0, fmt.Errorf("class %q: %w", class, err)
		}
		of, err := nameTokens(m.Tokenizer, prefix, before, class)
		if err != nil {
			return nil, 0, err
		}
		own := 0
		if c.specific {
			own = i * c.vectors
		}
		var vectors prompt
		for k := range c.vectors {
			vectors = append(vectors, vector(own+k))
		}
		start, rest, half := tokens(ids[:first]), tokens(ids[first+last:]), c.vectors/2
		var p prompt
		switch c.position {
		case "end":
			p, shared = join(start, vectors, rest), first+c.vectors
		case "middle":
			p, shared = join(start, vectors[:half], rest[:of], vectors[half:], rest[of:]), first+half
		case "front":
			p, shared = join(start, rest[:of], vectors, rest[of:]), first
		}
		if m.Text.Padded() {
			p = join(p, slices.Repeat(prompt{token(m.Text.Pad)}, m.Text.Context-len(p)))
		}
		all = append(all, p)
	}
	if c.specific {
		shared = first
	}
	if m.Text.Full {
		shared = 0
	}
	return all, shared, nil
}

// nameTokens is how many tokens a class name has between the prefix, whose tokens are before, and the full stop. With a
// tokenizer whose tokens cross words' ends the stop may be joined to the name; they are the name's then.
func nameTokens(tok text.Tokenizer, prefix string, before []int32, class string) (int, error) {
	named, err := tok.Encode(prefix + " " + name(class))
	if err != nil {
		return 0, fmt.Errorf("class %q: %w", class, err)
	}
	all, err := tok.Encode(prefix + " " + name(class) + ".")
	if err != nil {
		return 0, fmt.Errorf("class %q: %w", class, err)
	}
	switch {
	case !begins(all, before):
		return 0, fmt.Errorf("class %q: its first letters are joined to the words %q before it, which leaves no place for vectors between", class, prefix)
	case !begins(named, before) || !begins(all, named):
		return len(all) - len(before), nil
	}
	return len(named) - len(before), nil
}

func begins(ids, with []int32) bool {
	return len(ids) >= len(with) && slices.Equal(ids[:len(with)], with)
}

// layout has the prompts of classes.
func (c promptContext) layout(m *CLIP, classes []string) (*texts, error) {
	prompts, shared, err := c.prompts(m, classes)
	if err != nil {
		return nil, err
	}
	x := newTexts(m.Text, []family{{shared, prompts}}, chunkRows)
	x.first = m.Tokenizer.Before()
	return x, nil
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
	first   int // where a context at the beginning of all texts begins
}

// chunk is texts whose activations are in memory at a time.
type chunk struct {
	layout *text.Layout
	table  []int32 // row of the table, by row of the layout
}

// chunkRows is about how many tokens are kept in memory for a sweep: a quarter of a gigabyte in CLIP's smaller text encoder.
var chunkRows = 1024 // tests have others

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
	if e.Full {
		x.apart(families, row, most)
	} else {
		x.continued(families, row, most)
	}
	return x
}

// apart lays out prompts of which every token sees all, and which are of one length therefore.
func (x *texts) apart(families []family, row func(int32) int32, most int) {
	var all []prompt
	for _, f := range families {
		all = append(all, f.prompts...)
	}
	x.n = len(all)
	for part := range slices.Chunk(all, max(1, most/x.encoder.Context)) {
		var c chunk
		var ends []int32
		for _, p := range part {
			ids := make([]int32, len(p))
			for i, r := range p {
				ids[i] = -1 - r // below 0 for a vector
				c.table = append(c.table, row(r))
			}
			ends = append(ends, int32(x.encoder.End(ids)))
		}
		c.layout = text.Apart(x.encoder.Context, ends)
		x.chunks = append(x.chunks, c)
	}
}

// continued lays out prompts that share what is before them.
func (x *texts) continued(families []family, row func(int32) int32, most int) {
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
}

// features are those of all texts, [n, Embed], not normalised. vectors are the learned ones, [m, Width].
func (x *texts) features(t *autograd.Tape, vectors *autograd.Var) *autograd.Var {
	return x.deep(vectors, nil)
}

// deep is features with prompts at each depth: what has become of the context is replaced before block i+1 by
// deeper[i], [n, Width]. It must be at the beginning of all texts, and shared by them where anything is.
func (x *texts) deep(vectors *autograd.Var, deeper []*autograd.Var) *autograd.Var {
	encode := func(t *autograd.Tape, part int, in []*autograd.Var) *autograd.Var {
		c := x.chunks[part]
		rows := t.Scope(func() *autograd.Var {
			table := autograd.JoinTokens(x.encoder.Embeddings(t, x.ids), in[0])
			return x.encoder.Place(autograd.TakeRows(table, c.table), c.layout)
		})
		p := nn.Prompts{At: x.first}
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
