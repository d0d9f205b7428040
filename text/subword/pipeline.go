package subword

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pipeline is a tokenizer of Hugging Face's library of that name: added tokens are cut out of the text, what is left
// goes through normalizers, is split, and every split is cut into pieces by a model.
type Pipeline struct {
	Pad int32 // the id of padding, −1 where the file does not say

	pieces    []string         // by id; "" where there is none
	ids       map[string]int32 // of the model's pieces
	added     []added          // those that are looked for before normalization
	late      []added          // those after it
	rawMatch  *matcher
	lateMatch *matcher
	normalize []func(string) string
	split     []func(splits []split) []split
	model     func(ids []int32, piece string) []int32
	before    []int32
	behind    []int32
	wordPiece bool
	unigram   bool
}

// An added token is one that is not left to the model.
type added struct {
	text           string
	id             int32
	lstrip, rstrip bool // it takes the white space before it, behind it
}

// A split is a part of a text.
type split struct {
	text  string
	first bool // it begins where the text begins
}

var _ Tokenizer = (*Pipeline)(nil)

// Size is the number of the model's pieces, without tokens that were added behind them.
func (p *Pipeline) Size() int { return len(p.ids) }

// Unigram says whether the model is one.
func (p *Pipeline) Unigram() bool { return p.unigram }

// Around are the ids that the file's post-processor puts around a text.
func (p *Pipeline) Around() (before, behind []int32) {
	return slices.Clone(p.before), slices.Clone(p.behind)
}

// ID is a piece's, or an added token's.
func (p *Pipeline) ID(piece string) (int32, bool) {
	if id, ok := p.ids[piece]; ok {
		return id, true
	}
	for id := len(p.pieces) - 1; id >= len(p.ids); id-- { // added behind the model's
		if p.pieces[id] == piece {
			return int32(id), true
		}
	}
	return 0, false
}

// Append appends the ids of a text.
func (p *Pipeline) Append(ids []int32, text string) []int32 {
	cutAdded(text, p.added, p.rawMatch, true, func(part string, id int32, first bool) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		for _, f := range p.normalize {
			part = f(part)
		}
		cutAdded(part, p.late, p.lateMatch, first, func(part string, id int32, first bool) {
			if id >= 0 {
				ids = append(ids, id)
				return
			}
			splits := []split{{part, first}}
			for _, f := range p.split {
				splits = f(splits)
			}
			for _, s := range splits {
				ids = p.model(ids, s.text)
			}
		})
	})
	return ids
}

// cutAdded cuts added tokens out of a text: the leftmost first, and of those that begin at one place the longest. id
// is −1 for what is between them. first says whether the text itself is the beginning of all.
func cutAdded(text string, tokens []added, m *matcher, first bool, f func(part string, id int32, first bool)) {
	from := 0
	for at := 0; at < len(text); {
		n, i := m.match(text[at:])
		if n == 0 {
			at++
			continue
		}
		a, left, right := tokens[i], at, at+n
		if a.lstrip {
			left = max(from, len(strings.TrimRightFunc(text[:at], unicode.IsSpace)))
		}
		if a.rstrip {
			right = len(text) - len(strings.TrimLeftFunc(text[right:], unicode.IsSpace))
		}
		if from < left {
			f(text[from:left], -1, first && from == 0)
		}
		f("", a.id, false)
		from = right
		at = right
	}
	if from < len(text) {
		f(text[from:], -1, first && from == 0)
	}
}

// Decode is the text that ids spell.
func (p *Pipeline) Decode(ids []int32) string {
	var b []byte
	for i, id := range ids {
		if id < 0 || int(id) >= len(p.pieces) || p.pieces[id] == "" {
			b = utf8.AppendRune(b, utf8.RuneError)
			continue
		}
		s := p.pieces[id]
		if of, ok := byteNamed(s); ok {
			b = append(b, of)
			continue
		}
		if p.wordPiece {
			if rest, ok := strings.CutPrefix(s, continuation); ok {
				s = rest
			} else if i > 0 {
				b = append(b, ' ')
			}
		}
		b = append(b, s...)
	}
	return plain(b)
}

// unigramPieces is the Unigram model: pieces of the best cut, unknown characters in a run as one, or, with byte
// fallback, as bytes.
func (p *Pipeline) unigramPieces(u *unigram, bytes *[256]int32) func([]int32, string) []int32 {
	return func(ids []int32, s string) []int32 {
		cuts := u.best(s)
		for i := 0; i < len(cuts); {
			if cuts[i].id != u.unknown {
				ids = append(ids, cuts[i].id)
				i++
				continue
			}
			from := cuts[i].from
			for i < len(cuts) && cuts[i].id == u.unknown {
				i++
			}
			run := s[from:cuts[i-1].to]
			if id, ok := p.ids[run]; ok { // a run may happen to spell a piece
				ids = append(ids, id)
				continue
			}
			ids = appendUnknown(ids, run, u.unknown, bytes)
		}
		return ids
	}
}

// appendUnknown appends what stands for unknown text: its bytes, where the vocabulary has them all, or one id.
func appendUnknown(ids []int32, run string, unknown int32, bytes *[256]int32) []int32 {
	if spelt := spell(nil, run, bytes); spelt != nil {
		return append(ids, spelt...)
	}
	return append(ids, unknown)
}

