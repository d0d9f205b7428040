package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Where the kinds of ids begin.
const (
	endOfWordIDs = 256 // a byte that ends a word
	firstMerge   = 512
)

const endOfWord = "</w>" // what the spelling of a symbol that ends a word ends with

// Limits on what is read. OpenAI's file, the largest in use, has 3.2 MB of 262,144 merges, of which 48,894 count.
const (
	maxVocabularyBytes = 16 << 20
	maxMerges          = 1 << 18
)

// OpenAI's file holds more merges than its vocabulary: 49,152 ids less the bytes and the special tokens are used. Its
// first line, a name and a version, tells it from others.
const (
	openAIHeader = `"bpe_simple_vocab_16e6.txt#version:`
	openAIMerges = 49152 - 256 - 2
)

// mergesHeader is the first line of merges files that Hugging Face's tokenizers write and expect.
const mergesHeader = "#version: 0.2"

// A VocabularyError tells what is wrong with a vocabulary file.
type VocabularyError struct {
	File   string
	Line   int // counted from 1; 0 where the fault is no line's
	Reason string
	Err    error // the cause, if another error is
}

// Error gives file, line and reason.
func (e *VocabularyError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d", e.Line)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *VocabularyError) Unwrap() error { return e.Err }

// byteID is the id of a byte within a word; a byte that ends a word has that plus endOfWordIDs. Vocabulary files
// write bytes as letters: the printable ones of Latin-1 as themselves and the other 68, in order, as U+0100 and up.
// Ids follow the letters' order but for two: Latin-1's come first, whatever their byte.
var byteID, byteLetter, letterByte = byteAlphabet()

func byteAlphabet() (ids [256]int32, letters [256]rune, byLetter map[rune]byte) {
	byLetter = make(map[rune]byte, 256)
	printable := func(b int) bool {
		return '!' <= b && b <= '~' || '¡' <= b && b <= '¬' || '®' <= b && b <= 'ÿ'
	}
	id, other := int32(0), rune(0x100)
	for b := range 256 {
		if printable(b) {
			ids[b], letters[b] = id, rune(b)
			id++
		}
	}
	for b := range 256 {
		if !printable(b) {
			ids[b], letters[b] = id, other
			id++
			other++
		}
	}
	for b, letter := range letters {
		byLetter[letter] = byte(b)
	}
	return ids, letters, byLetter
}

// newTokenizer returns a tokenizer that has no merges and no special tokens yet, and room for so many merges.
func newTokenizer(merges int) *BPE {
	t := &BPE{
		symbols: make([]string, firstMerge, firstMerge+merges+2),
		ids:     make(map[string]int32, firstMerge+merges+2),
		halves:  make([]pair, 0, merges),
		merged:  make(map[pair]int32, merges),
	}
	for b := range 256 {
		id := byteID[b]
		t.symbols[id] = string(byteLetter[b])
		t.symbols[id+endOfWordIDs] = string(byteLetter[b]) + endOfWord
	}
	for id, s := range t.symbols {
		t.ids[s] = int32(id)
	}
	return t
}

// addMerge appends the merge of two symbols, or tells why it cannot be one.
func (t *BPE) addMerge(left, right string) error { return t.addSpelt(left, right, left+right) }

// addSpelt is addMerge for who has the spelling of what is made.
func (t *BPE) addSpelt(left, right, s string) error {
	l, ok := t.ids[left]
	if !ok {
		return fmt.Errorf("merges %q, which is neither a byte nor made by a line above", left)
	}
	r, ok := t.ids[right]
	if !ok {
		return fmt.Errorf("merges %q, which is neither a byte nor made by a line above", right)
	}
	if strings.HasSuffix(left, endOfWord) || strings.HasSuffix(s, endOfWord) != strings.HasSuffix(right, endOfWord) {
		return fmt.Errorf("merges %q and %q: %s is not at the end of a word", left, right, endOfWord)
	}
	if id, twice := t.ids[s]; twice {
		return fmt.Errorf("makes %q, which has the id %d already", s, id)
	}
	if s == startOfText || s == endOfText {
		return fmt.Errorf("makes %q, the name of a special token", s)
	}
	if len(t.halves) == maxMerges {
		return fmt.Errorf("is merge %d, more than the %d that are read", maxMerges+1, maxMerges)
	}
	id := int32(len(t.symbols))
	t.symbols = append(t.symbols, s)
	t.ids[s] = id
	t.halves = append(t.halves, pair{l, r})
	t.merged[pair{l, r}] = id
	return nil
}

// addSpecials appends the special tokens, which come after the last merge.
func (t *BPE) addSpecials() {
	for _, s := range [...]string{startOfText, endOfText} {
		t.ids[s] = int32(len(t.symbols))
		t.symbols = append(t.symbols, s)
	}
}

// ReadMerges makes a tokenizer from a merges file: OpenAI's bpe_simple_vocab_16e6.txt.gz, the same unpacked, or a
// merges.txt as Hugging Face models have it and [BPE.WriteMerges] writes it, of any number of merges. Whether r is
// compressed is told by its first bytes. name names the file in errors, which are of type *[VocabularyError].
//
// The first line must be a version header (for every reader of such files drops it), each further one two symbols with
// a space between them, known from the lines above, that make a new one. Of OpenAI's file the first 48,894 merges are
// used, as its readers do.
func ReadMerges(name string, r io.Reader) (*BPE, error) {
	data, err := readBounded(name, r)
	if err != nil {
		return nil, err
	}
	first, after, _ := bytes.Cut(data, []byte("\n"))
	header := string(first)
	isOpenAI := strings.HasPrefix(header, openAIHeader)
	if !isOpenAI && !strings.HasPrefix(header, "#version") {
		return nil, &VocabularyError{File: name, Line: 1, Reason: fmt.Sprintf(
			"starts with %s, not with a version header: if this is a merges file, put the line %q before its first merge",
			quoteStart(header), mergesHeader)}
	}
	if isOpenAI {
		after = firstLines(after, openAIMerges)
	}
	rest := string(after)
	t := newTokenizer(min(strings.Count(rest, "\n")+1, maxMerges))
	var spelt strings.Builder // of all merges, one behind the other
	spelt.Grow(len(rest))
	line := 1
	for text := range strings.Lines(rest) {
		line++
		left, right, ok := strings.Cut(strings.TrimRight(text, "\r\n"), " ")
		if !ok || strings.Contains(right, " ") {
			return nil, &VocabularyError{File: name, Line: line, Reason: fmt.Sprintf(
				"has %s where two symbols with one space between them are expected", quoteStart(text))}
		}
		spelt.WriteString(left)
		spelt.WriteString(right)
		if err := t.addSpelt(left, right, spelt.String()[spelt.Len()-len(left)-len(right):]); err != nil {
			return nil, &VocabularyError{File: name, Line: line, Reason: err.Error()}
		}
	}
	if isOpenAI && len(t.halves) < openAIMerges {
		return nil, &VocabularyError{File: name, Line: line, Reason: fmt.Sprintf(
			"the file ends after %d merges of %d: it is not complete, fetch it again", len(t.halves), openAIMerges)}
	}
	t.addSpecials()
	return t, nil
}

// firstLines are the first n lines of s.
func firstLines(s []byte, n int) []byte {
	end := 0
	for ; n > 0; n-- {
		i := bytes.IndexByte(s[end:], '\n')
		if i < 0 {
			return s
		}
		end += i + 1
	}
	return s[:end]
}

// readBounded reads all of r, unpacked if it is compressed.
func readBounded(name string, r io.Reader) ([]byte, error) {
	in := bufio.NewReader(r)
	start, err := in.Peek(2)
	if err != nil && err != io.EOF {
		return nil, &VocabularyError{File: name, Reason: "cannot be read", Err: err}
	}
	r = in
	if bytes.Equal(start, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, &VocabularyError{File: name, Reason: "is damaged", Err: err}
		}
		r = unpacked
	}
	data, err := io.ReadAll(io.LimitReader(r, maxVocabularyBytes+1))
	if err != nil {
		return nil, &VocabularyError{File: name, Reason: "cannot be read to its end", Err: err}
	}
	if len(data) > maxVocabularyBytes {
		return nil, &VocabularyError{File: name, Reason: fmt.Sprintf("is larger than %d MiB: no vocabulary file is",
			maxVocabularyBytes>>20)}
	}
	return data, nil
}

