package subword

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// SentencePiece is a tokenizer that was read from a model of the library of that name. What it gives is what the
// library gives.
type SentencePiece struct {
	BOS, EOS, Pad int32 // ids of these control symbols; −1 where there are none

	pieces   []piece
	ids      map[string]int32 // pieces that texts are cut into
	reserved map[string]int32 // control symbols, bytes, and what is unknown
	bytes    [256]int32
	defined  []string // symbols that are never cut
	matcher  *matcher // of these
	unknown  int32
	fallback bool // to bytes, for what is unknown

	charsmap *charsmap
	prefix   bool // a space is put before the text, or behind it if suffix
	suffix   bool
	trim     bool // spaces at the ends are dropped, runs of them become one
	escapes  bool // spaces become ▁

	uni   *unigram // nil in a BPE model
	ranks []int32  // of pieces in a BPE model, the one of the best score first
}

const space = "▁"

var _ Tokenizer = (*SentencePiece)(nil)

// Unigram says whether the model is one; otherwise it is a BPE model.
func (s *SentencePiece) Unigram() bool { return s.uni != nil }

// Size is the number of pieces.
func (s *SentencePiece) Size() int { return len(s.pieces) }

// Around is nothing: what stands around a text's ids no model says.
func (s *SentencePiece) Around() (before, behind []int32) { return nil, nil }

// ID is a piece's.
func (s *SentencePiece) ID(piece string) (int32, bool) {
	if id, ok := s.reserved[piece]; ok {
		return id, true
	}
	id, ok := s.ids[piece]
	return id, ok
}

// newUnigram is the model behind the normalizer.
func (s *SentencePiece) newUnigram() *unigram {
	const least, most = 0x1p-126, 0x1p127 * (1 + (1 - 0x1p-23)) // what the library begins to look for the largest and the smallest with
	worst, best := float32(most), float32(least)
	u := &unigram{ids: make(map[string]int32, len(s.ids)), unknown: s.unknown, single: true}
	for text, id := range s.ids {
		p := s.pieces[id]
		if p.kind == normal {
			worst, best = min(worst, p.score), max(best, p.score)
		}
		if p.kind != unused {
			u.ids[text] = id
			u.longest = max(u.longest, len(text))
		}
	}
	u.penalty = float64(worst - unknownPenalty)
	u.score = func(id int32, bytes int) float64 {
		if p := s.pieces[id]; p.kind == userDefined { // more than anything else can score, so that it is always taken
			return float64(float32(bytes)*best) - 0.1
		}
		return float64(s.pieces[id].score)
	}
	return u
}

// rankPieces orders pieces by score; those of equal scores have equal ranks.
func (s *SentencePiece) rankPieces() {
	order := make([]int32, len(s.pieces))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(s.pieces[b].score, s.pieces[a].score) })
	s.ranks = make([]int32, len(order))
	rank := int32(0)
	for i, id := range order {
		if i > 0 && s.pieces[id].score != s.pieces[order[i-1]].score {
			rank++
		}
		s.ranks[id] = rank
	}
}

// Append appends the ids of a text.
func (s *SentencePiece) Append(ids []int32, text string) []int32 {
	text = s.normalize(text)
	wasUnknown := false
	add := func(piece string, id int32) {
		unknown := id == s.unknown
		switch {
		case unknown && s.fallback:
			for i := range len(piece) {
				ids = append(ids, s.bytes[piece[i]])
			}
		case unknown && wasUnknown: // a run of them is one
		default:
			ids = append(ids, id)
		}
		wasUnknown = unknown
	}
	if s.uni != nil {
		for _, c := range s.uni.best(text) {
			add(text[c.from:c.to], c.id)
		}
	} else {
		s.merge(text, add)
	}
	return ids
}

// normalize prepares a text as the library does: rules of the charsmap, spaces dropped and written as ▁, one put
// before the text.
func (s *SentencePiece) normalize(text string) string {
	if s.trim {
		for text != "" {
			n, by := s.next(text)
			if by != " " {
				break
			}
			text = text[n:]
		}
	}
	if text == "" {
		return ""
	}
	blank := " "
	if s.escapes {
		blank = space
	}
	var b strings.Builder
	b.Grow(len(text) + len(text)/2)
	if s.prefix && !s.suffix {
		b.WriteString(blank)
	}
	afterSpace := s.trim
	for text != "" {
		n, by := s.next(text)
		text = text[n:]
		if afterSpace {
			by = strings.TrimLeft(by, " ")
		}
		if by != "" {
			if s.escapes {
				b.WriteString(strings.ReplaceAll(by, " ", space))
			} else {
				b.WriteString(by)
			}
			afterSpace = strings.HasSuffix(by, " ")
		}
		if !s.trim {
			afterSpace = false
		}
	}
	out := b.String()
	if s.trim {
		for strings.HasSuffix(out, blank) {
			out = strings.TrimSuffix(out, blank)
		}
	}
	if s.prefix && s.suffix {
		out += blank
	}
	return out
}

