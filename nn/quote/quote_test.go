package quote

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What each kind of trick becomes.
var tricks = []struct{ name, in, text, str string }{
	{"ordinary", "a cat.jpg", "a cat.jpg", `"a cat.jpg"`},
	{"other scripts", "小猫 café Ωμέγα قطة", "小猫 café Ωμέγα قطة", `"小猫 café Ωμέγα قطة"`},
	{"joined emoji", "👩\u200d🔬", "👩\u200d🔬", `"👩\u200d🔬"`},
	{"escape sequence", "a\x1b[31mred", `a\x1b[31mred`, `"a\x1b[31mred"`},
	{"window title", "\x1b]0;t\a", `\x1b]0;t\a`, `"\x1b]0;t\a"`},
	{"carriage return", "good\rbad", `good\rbad`, `"good\rbad"`},
	{"backspace and delete", "a\b\x7f", `a\b\x7f`, `"a\b\x7f"`},
	{"C1 in UTF-8", "\u009b31m", `\u009b31m`, `"\u009b31m"`},
	{"C1 as a byte", "\x9b31m", `\x9b31m`, `"\x9b31m"`},
	{"direction override", "invoice\u202egpj.exe", `invoice\u202egpj.exe`, `"invoice\u202egpj.exe"`},
	{"direction isolate", "\u2066a\u2069", `\u2066a\u2069`, `"\u2066a\u2069"`},
	{"direction mark", "a\u200f\u061c", `a\u200f\u061c`, `"a\u200f\u061c"`},
	{"line separator", "a\u2028b\u2029", `a\u2028b\u2029`, `"a\u2028b\u2029"`},
	{"byte order mark", "\ufeffa", `\ufeffa`, `"\ufeffa"`},
	{"tags", "a\U000e0041", `a\U000e0041`, `"a\U000e0041"`},
	{"broken UTF-8", "a\xff\xc3", `a\xff\xc3`, `"a\xff\xc3"`},
	{"the replacement character itself", "a\ufffd", "a\ufffd", `"a` + "\ufffd" + `"`},
	{"NUL", "a\x00", `a\x00`, `"a\x00"`},
	{"line break", "a\n\tb", "a\n\tb", `"a\n\tb"`},
}

func TestTricks(t *testing.T) {
	for _, c := range tricks {
		if got := Text(c.in); got != c.text {
			t.Errorf("%s: Text is %q, want %q", c.name, got, c.text)
		}
		if got := Text(Text(c.in)); got != c.text {
			t.Errorf("%s: Text of Text is %q", c.name, got)
		}
		if got := String(c.in); got != c.str {
			t.Errorf("%s: String is %s, want %s", c.name, got, c.str)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"dir/café.jpg": "dir/café.jpg", `C:\x.jpg`: `C:\x.jpg`, "": `""`, " a": `" a"`, "a\n": `"a\n"`, "a\nb": `"a\nb"`, "a\tb": `"a\tb"`,
		"a\x1b[0m": `"a\x1b[0m"`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) is %s, want %s", in, got, want)
		}
	}
}

func TestStringIsBounded(t *testing.T) {
	for _, c := range []string{"x", "é", "\x1b", "\xff", "\U000e0041", "小"} {
		in := strings.Repeat(c, 1000)
		got := String(in)
		head, tail, ok := strings.Cut(got, "… (")
		if !ok || tail != strconv.Itoa(len(in))+" bytes)" || len(head) > maxBytes || len(head) < maxBytes/2 {
			t.Errorf("%q a thousand times: %s", c, got)
		}
		if _, err := strconv.Unquote(head); err != nil {
			t.Errorf("%q: %v: %s", c, err, head)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, c := range tricks {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{Text(s), String(s), Plain(s)} {
			if !utf8.ValidString(out) || out != Text(out) {
				t.Fatalf("%q gives %q", s, out)
			}
			for _, r := range out {
				if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
					t.Fatalf("%q gives %q", s, out)
				}
			}
		}
	})
}
