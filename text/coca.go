package text

import (
	"fewshot/autograd"
	"fewshot/nn"
)

// encodeWithCLS is Encode for CoCa's text encoder: behind the Context tokens of each padded text stands a token that
// sees all of them, and its feature is the text's.
//
// The published weights were trained with a mask that is shifted by one, which open_clip keeps for them: position j can
// be seen by those behind it if j is 0 or the id before j is no padding. So of the padding behind a text its first
// token takes part; a token behind an id that is that of padding ("!" in CLIP's vocabulary) does not; and the added
// token does not see itself unless the context is full. What nobody sees is left out of the sequence. A query that does
// not see itself is, to attention by sequences, one with the key and the value of the row before it.
func (e *Encoder) encodeWithCLS(t *autograd.Tape, texts [][]int32) *autograd.Var {
	l := &Layout{}
	var ids []int32
	type own struct{ first, n int }
	var rows []own
	full := make([]bool, len(texts))
	for i, text := range texts {
		r := own{first: l.rows}
		for j := range e.Context {
			if j > 0 && (j > len(text) || text[j-1] == e.Pad) {
				continue // of a text that is not full the first padding is seen, what follows is not
			}
			id := e.Pad
			if j < len(text) {
				id = text[j]
			}
			ids = append(ids, id)
			l.positions = append(l.positions, int32(j))
			l.rows++
			r.n++
		}
		l.groups = append(l.groups, autograd.Sequences{First: r.first, Count: 1, Len: r.n})
		full[i] = len(text) == e.Context && text[len(text)-1] != e.Pad
		rows = append(rows, r)
	}
	l.keys = make([]int32, l.rows, l.rows+len(texts))
	for r := range l.keys {
		l.keys[r] = int32(r)
	}
	for i, r := range rows {
		at, key, seen := l.rows, r.first+r.n-1, r.n-1
		if full[i] {
			key, seen = at, r.n
		}
		l.groups = append(l.groups, autograd.Sequences{First: at, Count: 1, Len: 1, Prefix: r.first, Shared: seen})
		l.keys = append(l.keys, int32(key))
		l.ends = append(l.ends, int32(at))
		l.positions = append(l.positions, int32(e.Context))
		l.rows++
	}
	x := t.Scope(func() *autograd.Var {
		words := e.Embeddings(t, ids)
		cls := autograd.TakeRows(autograd.Reshape(e.cls.On(t), 1, e.Width), make([]int32, len(texts)))
		all := autograd.JoinTokens(autograd.Reshape(words, 1, len(ids), e.Width), cls)
		return e.Place(autograd.Reshape(all, l.rows, e.Width), l)
	})
	return e.EncodeRows(x, l, nn.Prompts{})
}