// next is what the next n bytes of a text become.
func (s *SentencePiece) next(text string) (n int, by string) {
	if n, _ := s.matcher.match(text); n > 0 {
		return n, text[:n]
	}
	if n, by := s.charsmap.longest(text); n > 0 {
		return n, by
	}
	_, n = utf8.DecodeRuneInString(text)
	return n, text[:n]
}

// merge cuts a text by byte-pair encoding: of all neighbours that make a piece those are joined first whose piece has
// the best score, and of equal ones the leftmost. What comes out that is no longer in use is taken apart again.
func (s *SentencePiece) merge(text string, add func(piece string, id int32)) {
	type symbol struct {
		from, to   int // bytes of the text
		prev, next int32
		whole      bool // never joined
	}
	var symbols []symbol
	for at := 0; at < len(text); {
		n, _ := s.matcher.match(text[at:])
		whole := n > 0
		if !whole {
			_, n = utf8.DecodeRuneInString(text[at:])
		}
		k := int32(len(symbols))
		symbols = append(symbols, symbol{at, at + n, k - 1, k + 1, whole})
		at += n
	}
	if len(symbols) == 0 {
		return
	}
	symbols[len(symbols)-1].next = -1

	apart := make(map[string]int) // where pieces that are not in use were joined
	var queue Queue
	// joined is the piece that the symbol at a place makes with the next one.
	joined := func(at int32) (id int32, ok bool) {
		x := symbols[at]
		if x.from == x.to || x.next < 0 || x.whole || symbols[x.next].whole {
			return 0, false
		}
		id, ok = s.ids[text[x.from:symbols[x.next].to]]
		return id, ok
	}
	offer := func(at int32) {
		if at < 0 {
			return
		}
		if id, ok := joined(at); ok {
			queue.Push(NewCandidate(s.ranks[id], at))
			if s.pieces[id].kind == unused {
				x := symbols[at]
				apart[text[x.from:symbols[x.next].to]] = x.to - x.from
			}
		}
	}
	for i := range symbols {
		offer(int32(i))
	}
	for len(queue) > 0 {
		c := queue.Pop()
		at := c.At()
		if id, ok := joined(at); !ok || s.ranks[id] != c.Rank() {
			continue // an earlier one took one of the two
		}
		x := &symbols[at]
		right := &symbols[x.next]
		x.to, x.next = right.to, right.next
		right.from, right.next = right.to, -1
		if x.next >= 0 {
			symbols[x.next].prev = at
		}
		offer(x.prev)
		offer(at)
	}
	var emit func(piece string)
	emit = func(piece string) {
		id, ok := s.ID(piece)
		if !ok {
			id = s.unknown
		}
		if n := apart[piece]; ok && n > 0 && s.pieces[id].kind == unused {
			emit(piece[:n])
			emit(piece[n:])
			return
		}
		add(piece, id)
	}
	for at := int32(0); at >= 0; at = symbols[at].next {
		emit(text[symbols[at].from:symbols[at].to])
	}
}

// Decode is the text that ids spell.
func (s *SentencePiece) Decode(ids []int32) string {
	var b []byte
	for _, id := range ids {
		if id < 0 || int(id) >= len(s.pieces) {
			b = utf8.AppendRune(b, utf8.RuneError)
			continue
		}
		p := s.pieces[id]
		if p.kind == byteOf {
			of, _ := byteNamed(p.text)
			b = append(b, of)
			continue
		}
		b = append(b, p.text...)
	}
	return plain(b)
}

// plain is what pieces spell, with spaces again, and what is no UTF-8 replaced.
func plain(b []byte) string {
	s := strings.ToValidUTF8(string(b), string(utf8.RuneError))
	return strings.TrimPrefix(strings.ReplaceAll(s, space, " "), " ")
}

// String says what the model is.
func (s *SentencePiece) String() string {
	kind := "BPE"
	if s.uni != nil {
		kind = "unigram"
	}
	return fmt.Sprintf("SentencePiece, %s, %d pieces", kind, len(s.pieces))
}
