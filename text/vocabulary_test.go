package text

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func compressed(tb testing.TB, data string) string {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func mergesOf(tb testing.TB, tok *BPE) string {
	tb.Helper()
	var b strings.Builder
	if err := tok.WriteMerges(&b); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func vocabOf(tb testing.TB, tok *BPE) string {
	tb.Helper()
	var b strings.Builder
	if err := tok.WriteVocab(&b); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

var allFields = cmp.AllowUnexported(BPE{}, pair{})

func TestMergesRoundTrip(t *testing.T) {
	tok := small(t)
	merges := mergesOf(t, tok)
	for name, file := range map[string]string{
		"plain":           merges,
		"compressed":      compressed(t, merges),
		"CRLF":            strings.ReplaceAll(merges, "\n", "\r\n"),
		"no last newline": strings.TrimSuffix(merges, "\n"),
	} {
		got, err := ReadMerges(name, strings.NewReader(file))
		if err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(tok, got, allFields); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// OpenAI's file holds 262,144 merges; unpacked, cut to those that count, and through Hugging Face's form it is the
// same.
func TestOpenAIVocabulary(t *testing.T) {
	tok := openAI(t)
	if got := tok.symbols[firstMerge]; got != "in" {
		t.Errorf("first merge makes %q", got)
	}
	if got := tok.symbols[tok.SOT()-1]; got != "jekyll</w>" {
		t.Errorf("last merge makes %q", got)
	}
	f, err := os.Open(openAIPath)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"unpacked": string(data), "merges.txt": mergesOf(t, tok)} {
		got, err := ReadMerges(name, strings.NewReader(file))
		if err != nil {
			t.Error(err)
		} else if !slices.Equal(got.symbols, tok.symbols) || !slices.Equal(got.halves, tok.halves) {
			t.Errorf("%s gives another vocabulary", name)
		}
	}
	if err := tok.CheckVocab("vocab.json", strings.NewReader(vocabOf(t, tok))); err != nil {
		t.Error(err)
	}
	_, err = ReadMerges("short", strings.NewReader(string(data[:5000])))
	if err == nil {
		t.Error("the start of OpenAI's file was accepted as whole")
	}
}

func TestByteAlphabet(t *testing.T) {
	for b, want := range map[byte]rune{'!': '!', '~': '~', 0xA1: '¡', 0xAC: '¬', 0xAE: '®', 0xFF: 'ÿ', 0x00: 'Ā', 0x20: 'Ġ', 0x7F: 'ġ', 0xA0: 'ł', 0xAD: 'Ń'} {
		if byteLetter[b] != want {
			t.Errorf("byte %#x is %q, want %q", b, byteLetter[b], want)
		}
	}
	for b, want := range map[byte]int32{'!': 0, '~': 93, 0xA1: 94, 0xFF: 187, 0x00: 188, 0xAD: 255} {
		if byteID[b] != want {
			t.Errorf("byte %#x has id %d, want %d", b, byteID[b], want)
		}
	}
	ids := slices.Sorted(slices.Values(byteID[:]))
	for i, id := range ids {
		if int(id) != i {
			t.Fatalf("ids of bytes are no permutation: %v", ids)
		}
	}
}

func TestReadMergesRefuses(t *testing.T) {
	const header = "#version: 0.2\n"
	packed := compressed(t, header+"a b\n")
	for name, test := range map[string]struct{ file, want string }{
		"empty":           {"", `f:1: starts with "", not with a version header`},
		"no header":       {"a b\n", `f:1: starts with "a b", not with a version header`},
		"one symbol":      {header + "a b\nab\n", `f:3: has "ab\n" where two symbols`},
		"three symbols":   {header + "a b c\n", `f:2: has "a b c\n" where two symbols`},
		"two spaces":      {header + "a  b\n", `f:2: has "a  b\n" where`},
		"blank line":      {header + "a b\n\nc d\n", `f:3: has "\n" where`},
		"empty symbol":    {header + "a \n", `f:2: merges "", which is neither a byte`},
		"unknown left":    {header + "ab c\n", `f:2: merges "ab", which is neither a byte nor made by a line above`},
		"unknown right":   {header + "a bc\n", `f:2: merges "bc", which`},
		"no byte":         {header + "a 日\n", `f:2: merges "日"`},
		"bytes":           {header + "\xff a\n", `f:2: merges "\xff"`},
		"twice":           {header + "a b\na b\n", `f:3: makes "ab", which has the id 512 already`},
		"two ways":        {header + "a b\nb c\nab c\na bc\n", `f:5: makes "abc", which has the id 514 already`},
		"word goes on":    {header + "a b</w>\nab</w> c\n", `f:3: merges "ab</w>" and "c"`},
		"mark by letters": {header + "< /\n</ w\nx </w\n</w >\n", `f:5: merges "</w" and ">"`},
		"special": {header + "< |\n| >\n<| s\n<|s t\n<|st a\n<|sta r\n<|star t\n<|start o\n<|starto f\n<|startof t\n<|startoft e\n<|startofte x\n" +
			"<|startoftex t\n<|startoftext |>\n", `f:15: makes "<|startoftext|>", the name of a special token`},
		"OpenAI's, short": {openAIHeader + " 0.2\na b\n", "ends after 1 merges of 48894"},
		"gzip header":     {packed[:5], "f: is damaged"},
		"gzip cut":        {packed[:len(packed)-3], "f: cannot be read to its end"},
		"gzip sum":        {packed[:len(packed)-5] + "\x00" + packed[len(packed)-4:], "f: cannot be read to its end"},
		"bomb":            {compressed(t, header+strings.Repeat("a b\n", maxVocabularyBytes/4)), "f: is larger than 16 MiB"},
	} {
		_, err := ReadMerges("f", strings.NewReader(test.file))
		var refusal *VocabularyError
		if !errors.As(err, &refusal) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	cause := errors.New("disk on fire")
	if _, err := ReadMerges("f", iotest.ErrReader(cause)); !errors.Is(err, cause) {
		t.Errorf("got %v, want one that wraps %v", err, cause)
	}
}

func TestCheckVocab(t *testing.T) {
	tok, err := ReadMerges("f", strings.NewReader("#version: 0.2\na b\n"))
	if err != nil {
		t.Fatal(err)
	}
	good := vocabOf(t, tok)
	var spread bytes.Buffer
	if err := json.Indent(&spread, []byte(good), "", "  "); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"as written": good,
		"compressed": compressed(t, good),
		"spread":     spread.String(),
	} {
		if err := tok.CheckVocab(name, strings.NewReader(file)); err != nil {
			t.Error(err)
		}
	}
	for name, test := range map[string]struct{ file, want string }{
		"empty":         {"", "f: is not a vocab.json: unexpected EOF"},
		"list":          {"[]", "f:1: is not a vocab.json: it holds no object"},
		"cut off":       {good[:len(good)/2], "f: is not a vocab.json"},
		"goes on":       {good + "{}", "goes on after its object"},
		"other id":      {strings.Replace(good, `"ab":512`, `"ab":513`, 1), `f:1: gives "ab" the id 513, the merges give it 512`},
		"broken id":     {strings.Replace(good, `"ab":512`, `"ab":5.12e2`, 1), `gives "ab" the id 5.12e2`},
		"text id":       {strings.Replace(good, `"ab":512`, `"ab":"512"`, 1), `gives "ab" the id 512`},
		"nested":        {strings.Replace(good, `"ab":512`, `"ab":[512]`, 1), `gives "ab" the id [`},
		"other symbol":  {strings.Replace(good, `"ab":512`, `"ba":512`, 1), `has the symbol "ba", which the merges do not make`},
		"one missing":   {strings.Replace(good, `"ab":512,`, ``, 1), `f: lacks 1 of 515 symbols, the first "ab" with id 512`},
		"one twice":     {strings.Replace(good, `"ab":512`, `"ab":512,"ab":512`, 1), `has the symbol "ab" twice`},
		"second line":   {strings.Replace(good, `"ab":512`, "\n\"ab\":7", 1), `f:2: gives "ab" the id 7`},
		"another model": {vocabOf(t, small(t)), "the merges"},
		"too large":     {strings.Repeat(" ", maxVocabularyBytes+1), "is larger than 16 MiB"},
	} {
		err := tok.CheckVocab("f", strings.NewReader(test.file))
		var refusal *VocabularyError
		if !errors.As(err, &refusal) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteErrors(t *testing.T) {
	tok := small(t)
	if err := tok.WriteMerges(failingWriter{}); err == nil {
		t.Error("WriteMerges: no error")
	}
	if err := tok.WriteVocab(failingWriter{}); err == nil {
		t.Error("WriteVocab: no error")
	}
}

// Whatever ReadMerges accepts can be written and read again to the same tokenizer, and used.
func FuzzMerges(f *testing.F) {
	f.Add([]byte("#version: 0.2\na b\nab c</w>\n"))
	f.Add([]byte("#version: 0.2\r\nt h\r\nth e</w>"))
	f.Add([]byte(openAIHeader + " 0.2\ni n\n"))
	f.Add([]byte(compressed(f, "#version: 0.2\nÃ ©\nc a\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := ReadMerges("fuzz", bytes.NewReader(data))
		if err != nil {
			if refusal := new(VocabularyError); !errors.As(err, &refusal) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		again, err := ReadMerges("again", strings.NewReader(mergesOf(t, tok)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tok, again, allFields); diff != "" {
			t.Fatal(diff)
		}
		if err := tok.CheckVocab("vocab", strings.NewReader(vocabOf(t, tok))); err != nil {
			t.Fatal(err)
		}
		checkText(t, tok, "the café abc abcabc")
	})
}

func FuzzCheckVocab(f *testing.F) {
	tok, err := ReadMerges("f", strings.NewReader("#version: 0.2\na b\n"))
	if err != nil {
		f.Fatal(err)
	}
	good := vocabOf(f, tok)
	f.Add(good)
	f.Add(good[:100])
	f.Add(`{"!":0,"!":0}`)
	f.Add(`{"a":[[[{"b":1}]]]}`)
	f.Fuzz(func(t *testing.T, data string) {
		err := tok.CheckVocab("fuzz", strings.NewReader(data))
		if refusal := new(VocabularyError); err != nil && !errors.As(err, &refusal) {
			t.Fatalf("error of type %T: %v", err, err)
		}
	})
}
