package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// The cleaned texts of the fixture need no vocabulary.
func TestCleanEqualsOpenCLIP(t *testing.T) {
	texts, deviations := tokenFixture(t)
	for _, want := range append(texts, deviations...) {
		if got, err := clean(want.Text); err != nil || got != want.Clean {
			t.Errorf("%+q: got %+q, %v; want %+q", want.Text, got, err, want.Clean)
		}
	}
}

// What ftfy's own documentation promises of the steps that are implemented.
func TestFixText(t *testing.T) {
	for text, want := range map[string]string{
		"Broken text&hellip; it&#x2019;s \ufb02ubberi\ufb01c!":               "Broken text… it's flubberific!",
		"\uff2c\uff2f\uff35\uff24\u3000\uff2e\uff2f\uff29\uff33\uff25\uff33": "LOUD NOISES",
		"\uff35\uff80\uff70\uff9d":                                           "Uターン",
		"\u201chere\u2019s a test\u201d":                                     `"here's a test"`,
		"\x1b[36;44mI'm blue, da ba dee da ba doo...\x1b[0m":                 "I'm blue, da ba dee da ba doo...",
		"This string is made of two things:\u20291. Unicode\u20282.":         "This string is made of two things:\n1. Unicode\n2.",
		"This is how Microsoft \r trolls Mac users":                          "This is how Microsoft \n trolls Mac users",
		"Content-type: text/plain\r\n\r\nHi.":                                "Content-type: text/plain\n\nHi.",
		"P&EACUTE;REZ":                                                       "PÉREZ",
		"BUNDESSTRA&SZLIG;E":                                                 "BUNDESSTRASSE",
		"&ntilde; &Ntilde; &NTILDE; &nTILDE;":                                "ñ Ñ Ñ &nTILDE;",
		"&Jscr;ohn &HilbertSpace;ancock":                                     "𝒥ohn ℋancock",
		"&lt;tag&gt;":                                                        "<tag>",
		"this&not that":                                                      "this&not that",
		"<em>&amp;</em>":                                                     "<em>&amp;</em>",
		"&amp;\n<em>&amp;</em>\n&amp;":                                       "&\n<em>&amp;</em>\n&amp;",
		"caf\u00c3\u00a9":                                                    "caf\u00c3\u00a9", // no repair of mojibake
	} {
		if got := fixText(text); got != want {
			t.Errorf("%+q: got %+q, want %+q", text, got, want)
		}
	}
}

func TestUnescapeHTML(t *testing.T) {
	for text, want := range map[string]string{
		"no reference":                           "no reference",
		"&":                                      "&",
		"&;&&amp;&":                              "&;&&&",
		"&gt &gt; &gtx &gt=1":                    "> > >x >=1",
		"&notit; &notin;":                        "¬it; ∉",
		"&nGt;&nLt;&nGt":                         "≫⃒≪⃒&nGt",
		"&#65 &#65; &#x41; &#X41b":               "A A A \u041b",
		"&#; &#x; &#xg; &#":                      "&#; &#x; &#xg; &#",
		"&#0; &#xD800; &#x110000;":               "\ufffd \ufffd \ufffd",
		"&#" + strings.Repeat("9", 200) + ";":    "\ufffd",
		"&#x" + strings.Repeat("0", 200) + "41;": "A",
		"&#128; &#x81; &#11;&#127;&#xFFFF; &#x1FFFE": "€ \u0081  ",
	} {
		if got := unescapeHTML(text); got != want {
			t.Errorf("%+q: got %+q, want %+q", text, got, want)
		}
	}
}

func TestLower(t *testing.T) {
	for text, want := range map[string]string{
		"ΟΔΟΣ":         "οδος",
		"ΟΔΟΣ ΣΟΦΙΑ":   "οδος σοφια",
		"Σ":            "σ",
		"ΑΣ.":          "ας.",
		"ΑΣ.Α":         "ασ.α",
		"Α'Σ":          "α'ς",
		"1Σ":           "1σ",
		"A\u0301Σ":     "a\u0301ς",
		"İSTANBUL":     "i\u0307stanbul",
		"\u212a\u1e9e": "kß",
		"ŒUVRE ǅ":      "œuvre ǆ",
	} {
		if got := lower(text); got != want {
			t.Errorf("%+q: got %+q, want %+q", text, got, want)
		}
	}
}

func TestPieces(t *testing.T) {
	for text, want := range map[string]string{
		"a photo of a dog.":             "a|photo|of|a|dog|.",
		"it's they'll don't":            "it|'s|they|'ll|don|'t",
		"'s''s \"'s":                    "'s|''|s|\"'|s",
		"it'ſ":                          "it|'ſ",
		"dc-9-30":                       "dc|-|9|-|3|0",
		"½ ⅷ²":                          "½|ⅷ|²",
		"e\u0301a":                      "e|\u0301|a",
		"a\u0345b!\u0345":               "a|b|!",
		"<|endoftext|>!<|endoftext|>":   "<\\|endoftext\\|>|!<\\||endoftext|\\|>",
		"<|ſtartoftext|><|startoftext|": "<\\|ſtartoftext\\|>|<\\||startoftext|\\|",
		"🐶🐶 日本語":                        "🐶🐶|日本語",
		" \t":                           "",
	} {
		var got []string
		for piece := range pieces(text) {
			got = append(got, strings.ReplaceAll(piece, "|", `\|`))
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%+q: got %q, want %q", text, s, want)
		}
	}
	for range pieces("one two") {
		break // an abandoned loop ends the iteration
	}
}

// Cleaning ends, grows text by no more than Unicode's normalisation can, and keeps it valid.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"&amp;amp;lt;&EACUTE;", "\uff06\uff03x41;", "\ufb03\u0149", "\x1b[1m\r\u2028", "ΑΣ'", "\U0001d160\u0390"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := clean(text)
		if err != nil {
			return
		}
		if !utf8.ValidString(got) || strings.TrimSpace(got) != got || strings.Contains(got, "  ") {
			t.Errorf("%+q: got %+q", text, got)
		}
		if len(got) > 8*len(text) {
			t.Errorf("%+q: %d bytes became %d", text, len(text), len(got))
		}
	})
}
