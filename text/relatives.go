package text

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/text/subword"
)

// Cleaning says what a text goes through before a relative's tokenizer cuts it. open_clip's ways repair glitches and
// resolve HTML references first, as CLIP's tokenizer does; see [BPE.Encode] for the one repair that is left out.
type Cleaning string

const (
	CleanNone         Cleaning = ""             // nothing
	CleanWhitespace   Cleaning = "whitespace"   // open_clip: repaired, white space collapsed
	CleanLower        Cleaning = "lower"        // open_clip: that, and lower case
	CleanCanonicalize Cleaning = "canonicalize" // open_clip: that, underscores made spaces and ASCII's punctuation deleted
	// CleanSigLIP is how SigLIP's two tokenizers were trained: texts of the unigram models in lower case, ASCII's
	// punctuation deleted, white space collapsed, as transformers' SiglipTokenizer does it; those of SigLIP 2's,
	// Gemma's BPE, in lower case, as its Siglip2Tokenizer does it.
	CleanSigLIP Cleaning = "siglip"
)

// Cleanings are all of them.
func Cleanings() []Cleaning {
	return []Cleaning{CleanNone, CleanWhitespace, CleanLower, CleanCanonicalize, CleanSigLIP}
}

// TokenizerFile is a relative's tokenizer and what must be known besides.
type TokenizerFile struct {
	Name     string // in errors; its ending says what it is: .model, .json, .txt
	Data     []byte
	Config   []byte // tokenizer_config.json; nil where there is none
	Clean    Cleaning
	StripSep bool // the id behind a text becomes 0, as CLIPA wants it
	Rows     int  // of the model's table of tokens
}

// Relative is the tokenizer of a relative of CLIP's: texts are cleaned, cut by what its file says, and get the ids
// around them that it says.
type Relative struct {
	file   subword.Tokenizer
	rows   int
	before []int32
	behind []int32
	pad    int32
	zero   int32 // the id that becomes 0; −1 for none
	once   bool  // a text that ends with the id behind it does not get another
	clean  func(string) string
	append func([]int32, string) []int32
	sum    [sha256.Size]byte
}

var _ Tokenizer = (*Relative)(nil)

// tokenizerConfig is what of a tokenizer_config.json matters.
type tokenizerConfig struct {
	Pad       json.RawMessage `json:"pad_token"`
	LowerCase *bool           `json:"do_lower_case"`
}

// ReadTokenizer reads the tokenizer of a relative of CLIP's: a model of SentencePiece's, a tokenizer.json of Hugging
// Face's tokenizers, or BERT's vocab.txt. Errors are of type *[VocabularyError].
func ReadTokenizer(f TokenizerFile) (*Relative, error) {
	t, err := readTokenizer(f)
	if err == nil {
		return t, nil
	}
	var bad *subword.FileError
	if errors.As(err, &bad) {
		return nil, &VocabularyError{File: bad.File, Reason: bad.Reason}
	}
	return nil, &VocabularyError{File: f.Name, Reason: err.Error()}
}

func readTokenizer(f TokenizerFile) (*Relative, error) {
	if !slices.Contains(Cleanings(), f.Clean) {
		return nil, fmt.Errorf("texts are cleaned by %s, which is not known", quoteStart(string(f.Clean)))
	}
	var config tokenizerConfig
	if f.Config != nil {
		if err := json.Unmarshal(f.Config, &config); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json beside it is no JSON: %w", err)
		}
	}
	t := &Relative{rows: f.Rows, pad: -1, zero: -1}
	t.sum = sha256.Sum256(fmt.Appendf(nil, "%x %q %t", sha256.Sum256(f.Data), f.Clean, f.StripSep))
	unigram := false // SentencePiece's
	switch filepath.Ext(f.Name) {
	case ".model":
		m, err := subword.ReadSentencePiece(f.Name, f.Data)
		if err != nil {
			return nil, err
		}
		if m.EOS < 0 {
			return nil, errors.New("has no symbol that ends a text")
		}
		// The file does not say so, but every relative's texts end with it, and begin with nothing.
		t.file, t.behind, t.pad, unigram = m, []int32{m.EOS}, m.Pad, m.Unigram()
		if unigram { // as transformers' class pads SigLIP's; <pad> is not in use
			t.pad = m.EOS
		}
	case ".txt":
		p, err := subword.ReadVocabTxt(f.Name, f.Data, config.LowerCase == nil || *config.LowerCase)
		if err != nil {
			return nil, err
		}
		t.file, t.pad = p, p.Pad
		t.before, t.behind = p.Around()
	default:
		p, err := subword.ReadTokenizers(f.Name, f.Data)
		if err != nil {
			return nil, err
		}
		t.file, t.pad, unigram = p, p.Pad, p.Unigram()
		t.before, t.behind = p.Around()
	}
	if f.Rows > 0 && t.file.Size() > f.Rows {
		return nil, fmt.Errorf("has %d pieces, the model's table %d rows: it is another model's", t.file.Size(), f.Rows)
	}
	if pad := tokenName(config.Pad); pad != "" {
		id, ok := t.file.ID(pad)
		if !ok {
			return nil, fmt.Errorf("has no piece %s, which tokenizer_config.json pads with", quoteStart(pad))
		}
		t.pad = id
	}
	if f.StripSep {
		if len(t.behind) == 0 {
			return nil, errors.New("puts nothing behind a text that could become 0")
		}
		t.zero = t.behind[len(t.behind)-1]
	}
	t.append = t.file.Append
	t.setCleaning(f.Clean, unigram)
	return t, nil
}

