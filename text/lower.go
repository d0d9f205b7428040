package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lower is Python's str.lower: Unicode's full lower-casing, which differs from strings.ToLower for the dotted capital I
// (two characters in lower case) and for sigma at the end of a word.
func lower(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(s[:i], s[i+len("Σ"):]):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord is Unicode's Final_Sigma condition for a sigma between before and after: next to it stands a cased letter
// before and none after, looking past characters that case ignores.
func endsWord(before, after string) bool {
	previous, _ := utf8.DecodeLastRuneInString(strings.TrimRightFunc(before, caseIgnorable))
	next, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(after, caseIgnorable))
	return cased(previous) && !cased(next) // at either end of the text RuneError, which is not cased
}

// caseIgnorable is Unicode's property Case_Ignorable (Unicode 3.13, D136): marks, format characters, modifiers, and the
// punctuation that stands within words (Word_Break = MidLetter, MidNumLet or Single_Quote).
func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a", r)
}

// cased is Unicode's property Cased (Unicode 3.13, D135).
func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}
