// Package quote shows on a terminal, and in messages, what strangers wrote: names of files, classes and tensors,
// prompts, texts out of files.
//
// Such text may hold escape sequences (ESC, or CSI as the one character U+009B) that move the cursor, change colours
// or the window's title; line breaks that forge a second message; overrides of the writing direction that show a name
// in another order than it has (CVE-2021-42574); and bytes that are no text at all. All of that comes out in the
// escapes of a Go string. What is printed otherwise comes out as it is: names in Chinese or Arabic, with accents or
// emoji, are readable.
//
// Whoever puts a stranger's text into a message uses [String] or [Plain]. Whoever prints messages prints their
// [Text], for those who forgot: escaping twice changes nothing.
//
// The package imports nothing of ours, so that everything may import it.
package quote

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxBytes bounds what one string takes of a message.
const maxBytes = 120

// String shows s in quotation marks with the escapes of a Go string, at most 120 bytes of it; of a longer one it says
// the length.
func String(s string) string {
	if q := strconv.Quote(s); len(q) <= maxBytes {
		return q
	}
	// A byte may take four (\x1b): cut s until what comes out has room.
	for n := min(len(s), maxBytes); ; n-- {
		for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
			n--
		}
		if q := strconv.Quote(s[:n]); len(q) <= maxBytes {
			return q + "… (" + strconv.Itoa(len(s)) + " bytes)"
		}
	}
}

// Plain shows an ordinary text as it is, and any other as [String] does but whole: for what a reader wants to copy,
// such as a path. What is empty, or begins or ends with a space, is not ordinary.
func Plain(s string) string {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\n\t") || Text(s) != s {
		return strconv.Quote(s)
	}
	return s
}

// Text escapes in s what could play tricks on a terminal, and leaves all else, line breaks and tabs among it: for
// whole messages.
func Text(s string) string {
	clean := true
	for i, r := range s {
		if tricky(r, s[i:]) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case !tricky(r, s[i:]):
			b.WriteRune(r)
		case r == utf8.RuneError:
			const hex = "0123456789abcdef"
			b.WriteString(`\x` + string(hex[s[i]>>4]) + string(hex[s[i]&15]))
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// tricky reports whether r, the first of rest, must not reach a terminal: control characters (C0, DEL, C1) but line
// breaks and tabs, line and paragraph separators, bytes that are not UTF-8, and format characters, which have no
// shape of their own: direction marks and overrides, tags, the byte order mark. Joiners (U+200C, U+200D) make what is
// written in Persian and many emoji, and stay.
func tricky(r rune, rest string) bool {
	switch {
	case r < utf8.RuneSelf:
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f
	case r == utf8.RuneError:
		_, n := utf8.DecodeRuneInString(rest)
		return n == 1
	case r == '\u200c' || r == '\u200d':
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