// tokenName is a special token's spelling, of a string or an object.
func tokenName(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var o struct{ Content string }
	if json.Unmarshal(raw, &o) == nil {
		return o.Content
	}
	return ""
}

func (t *Relative) setCleaning(c Cleaning, unigram bool) {
	switch c {
	case CleanNone:
		t.clean = func(s string) string { return s }
	case CleanWhitespace:
		t.clean = func(s string) string { return oneSpace(repaired(s)) }
	case CleanLower:
		t.clean = func(s string) string { return lower(oneSpace(repaired(s))) }
	case CleanCanonicalize:
		t.clean = func(s string) string {
			return oneSpace(lower(dropPunctuation(strings.ReplaceAll(strings.TrimFunc(repaired(s), pythonSpace), "_", " "))))
		}
	case CleanSigLIP:
		switch m, ok := t.file.(*subword.SentencePiece); {
		case ok && unigram: // this also says what is cut, see there
			t.clean = func(s string) string { return s }
			t.append, t.once = siglipTokenizer(m, t.behind[0]), true
		case unigram:
			t.clean = siglipText
		default:
			t.clean = lowerEach
		}
	}
}

// lowerEach is lower case by characters, without a form of sigma for the ends of words.
func lowerEach(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteString(lower(string(r)))
	}
	return b.String()
}

// dropPunctuation deletes ASCII's punctuation, underscores too.
func dropPunctuation(s string) string {
	return strings.Map(func(r rune) rune {
		if '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~' {
			return -1
		}
		return r
	}, s)
}

// siglipText is SiglipTokenizer.canonicalize_text: lower case, ASCII's punctuation deleted, white space collapsed.
func siglipText(s string) string { return oneSpace(dropPunctuation(lower(s))) }

// siglipTokenizer is transformers' SiglipTokenizer. A text is cut at special tokens that are spelt out in it; each part is canonicalised and
// encoded behind "<unk>", whose pieces are then left out, so that no space is put before it that is not there.
func siglipTokenizer(m *subword.SentencePiece, eos int32) func([]int32, string) []int32 {
	const unk, end, blank = "<unk>", "</s>", "▁"
	unkID, _ := m.ID(unk)
	own := len(m.Append(nil, unk))
	blankID, hasBlank := m.ID(blank)
	return func(ids []int32, text string) []int32 {
		var got []int32
		spelt := -1 // where the first special token stands
		part := func(s string) {
			if s == "" {
				return
			}
			all := m.Append(nil, unk+siglipText(s))
			if len(all) >= own {
				all = all[own:]
			}
			got = append(got, all...)
		}
		text = blank + strings.ReplaceAll(text, blank, " ")
		for {
			at, id, n := len(text), int32(-1), 0
			for _, special := range []struct {
				text string
				id   int32
			}{{unk, unkID}, {end, eos}} {
				if i := strings.Index(text, special.text); i >= 0 && i < at {
					at, id, n = i, special.id, len(special.text)
				}
			}
			part(text[:at])
			if id < 0 {
				break
			}
			if spelt < 0 {
				spelt = len(got)
			}
			got = append(got, id)
			text = text[at+n:]
		}
		if spelt == 1 && hasBlank && got[0] == blankID {
			got = got[1:]
		}
		return append(ids, got...)
	}
}

// Size is the number of pieces.
func (t *Relative) Size() int { return t.file.Size() }

// Before is how many ids stand before a text.
func (t *Relative) Before() int { return len(t.before) }

// Pad is the id that texts are padded with.
func (t *Relative) Pad() (id int32, ok bool) { return max(t.pad, 0), t.pad >= 0 }

// Encode returns the ids of a text, cleaned, without those around it.
func (t *Relative) Encode(text string) ([]int32, error) {
	if err := readable(text); err != nil {
		return nil, err
	}
	ids := t.append(nil, t.clean(text))
	for _, id := range ids {
		if t.rows > 0 && int(id) >= t.rows {
			return nil, &TextError{text, fmt.Sprintf("has the token %s, of which the model's table has no row", quoteStart(t.file.Decode([]int32{id})))}
		}
	}
	return ids, nil
}

// Tokenize returns the ids of a text with those around it, which stay where a text is cut.
func (t *Relative) Tokenize(text string, context int, truncate bool) ([]int32, error) {
	room := context - len(t.before) - len(t.behind)
	if room < 0 {
		return nil, fmt.Errorf("text: a context of %d tokens has no room for those around a text", context)
	}
	inner, err := t.Encode(text)
	if err != nil {
		return nil, err
	}
	if len(inner) > room {
		if !truncate {
			return nil, &TextError{text, fmt.Sprintf("makes %d tokens (those around it included), the context holds %d: shorten it",
				len(inner)+context-room, context)}
		}
		inner = inner[:room]
	}
	behind := t.behind
	if t.once && len(inner) > 0 && inner[len(inner)-1] == behind[0] {
		behind = nil
	}
	ids := slices.Concat(t.before, inner, behind)
	if t.zero >= 0 {
		for i, id := range ids {
			if id == t.zero {
				ids[i] = 0
			}
		}
	}
	return ids, nil
}

// Decode returns the text that ids spell.
func (t *Relative) Decode(ids []int32) string { return t.file.Decode(ids) }

// Fingerprint writes the hash of the file and of how texts are cleaned.
func (t *Relative) Fingerprint(w io.Writer) error {
	_, err := io.Copy(w, bytes.NewReader(t.sum[:]))
	return err
}
