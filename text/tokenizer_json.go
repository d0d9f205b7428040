package text

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ReadVocabulary makes a tokenizer from any vocabulary file of CLIP's: what [ReadMerges] reads, or the tokenizer.json
// of Hugging Face's tokenizers, which holds merges and ids and is the only vocabulary file that transformers 5
// writes. Which of the two it is is told by its first byte. Errors are of type *[VocabularyError].
func ReadVocabulary(name string, r io.Reader) (*BPE, error) {
	in := bufio.NewReader(r)
	if start, err := in.Peek(1); err == nil && start[0] == '{' {
		return readTokenizerJSON(name, in)
	}
	return ReadMerges(name, in)
}

// readTokenizerJSON reads a tokenizer.json as strictly as a merges.txt with its vocab.json: the merges have to make
// the symbols, each of which has to have its id; and what else the file says has to be what CLIP's tokenizer does.
// Where it says nothing of a step, that is taken to be CLIP's.
func readTokenizerJSON(name string, r io.Reader) (*BPE, error) {
	data, err := readBounded(name, r)
	if err != nil {
		return nil, err
	}
	refuse := func(err error) error {
		var known *VocabularyError
		if errors.As(err, &known) {
			return err
		}
		return &VocabularyError{File: name, Reason: err.Error()}
	}
	file, err := objectOf(data)
	if err != nil {
		return nil, refuse(fmt.Errorf("is not a tokenizer.json: %w", err))
	}
	model, err := objectOf(file["model"])
	if err != nil {
		return nil, refuse(fmt.Errorf("is not a tokenizer.json: model: %w", err))
	}
	if err := checkModel(model); err != nil {
		return nil, refuse(err)
	}
	t := newTokenizer(0)
	if err := t.addMerges(model["merges"]); err != nil {
		return nil, refuse(err)
	}
	t.addSpecials()
	if err := t.CheckVocab(name, bytes.NewReader(model["vocab"])); err != nil {
		var known *VocabularyError
		if errors.As(err, &known) {
			known.Line = 0 // of the vocabulary, not of the file
		}
		return nil, err
	}
	for _, check := range []struct {
		key  string
		test func(json.RawMessage) error
	}{
		{"added_tokens", t.checkAdded}, {"normalizer", checkNormalizer}, {"pre_tokenizer", checkPreTokenizer}, {"post_processor", t.checkPostProcessor},
	} {
		if raw := file[check.key]; !absent(raw) {
			if err := check.test(raw); err != nil {
				return nil, refuse(fmt.Errorf("is not of CLIP's tokenizer: %s: %w", check.key, err))
			}
		}
	}
	return t, nil
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// objectOf splits a JSON object into its members. Each key occurs once.
func objectOf(raw []byte) (map[string]json.RawMessage, error) {
	in := json.NewDecoder(bytes.NewReader(raw))
	open, err := in.Token()
	if err != nil {
		return nil, jsonError(err)
	}
	if open != json.Delim('{') {
		return nil, errors.New("is no JSON object")
	}
	members := make(map[string]json.RawMessage)
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return nil, jsonError(err)
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, jsonError(err)
		}
		name := key.(string) // the decoder lets nothing else be a key
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("has %s twice", quoteStart(name))
		}
		members[name] = value
	}
	if _, err := in.Token(); err != nil {
		return nil, jsonError(err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("goes on after its object")
	}
	return members, nil
}

func jsonError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("is no JSON: %w", err)
}

// checkModel checks the settings of the model beside its vocabulary and merges.
func checkModel(model map[string]json.RawMessage) error {
	for _, want := range []struct {
		key    string
		values []string // as JSON
	}{
		{"type", []string{`"BPE"`}},
		{"dropout", []string{"0.0", "0"}},
		{"continuing_subword_prefix", []string{`""`}},
		{"end_of_word_suffix", []string{`"` + endOfWord + `"`}},
		{"byte_fallback", []string{"false"}},
		{"ignore_merges", []string{"false"}},
	} {
		raw := model[want.key]
		if absent(raw) {
			if want.key == "end_of_word_suffix" {
				return fmt.Errorf("is not of CLIP's tokenizer: its model has no %s %s", want.key, want.values[0])
			}
			continue
		}
		same := false
		for _, v := range want.values {
			same = same || string(raw) == v
		}
		if !same {
			return fmt.Errorf("is not of CLIP's tokenizer: its model's %s is %s, not %s", want.key, quoteStart(string(raw)), want.values[0])
		}
	}
	return nil
}

