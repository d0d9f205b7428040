package subword

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"fewshot/nn/quote"
)

// ReadTokenizers reads a tokenizer.json of Hugging Face's tokenizers: a Unigram, BPE or WordPiece model and the steps around it, as far as
// CLIP's relatives use them. Decoders, truncation and padding are not what ids depend on; of padding the id is kept. name names the file
// in errors, which are of type *[FileError].
func ReadTokenizers(name string, data []byte) (*Pipeline, error) {
	p, err := readTokenizers(data)
	if err != nil {
		return nil, &FileError{name, err.Error()}
	}
	return p, nil
}

func readTokenizers(data []byte) (*Pipeline, error) {
	if err := wellFormed(data); err != nil {
		return nil, err
	}
	file, err := members(data)
	if err != nil {
		return nil, fmt.Errorf("is no tokenizer.json: %w", err)
	}
	model, err := members(file["model"])
	if err != nil {
		return nil, fmt.Errorf("is no tokenizer.json: model %w", err)
	}
	p := &Pipeline{Pad: -1, ids: make(map[string]int32)}
	var kind string
	if !absent(model["type"]) {
		if err := decode(model["type"], &kind); err != nil {
			return nil, err
		}
	}
	read := map[string]func(map[string]json.RawMessage) error{"Unigram": p.readUnigram, "BPE": p.readBPE, "WordPiece": p.readWordPiece}[kind]
	if read == nil {
		return nil, fmt.Errorf("has a model of type %s; Unigram, BPE and WordPiece are read", quote.String(kind))
	}
	for _, part := range []struct {
		name string
		err  error
	}{
		{"model", read(model)},
		{"normalizer", p.readNormalizer(file["normalizer"])},
		{"added_tokens", p.readAdded(file["added_tokens"])},
		{"pre_tokenizer", p.readSplitter(file["pre_tokenizer"])},
		{"post_processor", p.readAround(file["post_processor"])},
		{"padding", p.readPadding(file["padding"])},
	} {
		if part.err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, part.err)
		}
	}
	p.index()
	return p, nil
}

// known refuses settings of a model that are not among the given ones.
func known(model map[string]json.RawMessage, keys ...string) error {
	for key := range model {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("has a setting %s, which is not known", quote.String(key))
		}
	}
	return nil
}

// setting reads one of a model's, where it is there.
func setting[T any](model map[string]json.RawMessage, key string, to *T) error {
	if absent(model[key]) {
		return nil
	}
	if err := decode(model[key], to); err != nil {
		return fmt.Errorf("%s %w", key, err)
	}
	return nil
}

// put gives a piece its id.
func (p *Pipeline) put(piece string, id int32) error {
	if len(piece) > maxPiece || piece == "" {
		return fmt.Errorf("has the piece %s, which is no text of 1 to %d bytes", quote.String(piece), maxPiece)
	}
	if _, twice := p.ids[piece]; twice {
		return fmt.Errorf("has the piece %s twice", quote.String(piece))
	}
	p.ids[piece] = id
	return p.name(piece, id)
}

// name says how an id is spelt.
func (p *Pipeline) name(piece string, id int32) error {
	if int(id) >= len(p.pieces) {
		p.pieces = append(p.pieces, make([]string, int(id)+1-len(p.pieces))...)
	}
	if p.pieces[id] != "" && p.pieces[id] != piece {
		return fmt.Errorf("has two pieces with the id %d, %s and %s", id, quote.String(p.pieces[id]), quote.String(piece))
	}
	p.pieces[id] = piece
	return nil
}

// readIDs reads a vocabulary of pieces and ids, which must have no gaps: where there is one, a model was put together wrongly.
func (p *Pipeline) readIDs(raw json.RawMessage) error {
	s := &scanner{src: raw}
	err := s.each('{', '}', func() error {
		piece, err := s.text()
		if err != nil {
			return err
		}
		s.take(':')
		id, err := s.id()
		if err == nil && int(id) >= len(raw) { // there are no gaps, and each piece takes more than a byte
			err = fmt.Errorf("has the id %d, of fewer pieces", id)
		}
		if err != nil {
			return err
		}
		return p.put(piece, id)
	})
	if err == nil && len(p.ids) == 0 {
		err = errors.New("is empty")
	}
	if err == nil && len(p.pieces) != len(p.ids) {
		err = fmt.Errorf("has %d pieces and ids up to %d", len(p.ids), len(p.pieces)-1)
	}
	if err != nil {
		return fmt.Errorf("vocab %w", err)
	}
	return nil
}

