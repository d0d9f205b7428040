package text

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// openAIPath is where OpenAI's vocabulary lies beside the checkout. It is not part of the repository.
const openAIPath = "../../shared/data/clip/bpe_simple_vocab_16e6.txt.gz"

var readOpenAI = sync.OnceValues(func() (*BPE, error) {
	f, err := os.Open(openAIPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadMerges(openAIPath, f)
})

// openAI returns OpenAI's tokenizer and skips the test where its vocabulary is absent.
func openAI(tb testing.TB) *BPE {
	tb.Helper()
	t, err := readOpenAI()
	if errors.Is(err, os.ErrNotExist) {
		tb.Skipf("OpenAI's vocabulary is absent: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// The corpus of the tests' own vocabulary: enough repetition for merges across the alphabet, and bytes above ASCII.
var smallCorpus = []string{
	"a photo of a red circle", "a photo of a blue square", "a drawing of two red squares", "a painting of a green circle",
	"the circle is larger than the square", "a photograph of three small blue circles on a green ground", "it's a circle, isn't it?",
	"un café crème", "un café noir", "crème brûlée", "日本語 日本語 日本", "aaaa aaaaa aaaaaa", "......... !!! ???", "banana bandana banana",
}

// small returns a tokenizer that was trained on smallCorpus.
func small(tb testing.TB) *BPE {
	tb.Helper()
	t, err := TrainBPE(slices.Values(smallCorpus), 120)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

type tokenRecord struct {
	Text, Clean    string
	IDs, Reference []int32
}

// tokenFixture reads what testdata/tokens.py wrote.
func tokenFixture(tb testing.TB) (texts, deviations []tokenRecord) {
	tb.Helper()
	data, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all struct{ Texts, Deviations []tokenRecord }
	if err := json.Unmarshal(data, &all); err != nil {
		tb.Fatal(err)
	}
	if len(all.Texts) < 400 || len(all.Deviations) == 0 {
		tb.Fatalf("fixture has %d texts and %d deviations", len(all.Texts), len(all.Deviations))
	}
	return all.Texts, all.Deviations
}

func TestEncodeEqualsOpenCLIP(t *testing.T) {
	tok := openAI(t)
	texts, _ := tokenFixture(t)
	for _, want := range texts {
		got, err := tok.Encode(want.Text)
		if err != nil {
			t.Errorf("%q: %v", want.Text, err)
		} else if !slices.Equal(got, want.IDs) {
			t.Errorf("%q:\n got %v\nwant %v", want.Text, got, want.IDs)
		}
	}
	t.Logf("%d texts", len(texts))
}

// What is known to differ from open_clip is mojibake alone, and equals open_clip with ftfy's fix_encoding off.
func TestDeviationsFromOpenCLIP(t *testing.T) {
	tok := openAI(t)
	_, deviations := tokenFixture(t)
	for _, d := range deviations {
		got, err := tok.Encode(d.Text)
		if err != nil {
			t.Errorf("%q: %v", d.Text, err)
		} else if !slices.Equal(got, d.IDs) {
			t.Errorf("%q:\n got %v\nwant %v", d.Text, got, d.IDs)
		}
		if slices.Equal(d.IDs, d.Reference) {
			t.Errorf("%q is no deviation", d.Text)
		}
	}
}

// Published ids; those that depend on ftfy (é in two characters, the ligature) are in the fixture instead.
func TestKnownTokens(t *testing.T) {
	tok := openAI(t)
	for text, want := range map[string]string{
		"a photo of a dog.":                               "49406 320 1125 539 320 1929 269 49407",
		"a photo of a Annual Crop Land.":                  "49406 320 1125 539 320 2906 9955 973 269 49407",
		"a centered satellite photo of Sea or Lake.":      "49406 320 24584 10316 1125 539 2102 541 2553 269 49407",
		"a photo of a 2012 Audi S4 Sedan, a type of car.": "49406 320 1125 539 320 273 271 272 273 10277 338 275 24237 267 320 3877 539 1615 269 49407",
		"a photo of a McDonnell Douglas DC-9-30.":         "49406 320 1125 539 320 34360 10065 2743 268 280 268 274 271 269 49407",
		"itap of a yellow lady's slipper.":                "49406 529 2728 539 320 4481 2909 568 39644 269 49407",
		"X X X X dog.":                                    "49406 343 343 343 343 1929 269 49407",
		"it's 100% don't":                                 "49406 585 568 272 271 271 260 847 713 49407",
		"a photo of a kite (bird of prey).":               "49406 320 1125 539 320 19867 263 3329 539 17131 1818 49407",
		"!":                                               "49406 256 49407",
		"café":                                            "49406 15304 49407",
		"日本語":                                             "49406 39121 44353 34002 508 49407",
	} {
		got, err := tok.Tokenize(text, 77, false)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if s := strings.Trim(fmt.Sprint(got), "[]"); s != want {
			t.Errorf("%q:\n got %s\nwant %s", text, s, want)
		}
	}
	// These two with cleaning left out, as they were taken.
	for text, want := range map[string][]int32{"e\u0301": {324, 136, 479}, "\ufb01ne": {171, 105, 223, 1422}} {
		var got []int32
		var m merger
		for piece := range pieces(text) {
			got = m.appendIDs(got, tok, piece)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q uncleaned: got %v, want %v", text, got, want)
		}
	}
	if tok.Size() != 49408 || tok.SOT() != 49406 || tok.EOT() != 49407 {
		t.Errorf("size %d, SOT %d, EOT %d", tok.Size(), tok.SOT(), tok.EOT())
	}
}

func TestTokenize(t *testing.T) {
	tok := small(t)
	inner, err := tok.Encode("a photo of a red circle")
	if err != nil {
		t.Fatal(err)
	}
	whole := slices.Concat([]int32{tok.SOT()}, inner, []int32{tok.EOT()})
	for context := 2; context <= len(whole)+1; context++ {
		cut := slices.Clone(whole[:min(context, len(whole))])
		cut[len(cut)-1] = tok.EOT()

		got, err := tok.Tokenize("a photo of a red circle", context, true)
		if err != nil || !slices.Equal(got, cut) {
			t.Errorf("context %d, truncated: got %v, %v; want %v", context, got, err, cut)
		}
		got, err = tok.Tokenize("a photo of a red circle", context, false)
		var tooLong *TextError
		switch {
		case context >= len(whole):
			if err != nil || !slices.Equal(got, whole) {
				t.Errorf("context %d: got %v, %v; want %v", context, got, err, whole)
			}
		case !errors.As(err, &tooLong) || tooLong.Text != "a photo of a red circle":
			t.Errorf("context %d: got %v, %v; want an error that names the text", context, got, err)
		}
	}
	if _, err := tok.Tokenize("a", 1, true); err == nil {
		t.Error("context 1 accepted")
	}
}

func TestEncodeRefuses(t *testing.T) {
	tok := small(t)
	for name, test := range map[string]struct{ text, want string }{
		"too long": {strings.Repeat("a", MaxTextBytes+1), `text "` + strings.Repeat("a", 60) + `"… is 4097 bytes long`},
		"latin-1":  {"caf\xe9 noir", `text "caf\xe9 noir" is not UTF-8 at byte 3`},
		"cut off":  {"日本\xe8", "is not UTF-8 at byte 6"},
		"CESU-8":   {"\ufffd\xed\xa0\xbd", "is not UTF-8 at byte 3"},
	} {
		_, err := tok.Encode(test.text)
		var refusal *TextError
		if !errors.As(err, &refusal) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := tok.Encode(strings.Repeat("a", MaxTextBytes)); err != nil {
		t.Error(err)
	}
}

// mergeByRounds is byte-pair encoding as it is defined: find the pair whose merge is earliest, merge it everywhere.
func mergeByRounds(tok *BPE, piece string) []int32 {
	var word []int32
	for i := range len(piece) {
		word = append(word, byteID[piece[i]])
	}
	word[len(word)-1] += endOfWordIDs
	for {
		best := int32(tok.Size())
		for i := 1; i < len(word); i++ {
			if id, ok := tok.merged[pair{word[i-1], word[i]}]; ok {
				best = min(best, id)
			}
		}
		if best == int32(tok.Size()) {
			return word
		}
		p := tok.halves[best-firstMerge]
		for i := 1; i < len(word); i++ {
			if word[i-1] == p.left && word[i] == p.right {
				word = slices.Replace(word, i-1, i+1, best)
			}
		}
	}
}

func TestMergeEqualsRounds(t *testing.T) {
	vocabularies := map[string]*BPE{"small": small(t)}
	if tok, err := readOpenAI(); err == nil {
		vocabularies["OpenAI's"] = tok
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for name, tok := range vocabularies {
		var m merger
		for range 4000 {
			// Words of a few of the vocabulary's own symbols: bytes at random would seldom merge.
			alphabet := make([]int32, 1+rng.IntN(6))
			for i := range alphabet {
				alphabet[i] = rng.Int32N(tok.SOT())
			}
			var word []byte
			for range 1 + rng.IntN(12) {
				word = tok.appendBytes(word, alphabet[rng.IntN(len(alphabet))])
			}
			got, want := m.appendIDs(nil, tok, string(word)), mergeByRounds(tok, string(word))
			if !slices.Equal(got, want) {
				t.Fatalf("%s vocabulary, %q:\n got %v\nwant %v", name, word, got, want)
			}
		}
	}
}

func TestDecode(t *testing.T) {
	tok := small(t)
	for text, want := range map[string]string{
		"":                               "",
		"A photo of a RED circle!":       "a photo of a red circle ! ",
		"isn't  it 12":                   "isn 't it 1 2 ",
		"crème brûlée 日本語 ½":             "crème brûlée 日本語 ½ ",
		"<|startoftext|>dog<|ENDOFTEXT|": "<|startoftext|>dog <| endoftext | ",
	} {
		ids, err := tok.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Decode(ids); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	unknown := []int32{-1, int32(tok.Size()), byteID[0xC3], tok.EOT()} // 0xC3 begins a character
	if got, want := tok.Decode(unknown), "\ufffd\ufffd\ufffd<|endoftext|>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// checkText checks what must hold for any text.
func checkText(t *testing.T, tok *BPE, text string) {
	ids, err := tok.Encode(text)
	if err != nil {
		var refusal *TextError
		if !errors.As(err, &refusal) || len(text) <= MaxTextBytes && utf8.ValidString(text) {
			t.Fatalf("%q: %v", text, err)
		}
		return
	}
	if most := 4 * len(text); len(ids) > most {
		t.Errorf("%q: %d ids", text, len(ids))
	}
	for _, id := range ids {
		if id < 0 || id >= int32(tok.Size()) {
			t.Fatalf("%q: id %d", text, id)
		}
	}
	cleaned, err := clean(text)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for piece := range pieces(cleaned) {
		want.WriteString(piece)
		if piece != startOfText && piece != endOfText {
			want.WriteByte(' ')
		}
	}
	decoded := tok.Decode(ids)
	if decoded != want.String() {
		t.Errorf("%q decodes to %q, its pieces are %q", text, decoded, want.String())
	}
	// Cleaning is not idempotent (HTML is resolved twice, not until nothing is left); where it leaves the decoded text
	// alone, so must encoding.
	if again, err := clean(decoded); err == nil && again == strings.TrimSpace(decoded) {
		if second, err := tok.Encode(decoded); err != nil || !slices.Equal(second, ids) {
			t.Errorf("%q: %v decodes to %q, that encodes to %v, %v", text, ids, decoded, second, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	tok := small(t)
	texts, deviations := tokenFixture(t)
	for _, r := range slices.Concat(texts, deviations) {
		checkText(t, tok, r.Text)
	}
}

func FuzzTokenizer(f *testing.F) {
	for _, s := range []string{
		"a photo of a dog.", "it's 100% don't", "&amp;amp;lt;", "\uff06eacute;&EACUTE;&#x41", "A\u03a3.\u0345\u0130", "<|endoftext|>!",
		"\x1b[3\u0661m\r\n\u0085", "\ufb05\u0149\uff9e", "caf\xe9",
	} {
		f.Add(s)
	}
	tok := small(f)
	f.Fuzz(func(t *testing.T, text string) { checkText(t, tok, text) })
}

func BenchmarkEncode(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"prompt", "a photo of a 2012 Audi S4 Sedan, a type of car."},
		{"unicode", "crème brûlée — “日本語”の写真 &amp; ＬＯＵＤ ﬁne"},
		{"long-word", strings.Repeat("abcdefgh", MaxTextBytes/8)},
		{"nested-entities", "&" + strings.Repeat("amp;", MaxTextBytes/4-1)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tok := openAI(b)
			b.SetBytes(int64(len(bench.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tok.Encode(bench.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadMerges(b *testing.B) {
	openAI(b)
	data, err := os.ReadFile(openAIPath)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ReadMerges(openAIPath, strings.NewReader(string(data))); err != nil {
			b.Fatal(err)
		}
	}
}
