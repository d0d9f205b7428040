package subword

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"fewshot/nn/quote"
)

// continuation begins a piece that is not the first of its word.
const continuation = "##"

// maxWord is how many characters a word may have; a longer one is unknown.
const maxWord = 100

// bertNormalizer is BERT's: control characters dropped, white space made spaces, Chinese characters words of their
// own, accents dropped, lower case.
type bertNormalizer struct{ clean, chinese, accents, lower bool }

func (n bertNormalizer) apply(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case n.clean && (r == 0 || r == utf8.RuneError):
		case n.clean && (r == '\t' || r == '\n' || r == '\r'):
			b.WriteByte(' ')
		case n.clean && unicode.Is(unicode.C, r):
		case n.clean && unicode.IsSpace(r):
			b.WriteByte(' ')
		case n.chinese && chinese(r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	s = b.String()
	if n.accents {
		s = stripAccents(norm.NFD.String(s))
	}
	if n.lower {
		s = lowercase(s)
	}
	return s
}

// chinese are the blocks of CJK ideographs that BERT's authors chose.
func chinese(r rune) bool {
	for _, block := range [...][2]rune{{0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
		{0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF}, {0x2F800, 0x2FA1F}} {
		if block[0] <= r && r <= block[1] {
			return true
		}
	}
	return false
}

// stripAccents drops marks that take no room.
func stripAccents(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, s)
}

// lowercase is Unicode's lower case character by character: sigma has one form, and the dotted capital I becomes two
// characters.
func lowercase(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if r == 'İ' {
			b.WriteString("i\u0307")
			continue
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// bertSplit splits at white space, and makes each punctuation mark a split of its own.
func bertSplit(in []split) (out []split) {
	mark := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsPunct(r) || unicode.IsSymbol(r)) || unicode.IsPunct(r)
	}
	for _, s := range onWhiteSpace(in) {
		for text := s.text; text != ""; {
			n := strings.IndexFunc(text, mark)
			if n < 0 {
				n = len(text)
			} else if n == 0 {
				_, n = utf8.DecodeRuneInString(text)
			}
			out = append(out, split{text: text[:n]})
			text = text[n:]
		}
	}
	return out
}

// wordPieces cuts a word from the left into the longest pieces there are. Where it does not come out, the whole word
// is unknown.
func (p *Pipeline) wordPieces(unknown int32, most int) func([]int32, string) []int32 {
	longest := 0
	for _, s := range p.pieces {
		longest = max(longest, len(s))
	}
	return func(ids []int32, word string) []int32 {
		if utf8.RuneCountInString(word) > most {
			return append(ids, unknown)
		}
		begin := len(ids)
		for at := 0; at < len(word); {
			prefix := ""
			if at > 0 {
				prefix = continuation
			}
			n, found := min(len(word)-at, longest), false
			for ; n > 0; n-- {
				if at+n < len(word) && !utf8.RuneStart(word[at+n]) {
					continue
				}
				if id, ok := p.ids[prefix+word[at:at+n]]; ok {
					ids, found = append(ids, id), true
					break
				}
			}
			if !found {
				return append(ids[:begin], unknown)
			}
			at += n
		}
		return ids
	}
}

// ReadVocabTxt makes a tokenizer of BERT's vocab.txt, a piece a line, as BertTokenizer has it: uncased where lower
// says so. name names the file in errors, which are of type *[FileError].
func ReadVocabTxt(name string, data []byte, lower bool) (*Pipeline, error) {
	refuse := func(format string, a ...any) (*Pipeline, error) {
		return nil, &FileError{name, fmt.Sprintf(format, a...)}
	}
	if len(data) > MaxFile || !utf8.Valid(data) {
		return refuse("is larger than %d MiB, or not UTF-8: no vocab.txt is", MaxFile>>20)
	}
	p := &Pipeline{Pad: -1, ids: make(map[string]int32), wordPiece: true}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		switch _, twice := p.ids[line]; {
		case line == "" || len(line) > maxPiece:
			return refuse("line %d has no piece of 1 to %d bytes", len(p.pieces)+1, maxPiece)
		case twice:
			return refuse("line %d has %s, as a line above", len(p.pieces)+1, quote.String(line))
		case len(p.pieces) == maxPieces:
			return refuse("has more than %d lines", maxPieces)
		}
		p.ids[line] = int32(len(p.pieces))
		p.pieces = append(p.pieces, line)
	}
	var special [5]int32
	for i, s := range [...]string{"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"} {
		id, ok := p.ids[s]
		if !ok {
			return refuse("has no piece %s, as BERT's have", s)
		}
		special[i] = id
		p.added = append(p.added, added{text: s, id: id})
	}
	p.before, p.behind, p.Pad = special[1:2], special[2:3], special[3]
	p.normalize = []func(string) string{bertNormalizer{true, true, lower, lower}.apply}
	p.split = []func([]split) []split{bertSplit}
	p.model = p.wordPieces(special[0], maxWord)
	p.index()
	return p, nil
}

// index makes what added tokens are found by.
func (p *Pipeline) index() {
	texts := func(tokens []added) (all []string) {
		for _, a := range tokens {
			all = append(all, a.text)
		}
		return all
	}
	p.rawMatch, p.lateMatch = newMatcher(texts(p.added)), newMatcher(texts(p.late))
}