// readUnigram reads a Unigram model.
func (p *Pipeline) readUnigram(model map[string]json.RawMessage) error {
	if err := known(model, "type", "unk_id", "vocab", "byte_fallback"); err != nil {
		return err
	}
	var unknown *int32
	fallback := false
	if err := errors.Join(setting(model, "unk_id", &unknown), setting(model, "byte_fallback", &fallback)); err != nil {
		return err
	}
	var scores []float64
	worst := math.Inf(1)
	s := &scanner{src: model["vocab"]}
	err := s.each('[', ']', func() error {
		if len(scores) == maxPieces {
			return fmt.Errorf("has more than %d pieces", maxPieces)
		}
		if !s.take('[') {
			return errors.New("has something else where a piece and its score are expected")
		}
		piece, err := s.text()
		if err != nil {
			return err
		}
		s.take(',')
		score, err := s.score()
		if err != nil {
			return err
		}
		if !s.take(']') {
			return fmt.Errorf("has more than a score for the piece %s", quote.String(piece))
		}
		worst = min(worst, score)
		scores = append(scores, score)
		return p.put(piece, int32(len(scores)-1))
	})
	switch {
	case err != nil:
		return fmt.Errorf("vocab %w", err)
	case unknown == nil:
		return errors.New("has no unk_id: nothing stands for unknown characters")
	case *unknown < 0 || int(*unknown) >= len(scores):
		return fmt.Errorf("unk_id %d is none of %d pieces", *unknown, len(scores))
	}
	u := &unigram{ids: p.ids, score: func(id int32, _ int) float64 { return scores[id] }, unknown: *unknown, penalty: worst - unknownPenalty}
	for piece := range p.ids {
		u.longest = max(u.longest, len(piece))
	}
	var bytes *[256]int32
	if fallback {
		bytes = p.byteIDs()
	}
	p.model, p.unigram = p.unigramPieces(u, bytes), true
	return nil
}

// readBPE reads a BPE model.
func (p *Pipeline) readBPE(model map[string]json.RawMessage) error {
	if err := known(model, "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
		"ignore_merges", "vocab", "merges"); err != nil {
		return err
	}
	var unknown *string
	var prefix, suffix string
	var dropout float64
	m, fallback, ignore := &merges{unknown: -1}, false, false
	if err := errors.Join(setting(model, "unk_token", &unknown), setting(model, "fuse_unk", &m.fuse), setting(model, "byte_fallback", &fallback),
		setting(model, "continuing_subword_prefix", &prefix), setting(model, "end_of_word_suffix", &suffix), setting(model, "dropout", &dropout),
		setting(model, "ignore_merges", &ignore)); err != nil {
		return err
	}
	if prefix != "" || suffix != "" || dropout != 0 || ignore {
		return errors.New("marks parts of words, drops merges or leaves them out, which is not done here")
	}
	if err := p.readIDs(model["vocab"]); err != nil {
		return err
	}
	if unknown != nil {
		id, ok := p.ids[*unknown]
		if !ok {
			return fmt.Errorf("has no piece %s, its unk_token", quote.String(*unknown))
		}
		m.unknown = id
	}
	m.rank = make(map[[2]int32]int32)
	s := &scanner{src: model["merges"]}
	err := s.each('[', ']', func() error {
		left, right, err := s.merge()
		if err != nil {
			return err
		}
		l, ok := p.ids[left]
		r, also := p.ids[right]
		makes, whole := p.ids[left+right]
		if !ok || !also || !whole {
			return fmt.Errorf("merge %s and %s, of which the vocabulary has no pieces, or not what they make", quote.String(left), quote.String(right))
		}
		if len(m.makes) == maxPieces {
			return fmt.Errorf("are more than %d", maxPieces)
		}
		m.rank[[2]int32{l, r}] = int32(len(m.makes)) // the last counts where a pair occurs twice
		m.makes = append(m.makes, makes)
		return nil
	})
	if err != nil {
		return fmt.Errorf("merges %w", err)
	}
	var bytes *[256]int32
	if fallback {
		bytes = p.byteIDs()
	}
	p.model = p.bpePieces(m, bytes)
	return nil
}

// merge reads a merge: a pair, or, in older files, both with a space between them.
func (s *scanner) merge() (left, right string, err error) {
	if s.peek() == '"' {
		both, err := s.text()
		left, right, ok := strings.Cut(both, " ")
		if err == nil && (!ok || strings.Contains(right, " ")) {
			err = fmt.Errorf("have %s, where two pieces with a space between them are expected", quote.String(both))
		}
		return left, right, err
	}
	if !s.take('[') {
		return "", "", errors.New("have something else where a pair is expected")
	}
	if left, err = s.text(); err == nil {
		s.take(',')
		right, err = s.text()
	}
	if err == nil && !s.take(']') {
		err = fmt.Errorf("join more than two pieces, the first %s", quote.String(left))
	}
	return left, right, err
}

// readWordPiece reads a WordPiece model.
func (p *Pipeline) readWordPiece(model map[string]json.RawMessage) error {
	if err := known(model, "type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"); err != nil {
		return err
	}
	unknown, prefix, most := "[UNK]", continuation, maxWord
	if err := errors.Join(setting(model, "unk_token", &unknown), setting(model, "continuing_subword_prefix", &prefix),
		setting(model, "max_input_chars_per_word", &most)); err != nil {
		return err
	}
	if prefix != continuation || most < 0 {
		return fmt.Errorf("continues words with %s, not with %s, or has words of no length", quote.String(prefix), continuation)
	}
	if err := p.readIDs(model["vocab"]); err != nil {
		return err
	}
	id, ok := p.ids[unknown]
	if !ok {
		return fmt.Errorf("has no piece %s, its unk_token", quote.String(unknown))
	}
	p.wordPiece, p.model = true, p.wordPieces(id, most)
	return nil
}

