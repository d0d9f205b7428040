package text

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxTextBytes is the longest text that is tokenized. A context holds 77 tokens, so that anything near this bound is
// not a caption; the bound keeps every step of cleaning and merging cheap whatever the text holds.
const MaxTextBytes = 4096

// The two special tokens as they are spelt in texts and in vocab.json.
const (
	startOfText = "<|startoftext|>"
	endOfText   = "<|endoftext|>"
)

// A Tokenizer turns texts into the ids that an encoder takes, and back. It never changes once made and may be used by
// several goroutines at once. CLIP's own is [BPE]; [ReadTokenizer] reads those of its relatives.
type Tokenizer interface {
	// Size is the number of ids of the vocabulary.
	Size() int
	// Encode returns the ids of a text, without what stands around them. It refuses, with a *[TextError], text that is
	// not UTF-8 or longer than [MaxTextBytes].
	Encode(text string) ([]int32, error)
	// Tokenize returns what a text encoder reads: the ids of a text with those that belong around it, at most context of
	// them, not padded. A text that needs more is refused with a *[TextError], or, with truncate, cut.
	Tokenize(text string, context int, truncate bool) ([]int32, error)
	// Before is how many ids Tokenize puts before a text.
	Before() int
	// Decode returns the text that ids spell, for people to read.
	Decode(ids []int32) string
	// Pad is the id that texts are padded with, where the tokenizer's files say one.
	Pad() (id int32, ok bool)
	// Fingerprint writes all that ids depend on.
	Fingerprint(w io.Writer) error
}

// BPE is CLIP's tokenizer. It gives the ids of OpenAI's SimpleTokenizer, which is also open_clip's: a text is
// cleaned, cut into pieces (see [BPE.Encode]), and each piece is merged by byte-pair encoding.
//
// Ids are laid out as in every CLIP vocabulary: 256 bytes, 256 bytes that end a word, one id for each merge in the
// order of the merges, start of text, end of text.
type BPE struct {
	symbols []string         // spelling of each id, in the printable alphabet of vocabulary files
	ids     map[string]int32 // id of each spelling
	halves  []pair           // what each merge joins; merge i makes the id firstMerge+i
	merged  map[pair]int32   // the same by pair. A lower id is an earlier merge, which goes first
}

// Size is the number of token ids: rows of the model's token embedding.
func (t *BPE) Size() int { return firstMerge + len(t.halves) + 2 }

// SOT is the id of the start-of-text token, 49406 in OpenAI's vocabulary.
func (t *BPE) SOT() int32 { return int32(t.Size() - 2) }

// EOT is the id of the end-of-text token, 49407 in OpenAI's vocabulary. It is the largest id: CLIP finds the end of a
// text by that.
func (t *BPE) EOT() int32 { return int32(t.Size() - 1) }

// Encode returns the ids of text, without start and end tokens.
//
// The text is cleaned first: glitches repaired as ftfy does (all but mojibake, see below), HTML references resolved
// twice, white space collapsed, lower-cased. Then it is cut, left to right, into special tokens spelt out, English
// contractions ('s 't 're 've 'm 'll 'd), runs of letters, single digits, and runs of anything else; so a digit is
// always a token of its own.
//
// Cleaning equals ftfy.fix_text(text, fix_encoding=False) followed by OpenAI's steps. The one step of ftfy that is
// left out, fix_encoding, guesses that a text was once decoded in the wrong encoding ("cafÃ©" for "café") and
// re-decodes it; such a text keeps its wrong letters here. Letters and digits are those of Unicode as this Go knows
// it (15.0 in Go 1.26); Python's modules know their own versions.
//
// Encode refuses, with a *[TextError], text that is not UTF-8 or longer than [MaxTextBytes].
func (t *BPE) Encode(text string) ([]int32, error) {
	cleaned, err := clean(text)
	if err != nil {
		return nil, err
	}
	var ids []int32
	var m merger
	for piece := range pieces(cleaned) {
		if piece == startOfText || piece == endOfText {
			ids = append(ids, t.ids[piece])
			continue
		}
		ids = m.appendIDs(ids, t, piece)
	}
	return ids, nil
}

// Tokenize returns what a text encoder reads: the start token, the ids of text, the end token; at most context of them
// (77 in CLIP), not padded.
//
// A text that needs more is refused with a *[TextError], as OpenAI's tokenize does by default; with truncate it is
// cut to context ids, the last of which becomes the end token, as open_clip and Hugging Face do.
func (t *BPE) Tokenize(text string, context int, truncate bool) ([]int32, error) {
	if context < 2 {
		return nil, fmt.Errorf("text: a context of %d tokens has no room for the start and end tokens", context)
	}
	inner, err := t.Encode(text)
	if err != nil {
		return nil, err
	}
	n := len(inner) + 2
	if n > context {
		if !truncate {
			return nil, &TextError{text, fmt.Sprintf(
				"makes %d tokens (start and end included), the context holds %d: shorten it", n, context)}
		}
		inner = inner[:context-2]
	}
	return slices.Concat([]int32{t.SOT()}, inner, []int32{t.EOT()}), nil
}

// Before is 1, the start of text.
func (t *BPE) Before() int { return 1 }

// Pad says nothing: what comes after a text's end has no influence in CLIP, and its relatives that have this
// tokenizer pad with 0.
func (t *BPE) Pad() (id int32, ok bool) { return 0, false }

// Fingerprint writes merges and ids.
func (t *BPE) Fingerprint(w io.Writer) error {
	if err := t.WriteMerges(w); err != nil {
		return err
	}
	return t.WriteVocab(w)
}

// Decode returns the text that ids spell, for people to read: cleaned text, with a space after every word. Tokens can
// end within a character; what is no valid UTF-8, and ids that the vocabulary lacks, show as U+FFFD.
func (t *BPE) Decode(ids []int32) string {
	var b []byte
	for _, id := range ids {
		switch {
		case id < 0 || int(id) >= t.Size():
			b = utf8.AppendRune(b, utf8.RuneError)
		case id >= t.SOT():
			b = append(b, t.symbols[id]...)
		default:
			b = t.appendBytes(b, id)
			if strings.HasSuffix(t.symbols[id], endOfWord) {
				b = append(b, ' ')
			}
		}
	}
	return strings.ToValidUTF8(string(b), string(utf8.RuneError))
}

// appendBytes appends the bytes that an id other than the special tokens' stands for.
func (t *BPE) appendBytes(b []byte, id int32) []byte {
	for _, letter := range strings.TrimSuffix(t.symbols[id], endOfWord) {
		b = append(b, letterByte[letter])
	}
	return b
}

// A TextError tells why a text was not tokenized.
type TextError struct {
	Text   string // the whole text, as given
	Reason string // what is wrong with it and what to do
}

// Error quotes the text, shortened, and gives the reason.
func (e *TextError) Error() string {
	return "text " + quoteStart(e.Text) + " " + e.Reason
}

// quoteStart quotes s for a message: all of it if it fits a line, otherwise its start.
func quoteStart(s string) string {
	const most = 60
	n := 0
	for i := range s {
		if n == most {
			return strconv.Quote(s[:i]) + "…"
		}
		n++
	}
	return strconv.Quote(s)
}
