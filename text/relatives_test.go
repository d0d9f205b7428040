package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// relative reads a tokenizer of subword's testdata.
func relative(t *testing.T, f TokenizerFile) *Relative {
	t.Helper()
	tok, err := readRelative(t, f)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readRelative(t *testing.T, f TokenizerFile) (*Relative, error) {
	t.Helper()
	if f.Data == nil {
		b, err := os.ReadFile(filepath.Join("subword", "testdata", f.Name))
		if err != nil {
			t.Fatal(err)
		}
		f.Data = b
	}
	return ReadTokenizer(f)
}

// TestRelativesIDs compares ids with those of transformers' and open_clip's tokenizers of SigLIP.
func TestRelativesIDs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "siglip.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]json.RawMessage
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	padded := []byte(`{"pad_token": {"content": "</s>", "lstrip": true}}`)
	for i, tok := range []*Relative{
		relative(t, TokenizerFile{Name: "unigram.model", Clean: CleanSigLIP}),
		relative(t, TokenizerFile{Name: "bytes.model", Clean: CleanSigLIP}),
		relative(t, TokenizerFile{Name: "bpe.json", Clean: CleanSigLIP}),
		relative(t, TokenizerFile{Name: "unigram.json", Clean: CleanCanonicalize, Config: padded}),
	} {
		for _, row := range rows {
			var s string
			var want []int32
			if err := errors.Join(json.Unmarshal(row[0], &s), json.Unmarshal(row[1+i], &want)); err != nil {
				t.Fatal(err)
			}
			got, err := tok.Tokenize(s, 12, true)
			if pad, ok := tok.Pad(); i == 3 && ok {
				got = append(got, slices.Repeat([]int32{pad}, 12-len(got))...)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("column %d: %q: ids %v (%v), want %v", 1+i, s, got, err, want)
			}
		}
	}
}

func TestRelative(t *testing.T) {
	clipa := relative(t, TokenizerFile{Name: "wordpiece.json", Clean: CleanWhitespace, StripSep: true})
	ids, err := clipa.Tokenize("a [SEP] b", 8, false)
	if err != nil || ids[0] != 2 || ids[2] != 0 || ids[len(ids)-1] != 0 { // [CLS] stays
		t.Errorf("ids %v (%v)", ids, err)
	}
	tok := relative(t, TokenizerFile{Name: "bpe.model", Clean: CleanSigLIP})
	upper, err := tok.Encode("A PHOTO")
	lower, err2 := tok.Encode("a photo")
	if err != nil || err2 != nil || !slices.Equal(upper, lower) {
		t.Errorf("%v (%v) and %v (%v)", upper, err, lower, err2)
	}
	if pad, ok := tok.Pad(); !ok || pad != 0 {
		t.Errorf("pads with %d, %t", pad, ok)
	}
	// SigLIP's is padded with the id that ends a text, whatever its file has besides.
	if pad, ok := relative(t, TokenizerFile{Name: "unigram.model", Clean: CleanSigLIP}).Pad(); !ok || pad != 1 {
		t.Errorf("unigram: pads with %d, %t", pad, ok)
	}
	if got := tok.Decode(upper); got != "a photo" {
		t.Errorf("spelt %q", got)
	}
	for _, c := range []struct{ text, want string }{
		{"\xff", "is not UTF-8"}, {strings.Repeat("a", MaxTextBytes+1), "bytes long"}, {strings.Repeat("a ", 50), "the context holds 12: shorten it"},
	} {
		_, err := tok.Tokenize(c.text, 12, false)
		var bad *TextError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q: %v", c.text, err)
		}
	}
	if _, err := tok.Tokenize("a", 0, true); err == nil {
		t.Error("a context without room")
	}
	// A token that was added behind the model's pieces has no row in a table of these.
	first := relative(t, TokenizerFile{Name: "unigram.json", Rows: 73})
	if _, err := first.Encode("a [MASK]"); first.Size() != 73 || err == nil || !strings.Contains(err.Error(), "no row") {
		t.Errorf("%d pieces: %v", first.Size(), err)
	}
}

func TestReadTokenizerRefuses(t *testing.T) {
	for _, c := range []struct {
		f    TokenizerFile
		want string
	}{
		{TokenizerFile{Name: "unigram.model", Clean: "tidy"}, `cleaned by "tidy"`},
		{TokenizerFile{Name: "unigram.model", Rows: 50}, "another model's"},
		{TokenizerFile{Name: "unigram.model", Config: []byte("{")}, "no JSON"},
		{TokenizerFile{Name: "unigram.model", Config: []byte(`{"pad_token":"[PAD]"}`)}, "no piece \"[PAD]\""},
		{TokenizerFile{Name: "fused.json", StripSep: true}, "nothing behind a text"},
		{TokenizerFile{Name: "x.model", Data: []byte{}}, "no pieces"},
		{TokenizerFile{Name: "x.json", Data: []byte("[]")}, "no tokenizer.json"},
	} {
		_, err := readRelative(t, c.f)
		var bad *VocabularyError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.f.Name+": ") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestFingerprint changes each of what ids depend on.
func TestFingerprint(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range []TokenizerFile{{Name: "unigram.model"}, {Name: "bytes.model"}, {Name: "unigram.model", Clean: CleanSigLIP},
		{Name: "wordpiece.json"}, {Name: "wordpiece.json", StripSep: true}} {
		var b bytes.Buffer
		if err := relative(t, f).Fingerprint(&b); err != nil || seen[b.String()] {
			t.Errorf("%s: %v, or as another's", f.Name, err)
		}
		seen[b.String()] = true
	}
}