// addMerges adds the merges of a model: pairs of symbols, or, in older files, strings with a space between the two.
func (t *BPE) addMerges(raw json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return errors.New("its model has no list of merges")
	}
	for i, m := range list {
		var pair []string
		if m[0] == '"' {
			var joined string
			if err := json.Unmarshal(m, &joined); err != nil {
				return fmt.Errorf("merge %d: %w", i+1, jsonError(err))
			}
			pair = strings.Split(joined, " ")
		} else if err := json.Unmarshal(m, &pair); err != nil {
			return fmt.Errorf("merge %d is neither a pair of symbols nor a string", i+1)
		}
		if len(pair) != 2 {
			return fmt.Errorf("merge %d has %d symbols, where two are merged", i+1, len(pair))
		}
		if err := t.addMerge(pair[0], pair[1]); err != nil {
			return fmt.Errorf("merge %d %w", i+1, err)
		}
	}
	return nil
}

// checkAdded allows no tokens but the two special ones.
func (t *BPE) checkAdded(raw json.RawMessage) error {
	var tokens []struct {
		ID      *int32
		Content string
	}
	if err := json.Unmarshal(raw, &tokens); err != nil {
		return errors.New("is no list of tokens")
	}
	for _, a := range tokens {
		if a.Content != startOfText && a.Content != endOfText {
			return fmt.Errorf("adds the token %s", quoteStart(a.Content))
		}
		if a.ID == nil || *a.ID != t.ids[a.Content] {
			return fmt.Errorf("gives %s another id than %d", a.Content, t.ids[a.Content])
		}
	}
	return nil
}

// A step is a normalizer or a pre-tokenizer, or several of them in sequence.
type step struct {
	Type           string
	Normalizers    []step
	PreTokenizers  []step `json:"pretokenizers"`
	Pattern        struct{ Regex, String string }
	Content        string
	Behavior       string
	Invert         bool
	AddPrefixSpace bool  `json:"add_prefix_space"`
	UseRegex       *bool `json:"use_regex"`
}

// stepNames names the steps.
func stepNames(steps []step) string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Type)
	}
	return quoteStart(strings.Join(names, ", "))
}

// steps are those of a sequence, or the one.
func (s step) steps(of []step) []step {
	if s.Type == "Sequence" {
		return of
	}
	return []step{s}
}

// checkNormalizer wants composed characters, single spaces and lower case.
func checkNormalizer(raw json.RawMessage) error {
	var s step
	if err := json.Unmarshal(raw, &s); err != nil {
		return jsonError(err)
	}
	all := s.steps(s.Normalizers)
	if len(all) != 3 || all[0].Type != "NFC" || all[1].Type != "Replace" || all[1].Pattern.Regex != `\s+` || all[1].Content != " " || all[2].Type != "Lowercase" {
		return fmt.Errorf("is %s, not NFC, Replace of white space, Lowercase", stepNames(all))
	}
	return nil
}

// clipPatterns cut a text as [pieces] does: OpenAI's pattern, and the tokenizers', which cut special tokens out before.
var clipPatterns = []string{
	`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
	`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
}

func checkPreTokenizer(raw json.RawMessage) error {
	var s step
	if err := json.Unmarshal(raw, &s); err != nil {
		return jsonError(err)
	}
	all := s.steps(s.PreTokenizers)
	if len(all) != 2 || all[0].Type != "Split" || all[1].Type != "ByteLevel" {
		return fmt.Errorf("is %s, not Split, ByteLevel", stepNames(all))
	}
	if all[0].Pattern.Regex != clipPatterns[0] && all[0].Pattern.Regex != clipPatterns[1] || !all[0].Invert || all[0].Behavior != "Removed" {
		return fmt.Errorf("splits by %s, not into CLIP's pieces", quoteStart(all[0].Pattern.Regex))
	}
	if all[1].AddPrefixSpace {
		return errors.New("adds a space before the text")
	}
	return nil
}

// checkPostProcessor wants the start token before a text and the end token after it.
func (t *BPE) checkPostProcessor(raw json.RawMessage) error {
	var p struct {
		Type     string
		Sep, Cls []any
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return jsonError(err)
	}
	is := func(token []any, name string) bool {
		return len(token) == 2 && token[0] == name && token[1] == float64(t.ids[name])
	}
	if p.Type != "RobertaProcessing" || !is(p.Cls, startOfText) || !is(p.Sep, endOfText) {
		return fmt.Errorf("is a %s that does not put %s before the text and %s after it", quoteStart(p.Type), startOfText, endOfText)
	}
	return nil
}
