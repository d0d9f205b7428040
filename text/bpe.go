package text

import "fewshot/text/subword"

// A pair is two neighbouring symbols of a word.
type pair struct{ left, right int32 }

// A merger applies a tokenizer's merges to one piece after another; it is kept so that its buffers are.
//
// Byte-pair encoding is defined by rounds: in each, the pair whose merge came first in the vocabulary is merged
// wherever it stands, left to right, until no neighbours merge. That takes a scan of the whole piece a round. Here
// every pair that can merge waits in a heap, ordered by merge and then by place, which takes n·log n for a piece of n
// bytes and comes to the same: what a merge makes takes part only in later merges of the vocabulary, so nothing that
// appears during a round can come before what is left of it.
type merger struct {
	word  []link
	queue subword.Queue
}

// A link is one symbol of a word, in a list that is doubly linked by index. A symbol that was merged into its left
// neighbour keeps its place with the id gone.
type link struct {
	id         int32
	prev, next int32 // none at the ends
}

const (
	none int32 = -1 // no neighbour
	gone int32 = -1 // no symbol; no merge joins it to anything
)

// appendIDs appends the ids of one piece to ids.
func (m *merger) appendIDs(ids []int32, t *BPE, piece string) []int32 {
	m.word, m.queue = m.word[:0], m.queue[:0]
	for i := range len(piece) {
		m.word = append(m.word, link{byteID[piece[i]], int32(i) - 1, int32(i) + 1})
	}
	last := len(m.word) - 1
	m.word[last].id += endOfWordIDs
	m.word[last].next = none

	for i := range last {
		m.offer(t, int32(i))
	}
	for len(m.queue) > 0 {
		c := m.queue.Pop()
		id, at := c.Rank(), c.At() // merges make ids in their order
		if now, ok := t.merged[m.pairAt(at)]; !ok || now != id {
			continue // an earlier merge took one of the two
		}
		m.join(at, id)
		m.offer(t, m.word[at].prev)
		m.offer(t, at)
	}

	for at := int32(0); at != none; at = m.word[at].next {
		ids = append(ids, m.word[at].id)
	}
	return ids
}

// pairAt is the symbol at a place and the one after it.
func (m *merger) pairAt(at int32) pair {
	w := m.word[at]
	if w.next == none {
		return pair{w.id, gone}
	}
	return pair{w.id, m.word[w.next].id}
}

// offer queues the merge of the pair at a place, if there is one.
func (m *merger) offer(t *BPE, at int32) {
	if at == none {
		return
	}
	if id, ok := t.merged[m.pairAt(at)]; ok {
		m.queue.Push(subword.NewCandidate(id, at))
	}
}

// join replaces the symbol at a place and the one after it by id.
func (m *merger) join(at, id int32) {
	w := m.word
	right := w[at].next
	w[at].id, w[at].next = id, w[right].next
	w[right].id = gone
	if after := w[at].next; after != none {
		w[after].prev = at
	}
}
