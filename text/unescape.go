package text

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unescapeHTML is Python's html.unescape: HTML 5's rules for character references, with or without the semicolon.
func unescapeHTML(s string) string {
	return replaceReferences(s, reference)
}

// unescapeEntities is ftfy's more careful unescape_html: only references that end in a semicolon, and also named ones
// that were upper-cased by mistake, such as &EACUTE;, where that is not another name.
func unescapeEntities(s string) string {
	return replaceReferences(s, entity)
}

// replaceReferences replaces every reference that resolve finds. Given a string that starts with '&', resolve returns
// the text that its first n bytes stand for; n is 0 if they are no reference.
func replaceReferences(s string, resolve func(s string) (text string, n int)) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		plain, _, found := strings.Cut(s, "&")
		b.WriteString(plain)
		if !found {
			return b.String()
		}
		s = s[len(plain):]
		text, n := resolve(s)
		if n == 0 {
			text, n = "&", len("&")
		}
		b.WriteString(text)
		s = s[n:]
	}
}

// reference resolves the HTML 5 character reference that s starts with.
func reference(s string) (text string, n int) {
	if strings.HasPrefix(s, "&#") {
		return numericReference(s)
	}
	return namedReference(s)
}

// entity resolves the reference that s starts with if ftfy would.
func entity(s string) (text string, n int) {
	const longest = 24 // ftfy's limit on the name
	start := len("&")
	if strings.HasPrefix(s, "&#") {
		start = len("&#")
	}
	name := s[start:]
	name = name[:alnumLen(name)]
	end := start + len(name)
	if len(name) == 0 || len(name) > longest || !strings.HasPrefix(s[end:], ";") {
		return "", 0
	}
	s = s[:end+len(";")]

	text, n = reference(s)
	if n > 0 {
		// A semicolon in the text is one that was left over: the name only begins with a known one, or the number has
		// letters behind it. (ftfy counts &#59; among these.)
		if n < len(s) || strings.HasSuffix(text, ";") && s != "&semi;" {
			return "", 0
		}
		return text, n
	}
	if start == len("&#") || name != strings.ToUpper(name) {
		return "", 0
	}
	small := strings.ToLower(s)
	text, n = namedReference(small)
	switch {
	case n == 0 || strings.HasSuffix(text, ";") && small != "&semi;":
		return "", 0
	case text == "ß":
		return "SS", n // alone among these references it has no single upper-case letter and is no ligature
	}
	return strings.ToUpper(text), n
}

// numericReference resolves the numeric reference that s, which starts with "&#", starts with.
func numericReference(s string) (text string, n int) {
	n = len("&#")
	base, alphabet := 10, "0123456789"
	if strings.HasPrefix(s[n:], "x") || strings.HasPrefix(s[n:], "X") {
		n++
		base, alphabet = 16, "0123456789abcdefABCDEF"
	}
	digits := s[n : len(s)-len(strings.TrimLeft(s[n:], alphabet))]
	if digits == "" {
		return "", 0
	}
	n += len(digits)
	if strings.HasPrefix(s[n:], ";") {
		n++
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		code = utf8.MaxRune + 1 // the digits are digits: it is out of range
	}
	return codePoint(uint32(code)), n
}

// codePoint is the text of a numeric reference, by the HTML 5 standard and, where that calls a number an error, by what
// Python makes of it.
func codePoint(code uint32) string {
	switch {
	case code == 0, 0xD800 <= code && code <= 0xDFFF, code > utf8.MaxRune:
		return string(utf8.RuneError)
	case 0x80 <= code && code <= 0x9F:
		return string(windows1252[code-0x80])
	case code < 0x09, code == 0x0B, 0x0E <= code && code <= 0x1F, code == 0x7F, // controls
		0xFDD0 <= code && code <= 0xFDEF, code&0xFFFE == 0xFFFE: // no characters
		return ""
	}
	return string(rune(code))
}

// windows1252 is what bytes 0x80 to 0x9F are in the encoding that took the place of Latin-1's control characters; bytes
// that it leaves out stay what they are.
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

// namedReference resolves the named reference that s, which starts with '&', starts with. A name that only begins with a
// known one, as in &notit; or &times3, resolves to what that stands for and the rest of the name, as in HTML 5. The names
// are those of package html.
func namedReference(s string) (text string, n int) {
	n = len("&") + alnumLen(s[len("&"):])
	if strings.HasPrefix(s[n:], ";") {
		n++
	}
	switch s[:n] {
	case "&nGt;": // these two are missing from package html
		return "\u226b\u20d2", n
	case "&nLt;":
		return "\u226a\u20d2", n
	}
	text = html.UnescapeString(s[:n])
	if text == s[:n] {
		return "", 0
	}
	return text, n
}

// alnumLen is the length of the run of ASCII letters and digits that s starts with.
func alnumLen(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		default:
			return i
		}
	}
	return len(s)
}
