package subword

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"fewshot/nn/quote"
)

// pieceType is what a piece of a SentencePiece model is.
type pieceType int32

const (
	normal      pieceType = 1
	unknown     pieceType = 2
	control     pieceType = 3
	userDefined pieceType = 4
	unused      pieceType = 5
	byteOf      pieceType = 6
)

type piece struct {
	text  string
	score float32
	kind  pieceType
}

// trainerSpec and normalizerSpec are what of a model's settings bears on its ids, with SentencePiece's defaults.
type trainerSpec struct {
	model                int32 // 1 unigram, 2 BPE, 3 words, 4 characters
	byteFallback, suffix bool
	unk, bos, eos, pad   int32
}

type normalizerSpec struct {
	charsmap              []byte
	prefix, trim, escapes bool
}

// modelProto is a file of SentencePiece's.
type modelProto struct {
	pieces     []piece
	trainer    trainerSpec
	normalizer normalizerSpec
}

// readProto reads the protocol buffer ModelProto. What it does not name has no bearing on ids.
func readProto(data []byte) (*modelProto, error) {
	m := &modelProto{
		trainer:    trainerSpec{model: 1, unk: 0, bos: 1, eos: 2, pad: -1},
		normalizer: normalizerSpec{prefix: true, trim: true, escapes: true},
	}
	hasTrainer, hasNormalizer := false, false
	once := func(has *bool, x field, f func(field) error) error {
		if *has {
			return fmt.Errorf("has field %d twice", x.number)
		}
		*has = true
		if err := x.is(length); err != nil {
			return err
		}
		return message(x.bytes).each(f)
	}
	err := message(data).each(func(x field) error {
		switch x.number {
		case 1:
			if len(m.pieces) == maxPieces {
				return fmt.Errorf("has more than %d pieces", maxPieces)
			}
			p := piece{kind: normal}
			if err := x.is(length); err != nil {
				return err
			}
			if err := message(x.bytes).each(p.field); err != nil {
				return err
			}
			m.pieces = append(m.pieces, p)
		case 2:
			return once(&hasTrainer, x, m.trainer.field)
		case 3:
			return once(&hasNormalizer, x, m.normalizer.field)
		}
		return nil
	})
	if err == nil && len(m.pieces) == 0 {
		err = errors.New("is no SentencePiece model: it has no pieces")
	}
	return m, err
}

func (p *piece) field(x field) error {
	switch x.number {
	case 1:
		return x.setText(&p.text)
	case 2:
		return x.setScore(&p.score)
	case 3:
		return x.setInt((*int32)(&p.kind))
	}
	return nil
}

func (t *trainerSpec) field(x field) error {
	switch x.number {
	case 3:
		return x.setInt(&t.model)
	case 24:
		return x.setBool(&t.suffix)
	case 35:
		return x.setBool(&t.byteFallback)
	case 40:
		return x.setInt(&t.unk)
	case 41:
		return x.setInt(&t.bos)
	case 42:
		return x.setInt(&t.eos)
	case 43:
		return x.setInt(&t.pad)
	}
	return nil
}

func (n *normalizerSpec) field(x field) error {
	switch x.number {
	case 2:
		n.charsmap = x.bytes
		return x.is(length)
	case 3:
		return x.setBool(&n.prefix)
	case 4:
		return x.setBool(&n.trim)
	case 5:
		return x.setBool(&n.escapes)
	}
	return nil
}