// readAdded reads the tokens that are cut out of texts.
func (p *Pipeline) readAdded(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var tokens []struct {
		ID                                  int32
		Content                             string
		SingleWord                          bool `json:"single_word"`
		LStrip, RStrip, Normalized, Special bool
	}
	if err := decode(raw, &tokens); err != nil {
		return err
	}
	if len(tokens) > maxAdded {
		return fmt.Errorf("are more than %d", maxAdded)
	}
	for _, t := range tokens {
		own, ok := p.ids[t.Content]
		switch {
		case t.Content == "" || len(t.Content) > maxPiece:
			return fmt.Errorf("have one that is no text of 1 to %d bytes", maxPiece)
		case t.ID < 0 || int(t.ID) >= len(p.ids)+maxAdded || ok && own != t.ID:
			return fmt.Errorf("give %s the id %d, the model another", quote.String(t.Content), t.ID)
		case t.SingleWord:
			return fmt.Errorf("have %s only where it is a word of its own, which is not looked for here", quote.String(t.Content))
		}
		if !ok {
			if err := p.name(t.Content, t.ID); err != nil {
				return err
			}
		}
		a := added{t.Content, t.ID, t.LStrip, t.RStrip}
		if !t.Normalized {
			p.added = append(p.added, a)
			continue
		}
		for _, f := range p.normalize {
			a.text = f(a.text)
		}
		p.late = append(p.late, a)
	}
	return nil
}

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
func (p *Pipeline) readNormalizer(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var s step
	if err := decode(raw, &s); err != nil {
		return err
	}
	all, err := s.steps(0, func(s step) []step { return s.Normalizers })
	if err != nil {
		return err
	}
	for _, s := range all {
		f, err := s.normalizer()
		if err != nil {
			return fmt.Errorf("%s: %w", quote.String(s.Type), err)
		}
		p.normalize = append(p.normalize, f)
	}
	return nil
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
func (p *Pipeline) readSplitter(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var s step
	if err := decode(raw, &s); err != nil {
		return err
	}
	all, err := s.steps(0, func(s step) []step { return s.PreTokenizers })
	if err != nil {
		return err
	}
	for _, s := range all {
		f, err := s.splitter()
		if err != nil {
			return fmt.Errorf("%s: %w", quote.String(s.Type), err)
		}
		p.split = append(p.split, f)
	}
	return nil
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

// readAround reads what is put around a text.
func (p *Pipeline) readAround(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var s struct {
		Type     string
		Single   []map[string]struct{ ID any }
		Special  map[string]struct{ IDs []int32 } `json:"special_tokens"`
		Sep, Cls []json.RawMessage
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return noJSON(err)
	}
	switch s.Type {
	case "BertProcessing", "RobertaProcessing":
		for _, side := range []struct {
			token []json.RawMessage
			to    *[]int32
		}{{s.Cls, &p.before}, {s.Sep, &p.behind}} {
			if len(side.token) != 2 {
				return fmt.Errorf("%s has no token and id", quote.String(s.Type))
			}
			var id int32
			if err := decode(side.token[1], &id); err != nil {
				return err
			}
			*side.to = []int32{id}
		}
	case "TemplateProcessing":
		seen := false
		for _, part := range s.Single {
			if len(part) != 1 {
				return errors.New("has a part that is not one thing")
			}
			for kind, x := range part {
				id, _ := x.ID.(string)
				switch special, ok := s.Special[id]; {
				case kind == "Sequence" && !seen:
					seen = true
				case kind == "SpecialToken" && ok && seen:
					p.behind = append(p.behind, special.IDs...)
				case kind == "SpecialToken" && ok:
					p.before = append(p.before, special.IDs...)
				default:
					return fmt.Errorf("has a part %s %s that is not known", quote.String(kind), quote.String(id))
				}
			}
		}
		if !seen {
			return errors.New("has no place for the text")
		}
	default:
		return fmt.Errorf("%s is not known", quote.String(s.Type))
	}
	for _, id := range slices.Concat(p.before, p.behind) {
		if id < 0 || int(id) >= len(p.pieces) {
			return fmt.Errorf("puts the id %d around texts, of %d", id, len(p.pieces))
		}
	}
	return nil
}

// readPadding keeps the id of padding.
func (p *Pipeline) readPadding(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var s struct {
		ID *int32 `json:"pad_id"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return noJSON(err)
	}
	if s.ID != nil {
		if *s.ID < 0 || int(*s.ID) >= len(p.pieces) {
			return fmt.Errorf("pads with the id %d, of %d", *s.ID, len(p.pieces))
		}
		p.Pad = *s.ID
	}
	return nil
}
