package subword

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"fewshot/nn/quote"
)

// A step is a normalizer or a pre-tokenizer, or several of them in sequence.
type step struct {
	Type string

	Normalizers   []step
	PreTokenizers []step `json:"pretokenizers"`

	Charsmap       *[]byte `json:"precompiled_charsmap"` // base64
	Pattern        struct{ Regex, String *string }
	Content        string
	Behavior       string
	Invert         bool
	Prepend        string
	StripLeft      bool  `json:"strip_left"`
	StripRight     bool  `json:"strip_right"`
	CleanText      bool  `json:"clean_text"`
	ChineseChars   bool  `json:"handle_chinese_chars"`
	StripAccents   *bool `json:"strip_accents"`
	Lowercase      bool
	Replacement    string
	StrRep         string `json:"str_rep"`
	AddPrefixSpace *bool  `json:"add_prefix_space"`
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool

	// Of steps that are not computed here, which are to be refused by name and not for their settings.
	TrimOffsets      any `json:"trim_offsets"`
	UseRegex         any `json:"use_regex"`
	IndividualDigits any `json:"individual_digits"`
	Delimiter        any
	Length           any
}

// maxDepth bounds sequences in sequences.
const maxDepth = 4

// steps are those of a sequence, or the one.
func (s step) steps(depth int, of func(step) []step) ([]step, error) {
	if s.Type != "Sequence" {
		return []step{s}, nil
	}
	if depth == maxDepth {
		return nil, errors.New("is a sequence of sequences of sequences")
	}
	var all []step
	for _, t := range of(s) {
		more, err := t.steps(depth+1, of)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// readNormalizer reads what texts go through before they are split.
func (p *Pipeline) readNormalizer(raw json.RawMessage) (err error) {
	p.normalize, err = readSteps(raw, func(s step) []step { return s.Normalizers }, step.normalizer)
	return err
}

// readSteps reads a step, or those of a sequence, which of tells, and makes of each what is done.
func readSteps[F any](raw json.RawMessage, of func(step) []step, do func(step) (F, error)) ([]F, error) {
	if absent(raw) {
		return nil, nil
	}
	var s step
	if err := decode(raw, &s); err != nil {
		return nil, err
	}
	steps, err := s.steps(0, of)
	if err != nil {
		return nil, err
	}
	var all []F
	for _, s := range steps {
		f, err := do(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quote.String(s.Type), err)
		}
		all = append(all, f)
	}
	return all, nil
}

func (s step) normalizer() (func(string) string, error) {
	switch s.Type {
	case "NFC":
		return norm.NFC.String, nil
	case "NFD":
		return norm.NFD.String, nil
	case "NFKC":
		return norm.NFKC.String, nil
	case "NFKD":
		return norm.NFKD.String, nil
	case "Lowercase":
		return lowercase, nil
	case "StripAccents":
		return stripAccents, nil
	case "Prepend":
		return func(t string) string {
			if t == "" {
				return t
			}
			return s.Prepend + t
		}, nil
	case "Strip":
		return func(t string) string {
			if s.StripLeft {
				t = strings.TrimLeftFunc(t, unicode.IsSpace)
			}
			if s.StripRight {
				t = strings.TrimRightFunc(t, unicode.IsSpace)
			}
			return t
		}, nil
	case "Replace":
		return s.replace()
	case "Precompiled":
		if s.Charsmap == nil {
			return func(t string) string { return t }, nil
		}
		c, err := newCharsmap(*s.Charsmap)
		if c == nil || err != nil {
			return func(t string) string { return t }, err
		}
		return c.graphemes, nil
	case "BertNormalizer":
		n := bertNormalizer{s.CleanText, s.ChineseChars, s.Lowercase, s.Lowercase}
		if s.StripAccents != nil {
			n.accents = *s.StripAccents
		}
		return n.apply, nil
	}
	return nil, errors.New("is a step that is not computed here")
}

// replace is one string, or one of the few patterns that are in use, by another.
func (s step) replace() (func(string) string, error) {
	if s.Pattern.String != nil && *s.Pattern.String != "" {
		return func(t string) string { return strings.ReplaceAll(t, *s.Pattern.String, s.Content) }, nil
	}
	if s.Pattern.Regex == nil {
		return nil, errors.New("has no pattern")
	}
	least, member := 1, unicode.IsSpace
	switch *s.Pattern.Regex {
	case `\s+`:
	case ` {2,}`:
		least, member = 2, func(r rune) bool { return r == ' ' }
	default:
		return nil, fmt.Errorf("replaces by the pattern %s, which is not known", quote.String(*s.Pattern.Regex))
	}
	return func(t string) string {
		var b strings.Builder
		for t != "" {
			n := strings.IndexFunc(t, member)
			if n < 0 {
				n = len(t)
			}
			b.WriteString(t[:n])
			rest := strings.TrimLeftFunc(t[n:], member)
			if run := t[n : len(t)-len(rest)]; len([]rune(run)) >= least {
				b.WriteString(s.Content)
			} else {
				b.WriteString(run)
			}
			t = rest
		}
		return b.String()
	}, nil
}

// readSplitter reads how texts are split before the model.
func (p *Pipeline) readSplitter(raw json.RawMessage) (err error) {
	p.split, err = readSteps(raw, func(s step) []step { return s.PreTokenizers }, step.splitter)
	return err
}

func (s step) splitter() (func([]split) []split, error) {
	switch s.Type {
	case "WhitespaceSplit":
		return onWhiteSpace, nil
	case "BertPreTokenizer":
		return bertSplit, nil
	case "Split":
		if s.Pattern.String == nil || *s.Pattern.String != " " || s.Behavior != "MergedWithPrevious" || s.Invert {
			return nil, errors.New("splits otherwise than behind spaces, which is not done here")
		}
		return behindSpaces, nil
	case "Metaspace":
		if s.Replacement != space || s.StrRep != "" && s.StrRep != space {
			return nil, fmt.Errorf("writes spaces as %s, not as %s", quote.String(s.Replacement), space)
		}
		scheme := s.PrependScheme
		if scheme == "" { // older files
			if scheme = "always"; s.AddPrefixSpace != nil && !*s.AddPrefixSpace {
				scheme = "never"
			}
		}
		if !slices.Contains([]string{"always", "first", "never"}, scheme) {
			return nil, fmt.Errorf("prepends %s", quote.String(scheme))
		}
		return metaspace(scheme == "always", scheme == "first", s.Split == nil || *s.Split), nil
	}
	return nil, errors.New("is a step that is not computed here")
}
