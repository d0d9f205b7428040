package text

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tokenizerJSON is the tokenizer.json of t, in the form that transformers 5 writes.
func tokenizerJSON(tb testing.TB, t *BPE, merge func(left, right string) string) string {
	tb.Helper()
	var vocab strings.Builder
	if err := t.WriteVocab(&vocab); err != nil {
		tb.Fatal(err)
	}
	var merges []string
	for _, p := range t.halves {
		merges = append(merges, merge(t.symbols[p.left], t.symbols[p.right]))
	}
	frame, err := os.ReadFile("testdata/tokenizer_frame.json")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.NewReplacer(`"VOCAB"`, strings.TrimSpace(vocab.String()), `"MERGES"`, "["+strings.Join(merges, ",")+"]",
		`"SOT"`, fmt.Sprint(t.SOT()), `"EOT"`, fmt.Sprint(t.EOT())).Replace(string(frame))
}

func pairs(left, right string) string {
	return "[" + strconv.Quote(left) + "," + strconv.Quote(right) + "]"
}
func joined(left, right string) string { return strconv.Quote(left + " " + right) }

// smallTokenizer knows a few merges.
func smallTokenizer(tb testing.TB) *BPE {
	tb.Helper()
	t, err := ReadMerges("merges.txt", strings.NewReader(mergesHeader+"\na t</w>\nc at</w>\nd o\ndo g</w>\n"))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestTokenizerJSON(t *testing.T) {
	want := smallTokenizer(t)
	bare := func(merge func(left, right string) string) string { // cut down to what a reader needs
		var all struct{ Model json.RawMessage }
		if err := json.Unmarshal([]byte(tokenizerJSON(t, want, merge)), &all); err != nil {
			t.Fatal(err)
		}
		return `{"model":` + string(all.Model) + `}`
	}
	for name, src := range map[string]string{
		"transformers 5": tokenizerJSON(t, want, pairs), "older": tokenizerJSON(t, want, joined), "bare": bare(pairs),
		"merges.txt": mergesOf(t, want),
	} {
		got, err := ReadVocabulary(name, strings.NewReader(src))
		if err != nil {
			t.Error(err)
		} else if !slices.Equal(got.symbols, want.symbols) || !slices.Equal(got.halves, want.halves) {
			t.Errorf("%s gives another vocabulary", name)
		}
	}
}

func TestTokenizerJSONRefuses(t *testing.T) {
	good := tokenizerJSON(t, smallTokenizer(t), pairs)
	for _, c := range []struct{ old, new, want string }{
		{`["c","at</w>"]`, `["c","ax</w>"]`, `merge 2 merges "ax</w>"`},
		{`["c","at</w>"]`, `["c","at</w>","x"]`, "merge 2 has 3 symbols"},
		{`["c","at</w>"]`, `3`, "merge 2 is neither"},
		{`"cat</w>":513`, `"cat</w>":514`, `gives "cat</w>" the id 514`},
		{`"cat</w>":513,`, ``, "lacks 1 of"},
		{`"cat</w>":513`, `"cat</w>":513,"extra":900`, `"extra"`},
		{`"type": "BPE"`, `"type": "Unigram"`, `type is "\"Unigram\"", not "BPE"`},
		{`"end_of_word_suffix": "</w>"`, `"end_of_word_suffix": null`, "no end_of_word_suffix"},
		{`"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback"},
		{`"content": "<|startoftext|>"`, `"content": "<mask>"`, `adds the token "<mask>"`},
		{`"id": 516`, `"id": 3`, "another id than 516"},
		{`"Lowercase"`, `"StripAccents"`, "normalizer"},
		{`[\\p{N}]|`, `[\\p{N}]+|`, "pre_tokenizer"},
		{`"Removed"`, `"Isolated"`, "pre_tokenizer"},
		{`"RobertaProcessing"`, `"BertProcessing"`, "post_processor"},
		{`"version"`, `"model"`, `has "model" twice`},
		{`"merges"`, `"mergers"`, "no list of merges"},
		{good, good + "x", "after its object"},
		{good, good[:len(good)/2], "is no JSON"},
		{good, `{"model":[]}`, "model: is no JSON object"},
		{good, `{}`, "model: is no JSON"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("no %s", c.old)
		}
		_, err := ReadVocabulary("tokenizer.json", strings.NewReader(strings.Replace(good, c.old, c.new, 1)))
		var known *VocabularyError
		if !errors.As(err, &known) || known.File != "tokenizer.json" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40s for %.40s: %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// FuzzVocabulary reads anything that somebody may give as -vocab. What is accepted gives all ids to texts that it was
// made for.
func FuzzVocabulary(f *testing.F) {
	small := smallTokenizer(f)
	whole := tokenizerJSON(f, small, pairs)
	f.Add(whole, "", "")
	f.Add(tokenizerJSON(f, small, joined), `"cat</w>":513`, `"cat</w>":0`)
	f.Add(whole, `["c","at</w>"]`, `"c at</w>"`)
	f.Add(mergesOf(f, small), "d o", "o d")
	f.Add(`{"model":{"type":"BPE","end_of_word_suffix":"</w>","merges":[],"vocab":{}}}`, "", "")
	f.Fuzz(func(t *testing.T, src, old, new string) {
		changed := src
		if old != "" {
			changed = strings.Replace(src, old, new, 1)
		}
		tok, err := ReadVocabulary("fuzz", strings.NewReader(changed))
		if err != nil {
			var known *VocabularyError
			if changed == whole || !errors.As(err, &known) || len(err.Error()) > 4096 {
				t.Fatal(err)
			}
			return
		}
		checkText(t, tok, "a cat and a dog")
	})
}
