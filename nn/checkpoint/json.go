package checkpoint

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonReader is a strict pull reader for JSON. It exists because
// encoding/json is too lenient for input that decides about memory: it lets
// the last of two equal keys win, matches keys regardless of case, replaces
// invalid UTF-8 and reads null as zero. Here each of those is an error with
// the byte it happened at.
type jsonReader struct {
	src   []byte
	pos   int
	base  int64 // offset of src in its file
	depth int
}

func (r *jsonReader) fail(format string, args ...any) *Error {
	return fault(Corrupt, format, args...).at(r.base + int64(r.pos))
}

func (r *jsonReader) space() {
	for r.pos < len(r.src) {
		switch r.src[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not white space, or 0 at the end.
func (r *jsonReader) peek() byte {
	r.space()
	if r.pos == len(r.src) {
		return 0
	}
	return r.src[r.pos]
}

func (r *jsonReader) found() string {
	if r.pos >= len(r.src) {
		return "the end"
	}
	return quote(string(r.src[r.pos:min(len(r.src), r.pos+1)]))
}

func (r *jsonReader) expect(c byte) error {
	if r.peek() != c || r.pos == len(r.src) {
		return r.fail("malformed JSON").wanted(quote(string(c)), r.found())
	}
	r.pos++
	return nil
}

// end requires that nothing but white space is left.
func (r *jsonReader) end() error {
	r.space()
	if r.pos != len(r.src) {
		return r.fail("bytes after the JSON value").wanted("the end", r.found())
	}
	return nil
}

func (r *jsonReader) enter() error {
	if r.depth++; r.depth > maxDepth {
		return fault(Limit, "JSON nested deeper than %d", maxDepth).at(r.base + int64(r.pos))
	}
	return nil
}

// object calls member for every key, positioned at its value. Keys occur at
// most once.
func (r *jsonReader) object(member func(key string) error) error {
	if err := r.expect('{'); err != nil {
		return err
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	if r.peek() == '}' {
		r.pos++
		return nil
	}
	seen := make(map[string]bool)
	for {
		r.space()
		start := r.pos
		key, err := r.text()
		if err != nil {
			return err
		}
		if seen[key] {
			r.pos = start
			return r.fail("key occurs twice").in(key)
		}
		seen[key] = true
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		if r.peek() == ',' {
			r.pos++
			continue
		}
		return r.expect('}')
	}
}

// array calls element for every element, positioned at it.
func (r *jsonReader) array(element func(i int) error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	if r.peek() == ']' {
		r.pos++
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		if r.peek() == ',' {
			r.pos++
			continue
		}
		return r.expect(']')
	}
}

// text reads a string.
func (r *jsonReader) text() (string, error) {
	if err := r.expect('"'); err != nil {
		return "", err
	}
	start := r.pos
	for r.pos < len(r.src) { // the common case: no escapes, one copy
		c := r.src[r.pos]
		if c == '"' {
			s := r.src[start:r.pos]
			if !utf8.Valid(s) {
				r.pos = start
				return "", r.fail("string is not valid UTF-8")
			}
			r.pos++
			return string(s), nil
		}
		if c == '\\' {
			return r.escaped(start)
		}
		if c < ' ' {
			return "", r.fail("control character in a string")
		}
		r.pos++
	}
	return "", r.fail("string has no end")
}

// escaped finishes a string that began at start and holds an escape.
func (r *jsonReader) escaped(start int) (string, error) {
	s := append([]byte(nil), r.src[start:r.pos]...)
	for r.pos < len(r.src) {
		c := r.src[r.pos]
		switch {
		case c == '"':
			if !utf8.Valid(s) {
				r.pos = start
				return "", r.fail("string is not valid UTF-8")
			}
			r.pos++
			return string(s), nil
		case c < ' ':
			return "", r.fail("control character in a string")
		case c != '\\':
			s = append(s, c)
			r.pos++
			continue
		}
		r.pos++
		if r.pos == len(r.src) {
			break
		}
		c = r.src[r.pos]
		r.pos++
		switch c {
		case '"', '\\', '/':
			s = append(s, c)
		case 'b':
			s = append(s, '\b')
		case 'f':
			s = append(s, '\f')
		case 'n':
			s = append(s, '\n')
		case 'r':
			s = append(s, '\r')
		case 't':
			s = append(s, '\t')
		case 'u':
			u, err := r.rune()
			if err != nil {
				return "", err
			}
			s = utf8.AppendRune(s, u)
		default:
			r.pos--
			return "", r.fail("unknown escape in a string")
		}
	}
	return "", r.fail("string has no end")
}

// rune reads what follows \u, with the second half of a surrogate pair.
func (r *jsonReader) rune() (rune, error) {
	first, err := r.hex4()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	if r.pos+2 <= len(r.src) && r.src[r.pos] == '\\' && r.src[r.pos+1] == 'u' {
		r.pos += 2
		second, err := r.hex4()
		if err != nil {
			return 0, err
		}
		if u := utf16.DecodeRune(first, second); u != utf8.RuneError {
			return u, nil
		}
	}
	return 0, r.fail("half a surrogate pair in a string")
}

func (r *jsonReader) hex4() (rune, error) {
	if r.pos+4 > len(r.src) {
		return 0, r.fail("string has no end")
	}
	u, err := strconv.ParseUint(string(r.src[r.pos:r.pos+4]), 16, 16)
	if err != nil {
		return 0, r.fail("malformed \\u escape").wanted("four hexadecimal digits", quote(string(r.src[r.pos:r.pos+4])))
	}
	r.pos += 4
	return rune(u), nil
}

// literal reads the longest run of number and keyword characters.
func (r *jsonReader) literal() string {
	r.space()
	start := r.pos
	for r.pos < len(r.src) {
		c := r.src[r.pos]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.' {
			r.pos++
			continue
		}
		break
	}
	return string(r.src[start:r.pos])
}

// natural reads a whole number of at most 64 bits: no sign, fraction,
// exponent or leading zero.
func (r *jsonReader) natural() (uint64, error) {
	r.space()
	start := r.pos
	lit := r.literal()
	if !decimal(lit) {
		r.pos = start
		return 0, r.fail("malformed number").wanted("a whole number", foundLiteral(lit, r))
	}
	n, err := strconv.ParseUint(lit, 10, 64)
	if err != nil {
		r.pos = start
		return 0, fault(Limit, "number of more than 64 bits").at(r.base + int64(r.pos))
	}
	return n, nil
}

// number reads any JSON number as a float64.
func (r *jsonReader) number() (float64, error) {
	r.space()
	start := r.pos
	lit := r.literal()
	if !isNumber(lit) {
		r.pos = start
		return 0, r.fail("malformed number").wanted("a number", foundLiteral(lit, r))
	}
	f, err := strconv.ParseFloat(lit, 64)
	if err != nil {
		r.pos = start
		return 0, fault(Limit, "number beyond float64").at(r.base + int64(r.pos))
	}
	return f, nil
}

func foundLiteral(lit string, r *jsonReader) string {
	if lit == "" {
		return r.found()
	}
	return quote(lit)
}

// boolean reads true or false.
func (r *jsonReader) boolean() (bool, error) {
	r.space()
	start := r.pos
	switch lit := r.literal(); lit {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		r.pos = start
		return false, r.fail("malformed value").wanted("true or false", foundLiteral(lit, r))
	}
}

// null reads null if it is next and says whether it was.
func (r *jsonReader) null() bool {
	r.space()
	start := r.pos
	if r.peek() == 'n' && r.literal() == "null" {
		return true
	}
	r.pos = start
	return false
}

// skip reads any one value, as strictly as the others, and drops it.
func (r *jsonReader) skip() error {
	switch r.peek() {
	case '{':
		return r.object(func(string) error { return r.skip() })
	case '[':
		return r.array(func(int) error { return r.skip() })
	case '"':
		_, err := r.text()
		return err
	}
	start := r.pos
	lit := r.literal()
	if lit == "true" || lit == "false" || lit == "null" || isNumber(lit) {
		return nil
	}
	r.pos = start
	return r.fail("malformed JSON").wanted("a value", foundLiteral(lit, r))
}

// decimal says whether s is a whole number in its one canonical spelling.
func decimal(s string) bool {
	if s == "" || s[0] == '0' && s != "0" {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isNumber checks the grammar of RFC 8259, section 6.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		return false
	}
	if !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		s = s[1:]
		if !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}
