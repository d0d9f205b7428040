package text

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pieces cuts cleaned text into what is encoded on its own. It is, by hand, the pattern of OpenAI's tokenizer
//
//	<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
//
// matched again and again from the left, ignoring case: at each place the first alternative that matches is taken, and
// what matches none is skipped. So "'s" is a contraction wherever a piece may begin, but not in `"'s`, where the quotes
// are one run; and <|endoftext|> is no special token in "!<|endoftext|>".
func pieces(cleaned string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s := cleaned; s != ""; {
			n := pieceLen(s)
			if n == 0 {
				_, size := utf8.DecodeRuneInString(s)
				s = s[size:]
				continue
			}
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
	}
}

// pieceLen is the length in bytes of the piece that s begins with, 0 if its first character belongs to none.
func pieceLen(s string) int {
	for _, literal := range [...]string{startOfText, endOfText, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if n := foldedPrefixLen(s, literal); n > 0 {
			return n
		}
	}
	first, size := utf8.DecodeRuneInString(s)
	switch class := classify(first); class {
	case spaceClass:
		return 0
	case numberClass:
		return size
	default:
		end := strings.IndexFunc(s, func(r rune) bool { return classify(r) != class })
		if end < 0 {
			return len(s)
		}
		return end
	}
}

// foldedPrefixLen is the length in bytes of what literal matches at the start of s, ignoring case, or 0. Cleaned text
// has no capitals; of the letters that occur in the literals only s has another lower-case form, the long ſ.
func foldedPrefixLen(s, literal string) int {
	n := 0
	for i := range len(literal) {
		switch {
		case n < len(s) && s[n] == literal[i]:
			n++
		case literal[i] == 's' && strings.HasPrefix(s[n:], "ſ"):
			n += len("ſ")
		default:
			return 0
		}
	}
	return n
}

type charClass int

const (
	spaceClass charClass = iota
	letterClass
	numberClass
	otherClass
)

func classify(r rune) charClass {
	switch {
	case unicode.IsSpace(r):
		return spaceClass
	case unicode.IsLetter(r):
		return letterClass
	case unicode.IsNumber(r):
		return numberClass
	case r == '\u0345':
		// Combining iota below: a mark whose case variants are letters. Ignoring case, Python's regex module then counts
		// it neither as a letter nor as something else, and the pattern skips it as it does a space.
		return spaceClass
	}
	return otherClass
}
