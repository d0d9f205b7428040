package subword

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"fewshot/nn/quote"
)

// ReadTokenizers reads a tokenizer.json of Hugging Face's tokenizers: a Unigram, BPE or WordPiece model and the steps
// around it, as far as CLIP's relatives use them. Decoders, truncation and padding are not what ids depend on; of
// padding the id is kept. name names the file in errors, which are of type *[FileError].
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
