package subword

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// testFile is a file of testdata.
func testFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read reads a tokenizer by the ending of its name.
func read(name string, data []byte) (Tokenizer, error) {
	switch filepath.Ext(name) {
	case ".model":
		m, err := ReadSentencePiece(name, data)
		if err != nil {
			return nil, err
		}
		return m, nil
	case ".txt":
		p, err := ReadVocabTxt(name, data, true)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	p, err := ReadTokenizers(name, data)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// TestIDs compares ids with those of the libraries that the files belong to.
func TestIDs(t *testing.T) {
	var want struct {
		Texts []string
		IDs   map[string][][]int32
	}
	if err := json.Unmarshal(testFile(t, "expected.json"), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(want.IDs)) {
		tok, err := read(name, testFile(t, name))
		if err != nil {
			t.Error(err)
			continue
		}
		before, behind := tok.Around()
		for i, s := range want.Texts {
			got := slices.Concat(before, tok.Append(nil, s), behind)
			if !slices.Equal(got, want.IDs[name][i]) {
				t.Errorf("%s: %q: ids %v, want %v", name, s, got, want.IDs[name][i])
			}
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"unigram.model", "a photo of a cat", "a photo of a cat"},
		{"bpe.model", "12 cats 写 ", "12 cats 写 "},
		{"bpe.json", "12 Cats 写 ", "12 cats 写 "},
		{"wordpiece.json", "A Photo of a cat", "a photo of a cat"},
		{"vocab.txt", "A Photo of a cat", "a photo of a cat"},
	} {
		tok, err := read(c.file, testFile(t, c.file))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Decode(tok.Append(nil, c.text)); got != c.want {
			t.Errorf("%s: %q, want %q", c.file, got, c.want)
		}
		if got := tok.Decode([]int32{-1, 1 << 30}); !strings.HasPrefix(got, "\ufffd") {
			t.Errorf("%s: ids that there are not are %q", c.file, got)
		}
	}
}

// TestRefuses breaks files in one place each.
func TestRefuses(t *testing.T) {
	replace := func(name, old, new string) []byte {
		b := testFile(t, name)
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("%s has no %s", name, old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"a.model", nil, "no pieces"},
		{"a.model", []byte("no protobuf"), "no such file has"},
		{"a.model", testFile(t, "bpe.model")[:1000], "cut off"},
		{"a.model", []byte{0x0a, 3, 0x0a, 1, 0xff}, "no text of 1 to"},
		{"a.model", []byte{0x0a, 3, 0x0a, 1, 'a'}, "no piece for what is unknown"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 2, 0x0a, 5, 0x0a, 1, 'b', 0x18, 2}, "two pieces for what is unknown"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 2, 0x0a, 5, 0x0a, 1, 'a', 0x18, 3}, "twice"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 9}, "kind (9)"},
		{"a.model", []byte{0x0a, 10, 0x0a, 1, 'a', 0x15, 0, 0, 0xc0, 0x7f, 0x18, 2}, "no number"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 2, 0x12, 2, 0x18, 3}, "kind 3"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 2, 0x12, 3, 0x98, 2, 1}, "0 of 256"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 2, 0x1a, 0, 0x1a, 0}, "twice"},
		{"a.model", []byte{0x0a, 5, 0x0a, 1, 'a', 0x18, 2, 0x1a, 6, 0x12, 4, 8, 0, 0, 0}, "trie has 8 bytes"},
		{"a.json", []byte(`{"model":{"type":"WordLevel"}}`), "WordLevel"},
		{"a.json", []byte(`{"model":`), "no JSON"},
		{"a.json", replace("unigram.json", `"WhitespaceSplit"`, `"ByteLevel","trim_offsets":true,"use_regex":true`), `pre_tokenizer: "ByteLevel": is a step that is not computed here`},
		{"a.json", replace("unigram.json", `"WhitespaceSplit"`, `"Digits"`), `pre_tokenizer: "Digits": is a step that is not computed here`},
		{"a.json", replace("unigram.json", `"unk_id":2`, `"unk_id":2000`), "unk_id 2000"},
		{"a.json", replace("unigram.json", `"unk_id":2`, `"unk_id":null`), "no unk_id"},
		{"a.json", replace("unigram.json", `["<unk>",0.0]`, `["<unk>",1e999]`), "no number"},
		{"a.json", replace("unigram.json", `["<unk>",0.0]`, `["</s>",0.0]`), "twice"},
		{"a.json", replace("unigram.json", `["<unk>",0.0]`, `["<unk>",0.0,1]`), "more than a score"},
		{"a.json", replace("unigram.json", `"single_word":false`, `"single_word":true`), "word of its own"},
		{"a.json", replace("unigram.json", `"single_word"`, `"single_w`+strings.Repeat("o", 5000)+`rd"`), "is not understood"},
		{"a.json", replace("unigram.json", `"type":"Precompiled"`, `"type":"Nmt"`), "not computed here"},
		{"a.json", replace("first.json", `" {2,}"`, `"x+"`), "pattern"},
		{"a.json", replace("first.json", `"prepend_scheme":"first"`, `"prepend_scheme":"last"`), "prepends"},
		{"a.json", replace("bpe.json", `"ignore_merges":false`, `"ignore_merges":true`), "not done here"},
		{"a.json", replace("bpe.json", `"<pad>":0`, `"<pad>":100000`), "fewer pieces"},
		{"a.json", replace("bpe.json", `"<pad>":0`, `"<pad>":1`), "two pieces with the id 1"},
		{"a.json", replace("bpe.json", `"<unk>":3`, `"<unk>":-3`), "no number"},
		{"a.json", replace("bpe.json", `"pad_id":0`, `"pad_id":1000`), "pads with the id 1000"},
		{"a.json", replace("fused.json", `["b","a"]`, `["b","z"]`), "no pieces"},
		{"a.json", replace("fused.json", `"fuse_unk":true`, `"fuse_unk":true,"surprise":1`), "surprise"},
		{"a.json", replace("wordpiece.json", `"##"`, `"@@"`), "continues words"},
		{"a.json", replace("wordpiece.json", `"ids":[3]`, `"ids":[3000]`), "puts the id 3000"},
		{"a.txt", []byte("a\nb\n"), "[UNK]"},
		{"a.txt", replace("vocab.txt", "[UNK]\n", "[UNK]\n[UNK]\n"), "as a line above"},
	} {
		_, err := read(c.name, c.data)
		var bad *FileError
		if !errors.As(err, &bad) || len(err.Error()) > 1000 || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.name+": ") {
			t.Errorf("%.60q: %v, want %q", c.data, err, c.want)
		}
	}
}

