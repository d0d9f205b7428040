package text

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// clean prepares a text as OpenAI's tokenizer does: glitches repaired, HTML references resolved twice, white space
// collapsed to single spaces and stripped at the ends, lower-cased. [BPE.Encode] tells where it differs.
func clean(s string) (string, error) {
	if err := readable(s); err != nil {
		return "", err
	}
	return lower(oneSpace(repaired(s))), nil
}

// readable refuses what is too long, or not UTF-8.
func readable(s string) error {
	if len(s) > MaxTextBytes {
		return &TextError{s, fmt.Sprintf("is %d bytes long, more than the %d that are tokenized: shorten it",
			len(s), MaxTextBytes)}
	}
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return &TextError{s, fmt.Sprintf("is not UTF-8 at byte %d: save its source as UTF-8", i)}
		}
	}
	return nil
}

// repaired is a text with its glitches repaired and HTML references resolved twice.
func repaired(s string) string { return unescapeHTML(unescapeHTML(fixText(s))) }

// oneSpace collapses white space, and strips it at the ends.
func oneSpace(s string) string { return strings.Join(strings.FieldsFunc(s, pythonSpace), " ") }

// pythonSpace tells what Python takes for white space: Unicode's, and four control characters that separate files and
// records.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || 0x1C <= r && r <= 0x1F }

// fixText is ftfy.fix_text without the repair of mojibake (fix_encoding=False). It works line by line; the first line
// with a '<' makes it take this and all further text for HTML, whose references it leaves alone.
func fixText(s string) string {
	var b strings.Builder
	entities := true
	for line := range strings.Lines(s) {
		entities = entities && !strings.Contains(line, "<")
		b.WriteString(fixLine(line, entities))
	}
	return b.String()
}

// fixLine repeats ftfy's steps, in ftfy's order, until nothing changes: one can uncover work for another, as the
// full-width ＆ in "＆eacute;" does. Every round but the last resolves a reference, which shortens the text, or takes
// characters away that no step makes, so that it ends.
func fixLine(s string, entities bool) string {
	for {
		before := s
		if entities {
			s = unescapeEntities(s)
		}
		s = fixC1Controls(s)
		s = latinLigatures.Replace(s)
		s = fixCharacterWidth(s)
		s = curlyQuotes.Replace(s)
		s = lineBreaks.Replace(s)
		s = terminalEscape.ReplaceAllString(s, "")
		s = strings.Map(dropControl, s)
		s = norm.NFC.String(s)
		if s == before {
			return s
		}
	}
}

// fixC1Controls takes Latin-1's control characters for what Windows-1252 has in their place, as web browsers do.
func fixC1Controls(s string) string {
	return strings.Map(func(r rune) rune {
		if 0x80 <= r && r <= 0x9F {
			return windows1252[r-0x80]
		}
		return r
	}, s)
}

// latinLigatures takes apart Latin ligatures and digraphs that are one character for typographic or legacy reasons.
// Letters such as æ are none.
var latinLigatures = strings.NewReplacer(
	"ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "ſt", "ﬆ", "st",
	"Ĳ", "IJ", "ĳ", "ij", "ŉ", "ʼn",
	"Ǳ", "DZ", "ǲ", "Dz", "ǳ", "dz", "Ǆ", "DŽ", "ǅ", "Dž", "ǆ", "dž",
	"Ǉ", "LJ", "ǈ", "Lj", "ǉ", "lj", "Ǌ", "NJ", "ǋ", "Nj", "ǌ", "nj",
)

// fixCharacterWidth gives half-width and full-width characters, and the ideographic space, their ordinary form.
func fixCharacterWidth(s string) string {
	if !strings.ContainsFunc(s, hasWidth) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\u3000':
			b.WriteByte(' ')
		case hasWidth(r):
			b.WriteString(norm.NFKC.String(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hasWidth tells characters of the block of half-width and full-width forms, and the ideographic space.
func hasWidth(r rune) bool {
	return r == '\u3000' || '\uff01' <= r && r <= '\uffef'
}

var curlyQuotes = strings.NewReplacer(
	"\u02bc", "'", "\u2018", "'", "\u2019", "'", "\u201a", "'", "\u201b", "'",
	"\u201c", `"`, "\u201d", `"`, "\u201e", `"`, "\u201f", `"`,
)

var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u0085", "\n")

// terminalEscape is what colours text in a terminal. The digits are Unicode's, as in Python.
var terminalEscape = regexp.MustCompile(`\x1b\[[\p{Nd};]*[a-zA-Z]`)

// dropControl drops, for strings.Map, control characters that no text is meant to hold: ASCII's except white space,
// deprecated Arabic ones, annotation marks, the object replacement character and the byte order mark. Those that shape
// text, such as joiners and direction marks, stay.
func dropControl(r rune) rune {
	const drop = -1
	switch {
	case r == '\t', r == '\n', r == '\f', r == '\r':
		return r
	case r < 0x20, r == 0x7F, 0x206A <= r && r <= 0x206F, r == 0xFEFF, 0xFFF9 <= r && r <= 0xFFFC:
		return drop
	}
	return r
}
