package subword

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A charsmap is SentencePiece's precompiled normalizer: rules that replace characters, or a few in a row, by others.
// They lie in a double array, the trie of the darts-clone library, whose leaves are places in a text of replacements
// that end in a zero byte.
type charsmap struct {
	units        []uint32
	replacements string
}

// maxRule bounds the bytes that a rule can match; those of Unicode's normal forms have a few characters.
const maxRule = 256

// newCharsmap takes a blob apart: the trie's length in bytes, the trie, the replacements. nil for an empty one.
func newCharsmap(blob []byte) (*charsmap, error) {
	if len(blob) == 0 {
		return nil, nil
	}
	if len(blob) < 4 {
		return nil, errors.New("the precompiled normalizer is cut off")
	}
	n := uint64(binary.LittleEndian.Uint32(blob))
	rest := blob[4:]
	if n%4 != 0 || n == 0 || n > uint64(len(rest)) {
		return nil, fmt.Errorf("the precompiled normalizer says that its trie has %d bytes, and %d follow", n, len(rest))
	}
	c := &charsmap{units: make([]uint32, n/4), replacements: string(rest[n:])}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(rest[4*i:])
	}
	if !utf8.ValidString(c.replacements) {
		return nil, errors.New("the precompiled normalizer replaces by what is not UTF-8")
	}
	if c.replacements != "" && !strings.HasSuffix(c.replacements, "\x00") {
		return nil, errors.New("the precompiled normalizer's last replacement has no end")
	}
	return c, nil
}

// rules calls f for each rule that s begins with, the shortest first, until f returns false: how many bytes it
// matches, and the replacement. A trie whose links lead out of it matches nothing further, and neither does one that
// leads out of the replacements.
func (c *charsmap) rules(s string, f func(n int, by string) bool) {
	offset := func(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
	at := offset(c.units[0])
	for i := range min(len(s), maxRule) {
		at ^= uint32(s[i])
		if uint64(at) >= uint64(len(c.units)) {
			return
		}
		u := c.units[at]
		if u&(1<<31|0xFF) != uint32(s[i]) {
			return
		}
		at ^= offset(u)
		if u>>8&1 == 0 {
			continue
		}
		if uint64(at) >= uint64(len(c.units)) {
			return
		}
		by, ok := c.replacement(c.units[at] &^ (1 << 31))
		if !ok || !f(i+1, by) {
			return
		}
	}
}

func (c *charsmap) replacement(at uint32) (string, bool) {
	if uint64(at) >= uint64(len(c.replacements)) || !utf8.RuneStart(c.replacements[at]) {
		return "", false
	}
	by := c.replacements[at:]
	return by[:strings.IndexByte(by, 0)], true
}

// longest is SentencePiece's choice: the longest rule that s begins with. n is 0 if there is none.
func (c *charsmap) longest(s string) (n int, by string) {
	if c == nil {
		return 0, ""
	}
	c.rules(s, func(m int, r string) bool {
		n, by = m, r
		return true
	})
	return n, by
}

// graphemes is the tokenizers library's way with the same rules: of each grapheme of less than six bytes the shortest
// rule that it begins with takes the place of all of it; of what remains each character is replaced by the rule that
// it begins with.
func (c *charsmap) graphemes(s string) string {
	first := func(s string) (by string, ok bool) {
		c.rules(s, func(_ int, r string) bool {
			by, ok = r, true
			return false
		})
		return by, ok
	}
	var b strings.Builder
	for s != "" {
		g := s[:graphemeLen(s)]
		s = s[len(g):]
		if len(g) < 6 {
			if by, ok := first(g); ok {
				b.WriteString(by)
				continue
			}
		}
		for _, r := range g {
			if by, ok := first(string(r)); ok {
				b.WriteString(by)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// graphemeLen is the length of the grapheme that s begins with, as far as those of less than six bytes go: a line
// break of two characters, or a character with the marks and joiners behind it (Unicode's annex 29). Longer ones,
// such as flags and families, are normalized character by character, however they are cut.
func graphemeLen(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	if r == '\r' && strings.HasPrefix(s[n:], "\n") {
		return 2
	}
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
		return n
	}
	for n < len(s) {
		r, m := utf8.DecodeRuneInString(s[n:])
		if !unicode.Is(unicode.M, r) && r != '\u200c' && r != '\u200d' {
			break
		}
		n += m
	}
	return n
}
