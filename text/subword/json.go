package subword

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"fewshot/nn/quote"
)

// members splits a JSON object, each key of which occurs once.
func members(raw []byte) (map[string]json.RawMessage, error) {
	in := json.NewDecoder(bytes.NewReader(raw))
	open, err := in.Token()
	if err != nil {
		return nil, noJSON(err)
	}
	if open != json.Delim('{') {
		return nil, errors.New("is no JSON object")
	}
	all := make(map[string]json.RawMessage)
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return nil, noJSON(err)
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, noJSON(err)
		}
		name := key.(string) // the decoder lets nothing else be a key
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("has %s twice", quote.String(name))
		}
		all[name] = value
	}
	if _, err := in.Token(); err != nil {
		return nil, noJSON(err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("goes on after its object")
	}
	return all, nil
}

func noJSON(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("is no JSON: %s", quote.Plain(short(err)))
}

// short is a decoder's error, which may have a stranger's words of any length in it.
func short(err error) string {
	const most = 200
	s := err.Error()
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// decode reads raw into v, which has a field for each key there may be.
func decode(raw json.RawMessage, v any) error {
	in := json.NewDecoder(bytes.NewReader(raw))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		return fmt.Errorf("is not understood: %s", quote.Plain(short(err)))
	}
	return nil
}

// A scanner reads the long lists of a vocabulary, in JSON that is known to be well-formed: encoding/json takes ten
// times as long.
type scanner struct {
	src []byte
	at  int
}

func (s *scanner) peek() byte {
	for s.at < len(s.src) {
		switch c := s.src[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take takes one character, if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() == c {
		s.at++
		return true
	}
	return false
}

// each calls f at each element between two brackets.
func (s *scanner) each(open, close byte, f func() error) error {
	if !s.take(open) {
		return fmt.Errorf("has %q where a list or an object is expected", s.peek())
	}
	for !s.take(close) {
		if err := f(); err != nil {
			return err
		}
		s.take(',')
	}
	return nil
}

// text reads a string.
func (s *scanner) text() (string, error) {
	if s.peek() != '"' {
		return "", errors.New("has something else where a text is expected")
	}
	begin := s.at
	plain := true
	for s.at++; s.src[s.at] != '"'; s.at++ {
		if s.src[s.at] == '\\' {
			plain = false
			s.at++
		}
	}
	s.at++
	if plain {
		return string(s.src[begin+1 : s.at-1]), nil
	}
	var out string
	if err := json.Unmarshal(s.src[begin:s.at], &out); err != nil {
		return "", noJSON(err)
	}
	return out, nil
}

// literal reads a number, or true, false, null.
func (s *scanner) literal() string {
	s.peek()
	begin := s.at
	for s.at < len(s.src) {
		switch s.src[s.at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return string(s.src[begin:s.at])
		}
		s.at++
	}
	return string(s.src[begin:])
}

// id reads a number from 0 up.
func (s *scanner) id() (int32, error) {
	n, err := strconv.ParseUint(s.literal(), 10, 31)
	if err != nil || n >= maxPieces {
		return 0, fmt.Errorf("has an id that is no number from 0 to %d", maxPieces-1)
	}
	return int32(n), nil
}

// score reads a number.
func (s *scanner) score() (float64, error) {
	x, err := strconv.ParseFloat(s.literal(), 64)
	if err != nil || !finite(x) {
		return 0, errors.New("has a score that is no number")
	}
	return x, nil
}

// wellFormed checks what the scanner relies on.
func wellFormed(data []byte) error {
	switch {
	case len(data) > MaxFile:
		return fmt.Errorf("is larger than %d MiB: no tokenizer is", MaxFile>>20)
	case !utf8.Valid(data):
		return errors.New("is not UTF-8")
	case !json.Valid(data):
		var v json.RawMessage
		return noJSON(json.Unmarshal(data, &v))
	}
	return nil
}