// ReadSentencePiece reads a model of SentencePiece's, of its kinds unigram and BPE. name names the file in errors,
// which are of type *[FileError].
func ReadSentencePiece(name string, data []byte) (*SentencePiece, error) {
	refuse := func(err error) error { return &FileError{name, err.Error()} }
	if len(data) > MaxFile {
		return nil, refuse(fmt.Errorf("is larger than %d MiB: no tokenizer is", MaxFile>>20))
	}
	proto, err := readProto(data)
	if err != nil {
		return nil, refuse(err)
	}
	s := &SentencePiece{
		pieces: proto.pieces, ids: make(map[string]int32, len(proto.pieces)), reserved: make(map[string]int32),
		unknown: -1, fallback: proto.trainer.byteFallback, suffix: proto.trainer.suffix,
		prefix: proto.normalizer.prefix, trim: proto.normalizer.trim, escapes: proto.normalizer.escapes,
	}
	if s.charsmap, err = newCharsmap(proto.normalizer.charsmap); err != nil {
		return nil, refuse(err)
	}
	if err := s.index(); err != nil {
		return nil, refuse(err)
	}
	for _, special := range []struct {
		id int32
		to *int32
	}{{proto.trainer.bos, &s.BOS}, {proto.trainer.eos, &s.EOS}, {proto.trainer.pad, &s.Pad}} {
		*special.to = -1
		if special.id >= 0 && int(special.id) < len(s.pieces) && s.pieces[special.id].kind == control {
			*special.to = special.id
		}
	}
	switch proto.trainer.model {
	case 1:
		s.uni = s.newUnigram()
	case 2:
		s.rankPieces()
	default:
		return nil, refuse(fmt.Errorf("is a model of kind %d, of words or characters; unigram and BPE models are read", proto.trainer.model))
	}
	return s, nil
}

// index fills what pieces are looked up by.
func (s *SentencePiece) index() error {
	bytes := 0
	for i := range s.bytes {
		s.bytes[i] = -1
	}
	for i, p := range s.pieces {
		id := int32(i)
		if p.text == "" || !utf8.ValidString(p.text) || len(p.text) > maxPiece {
			return fmt.Errorf("piece %d, %s, is no text of 1 to %d bytes", i, quote.String(p.text), maxPiece)
		}
		table := s.reserved
		switch p.kind {
		case normal, userDefined, unused:
			table = s.ids
		case unknown:
			if s.unknown >= 0 {
				return fmt.Errorf("has two pieces for what is unknown, %d and %d", s.unknown, i)
			}
			s.unknown = id
		case control:
		case byteOf:
			b, ok := byteNamed(p.text)
			if !ok || !s.fallback || s.bytes[b] >= 0 {
				return fmt.Errorf("piece %d, %s, is no byte of its own in a model that falls back to bytes", i, quote.String(p.text))
			}
			s.bytes[b] = id
			bytes++
		default:
			return fmt.Errorf("piece %d, %s, is of a kind (%d) that there is not", i, quote.String(p.text), p.kind)
		}
		if _, twice := table[p.text]; twice {
			return fmt.Errorf("has the piece %s twice", quote.String(p.text))
		}
		table[p.text] = id
		if p.kind == userDefined {
			s.defined = append(s.defined, p.text)
		}
	}
	switch {
	case s.unknown < 0:
		return errors.New("has no piece for what is unknown")
	case s.fallback && bytes < 256:
		return fmt.Errorf("falls back to bytes, of which it has %d of 256", bytes)
	}
	s.matcher = newMatcher(s.defined)
	return nil
}

// byteNamed is the byte that a piece such as <0x0A> stands for.
func byteNamed(piece string) (b byte, ok bool) {
	if len(piece) != len("<0x00>") || piece[:3] != "<0x" || piece[5] != '>' {
		return 0, false
	}
	for _, c := range piece[3:5] {
		switch {
		case '0' <= c && c <= '9':
			b = b<<4 | byte(c-'0')
		case 'A' <= c && c <= 'F':
			b = b<<4 | byte(c-'A'+10)
		default:
			return 0, false
		}
	}
	return b, true
}

// A matcher finds the longest of some strings that a text begins with.
type matcher struct {
	set     map[string]int // its number
	longest int
	starts  [256]bool
}

func newMatcher(all []string) *matcher {
	m := &matcher{set: make(map[string]int, len(all))}
	for i, s := range all {
		if _, twice := m.set[s]; twice || s == "" {
			continue
		}
		m.set[s] = i
		m.longest = max(m.longest, len(s))
		m.starts[s[0]] = true
	}
	return m
}

// match is the length of the longest that s begins with, and its number; 0 if it begins with none.
func (m *matcher) match(s string) (n, i int) {
	if s == "" || !m.starts[s[0]] {
		return 0, 0
	}
	for n := min(m.longest, len(s)); n > 0; n-- {
		if i, ok := m.set[s[:n]]; ok {
			return n, i
		}
	}
	return 0, 0
}