// WriteMerges writes the merges file that [ReadMerges] reads, in the form of Hugging Face's merges.txt.
func (t *BPE) WriteMerges(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, mergesHeader)
	for _, p := range t.halves {
		fmt.Fprintln(out, t.symbols[p.left], t.symbols[p.right])
	}
	return out.Flush()
}

// WriteVocab writes the ids of all symbols in the form of Hugging Face's vocab.json, in the order of the ids.
func (t *BPE) WriteVocab(w io.Writer) error {
	out := bufio.NewWriter(w)
	separator := "{"
	for id, s := range t.symbols {
		fmt.Fprintf(out, "%s%q:%d", separator, s, id) // %q is JSON's quoting, too, for letters that are all printable
		separator = ","
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}

// CheckVocab checks the tokenizer against a Hugging Face vocab.json: every symbol there must have its id here, and none
// may be missing. A model whose files disagree was put together wrongly and would give wrong features without a sign.
// name names the file in errors, which are of type *[VocabularyError].
func (t *BPE) CheckVocab(name string, r io.Reader) error {
	data, err := readBounded(name, r)
	if err != nil {
		return err
	}
	fault := func(at int64, format string, args ...any) error {
		return &VocabularyError{File: name, Line: 1 + bytes.Count(data[:at], []byte("\n")), Reason: fmt.Sprintf(format, args...)}
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	next := func() (json.Token, error) {
		token, err := in.Token()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, &VocabularyError{File: name, Reason: "is not a vocab.json", Err: err}
		}
		return token, nil
	}

	open, err := next()
	if err != nil {
		return err
	}
	if open != json.Delim('{') {
		return fault(in.InputOffset(), "is not a vocab.json: it holds no object of symbols and ids")
	}
	seen := make([]bool, t.Size())
	count := 0
	for in.More() {
		key, err := next()
		if err != nil {
			return err
		}
		value, err := next()
		if err != nil {
			return err
		}
		symbol := key.(string) // the decoder lets nothing else be a key
		id, ok := t.ids[symbol]
		switch {
		case !ok:
			return fault(in.InputOffset(), "has the symbol %s, which the merges do not make", quoteStart(symbol))
		case value != json.Number(fmt.Sprint(id)):
			return fault(in.InputOffset(), "gives %q the id %v, the merges give it %d", symbol, value, id)
		case seen[id]:
			return fault(in.InputOffset(), "has the symbol %q twice", symbol)
		}
		seen[id] = true
		count++
	}
	if _, err := next(); err != nil {
		return err
	}
	if _, err := in.Token(); err != io.EOF {
		return fault(in.InputOffset(), "goes on after its object")
	}
	if count < t.Size() {
		for id, ok := range seen {
			if !ok {
				return &VocabularyError{File: name, Reason: fmt.Sprintf(
					"lacks %d of %d symbols, the first %q with id %d", t.Size()-count, t.Size(), t.symbols[id], id)}
			}
		}
	}
	return nil
}