// spell are the ids of a text's bytes; nil where the vocabulary does not have them all.
func spell(ids []int32, text string, bytes *[256]int32) []int32 {
	if bytes == nil {
		return nil
	}
	for i := range len(text) {
		if bytes[text[i]] < 0 {
			return nil
		}
		ids = append(ids, bytes[text[i]])
	}
	return ids
}

// byteIDs are the ids of the 256 bytes' pieces; −1 where one is missing.
func (p *Pipeline) byteIDs() *[256]int32 {
	const digits = "0123456789ABCDEF"
	var bytes [256]int32
	for b := range bytes {
		bytes[b] = -1
		if id, ok := p.ids["<0x"+digits[b>>4:b>>4+1]+digits[b&15:b&15+1]+">"]; ok {
			bytes[b] = id
		}
	}
	return &bytes
}

// merges is the BPE model.
type merges struct {
	rank    map[[2]int32]int32 // of a pair
	makes   []int32            // what the merge of a rank makes
	unknown int32              // −1 without
	fuse    bool               // a run of unknown characters is one
}

// bpePieces is the BPE model: characters, or where there is no piece for one its bytes, merged pair by pair.
func (p *Pipeline) bpePieces(m *merges, bytes *[256]int32) func([]int32, string) []int32 {
	return func(ids []int32, s string) []int32 {
		type symbol struct{ id, prev, next int32 }
		var symbols []symbol
		add := func(id int32) {
			n := int32(len(symbols))
			symbols = append(symbols, symbol{id, n - 1, n + 1})
		}
		pending := false // an unknown character, or a run of them, that has yet to be added
		flush := func() {
			if pending {
				add(m.unknown)
			}
			pending = false
		}
		for i, r := range s {
			char := s[i : i+utf8.RuneLen(r)]
			if id, ok := p.ids[char]; ok {
				flush()
				add(id)
			} else if spelt := spell(nil, char, bytes); spelt != nil {
				for _, id := range spelt { // before what is pending, as the library does it
					add(id)
				}
			} else if m.unknown >= 0 {
				if !m.fuse {
					flush()
				}
				pending = true
			}
		}
		flush()
		if len(symbols) == 0 {
			return ids
		}
		symbols[len(symbols)-1].next = -1

		var queue Queue
		offer := func(at int32) {
			if at < 0 || symbols[at].next < 0 {
				return
			}
			if rank, ok := m.rank[[2]int32{symbols[at].id, symbols[symbols[at].next].id}]; ok {
				queue.Push(NewCandidate(rank, at))
			}
		}
		for i := range symbols {
			offer(int32(i))
		}
		const gone = -1
		for len(queue) > 0 {
			c := queue.Pop()
			x := &symbols[c.At()]
			if x.id == gone || x.next < 0 {
				continue
			}
			right := &symbols[x.next]
			if rank, ok := m.rank[[2]int32{x.id, right.id}]; !ok || m.makes[rank] != m.makes[c.Rank()] {
				continue // an earlier one took one of the two
			}
			x.id, x.next = m.makes[c.Rank()], right.next
			right.id = gone
			if x.next >= 0 {
				symbols[x.next].prev = c.At()
			}
			offer(x.prev)
			offer(c.At())
		}
		for at := int32(0); at >= 0; at = symbols[at].next {
			ids = append(ids, symbols[at].id)
		}
		return ids
	}
}

// metaspace writes spaces as ▁, puts one before a split, and splits before each.
func metaspace(always, first, cut bool) func([]split) []split {
	return func(in []split) (out []split) {
		for _, s := range in {
			text := strings.ReplaceAll(s.text, " ", space)
			if (always || first && s.first) && !strings.HasPrefix(text, space) {
				text = space + text
			}
			if !cut {
				out = append(out, split{text, s.first})
				continue
			}
			for begin := true; text != ""; begin = false {
				n := strings.Index(text[1:], space) + 1
				if n == 0 {
					n = len(text)
				}
				out = append(out, split{text[:n], s.first && begin})
				text = text[n:]
			}
		}
		return out
	}
}

// onWhiteSpace splits at white space, which it drops.
func onWhiteSpace(in []split) (out []split) {
	for _, s := range in {
		rest := s.text
		for {
			begin := len(rest) == len(s.text)
			trimmed := strings.TrimLeftFunc(rest, unicode.IsSpace)
			if trimmed == "" {
				break
			}
			n := strings.IndexFunc(trimmed, unicode.IsSpace)
			if n < 0 {
				n = len(trimmed)
			}
			out = append(out, split{trimmed[:n], s.first && begin && len(trimmed) == len(rest)})
			rest = trimmed[n:]
		}
	}
	return out
}

// behindSpaces splits behind each space.
func behindSpaces(in []split) (out []split) {
	for _, s := range in {
		begin := s.first
		for part := range strings.SplitAfterSeq(s.text, " ") {
			if part != "" {
				out = append(out, split{part, begin})
			}
			begin = false
		}
	}
	return out
}