// TestCharsmapIsBounded follows links of a trie that lead out of it, and round in it.
func TestCharsmapIsBounded(t *testing.T) {
	for _, units := range [][]uint32{{0xFFFFFFFF}, {0, 0, 0}, {1 << 10, 'a' | 1<<8, 1 << 30}} {
		blob := []byte{byte(4 * len(units)), 0, 0, 0}
		for _, u := range units {
			blob = append(blob, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
		}
		c, err := newCharsmap(append(blob, "x\x00"...))
		if err != nil {
			t.Fatal(err)
		}
		c.graphemes(strings.Repeat("a\x00b", 100))
		c.longest(strings.Repeat("\x00", 1000))
	}
}

// try tokenizes a text and looks at what must hold whatever the file says.
func try(t *testing.T, tok Tokenizer, text string) {
	if !utf8.ValidString(text) || len(text) > 200 {
		return
	}
	ids := tok.Append(nil, text)
	for _, id := range ids {
		if id < 0 || int(id) >= maxPieces {
			t.Fatalf("%q has the id %d", text, id)
		}
	}
	tok.Decode(ids)
}

func FuzzSentencePiece(f *testing.F) {
	for _, name := range []string{"unigram.model", "bytes.model", "bpe.model"} {
		f.Add(testFile(f, name), "a photo <tag> 写 12")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if tok, err := ReadSentencePiece("fuzz.model", data); err == nil {
			try(t, tok, text)
		} else if len(err.Error()) > 1000 {
			t.Fatal(err)
		}
	})
}

func FuzzTokenizers(f *testing.F) {
	for _, name := range []string{"unigram.json", "first.json", "bpe.json", "fused.json", "wordpiece.json"} {
		f.Add(testFile(f, name), "a photo <tag> 写 [MASK] 12")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if tok, err := ReadTokenizers("fuzz.json", data); err == nil {
			try(t, tok, text)
		} else if len(err.Error()) > 2000 {
			t.Fatal(err)
		}
	})
}

func FuzzVocabTxt(f *testing.F) {
	f.Add(testFile(f, "vocab.txt"), "A photo of [MASK] unknown")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if tok, err := ReadVocabTxt("fuzz.txt", data, true); err == nil {
			try(t, tok, text)
		}
	})
}

// Of ways whose sums are equal in float32 the one with the longer last piece counts, as in the library, whose sums
// are such. Sums that were compared before they are rounded would say otherwise for some of these scores.
func TestUnigramTies(t *testing.T) {
	const first = float32(-9.7)
	cuts := [2]int{}
	for i := range 1000 {
		one := -1 - float32(i)/997
		score := []float64{float64(first), float64(one), float64(2 * one)}
		u := &unigram{ids: map[string]int32{"a": 0, "b": 1, "bb": 2}, longest: 2, single: true, score: func(id int32, _ int) float64 { return score[id] }}
		apart := first + one
		want := 2
		if apart += one; apart > first+2*one {
			want = 3
		}
		if got := u.best("abb"); len(got) != want {
			t.Errorf("scores %v: %d pieces, want %d", score, len(got), want)
		}
		cuts[want-2]++
	}
	if min(cuts[0], cuts[1]) == 0 {
		t.Errorf("%v: the scores show nothing", cuts)
	}
}
