package subword

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"fewshot/nn/quote"
)

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

// readIDs reads a vocabulary of pieces and ids, which must have no gaps: where there is one, a model was put together
// wrongly.
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
