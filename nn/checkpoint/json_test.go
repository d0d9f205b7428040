package checkpoint

import (
	"encoding/json"
	"strings"
	"testing"
)

func readJSON(src string) error {
	r := &jsonReader{src: []byte(src)}
	if err := r.skip(); err != nil {
		return err
	}
	return r.end()
}

// Accepts what encoding/json accepts, less what it lets slip.
func TestJSONGrammar(t *testing.T) {
	for _, src := range []string{
		`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `1.5e-7`, `1E+9`, `""`, `"é\u00e9\n\ud83d\ude00"`,
		` { "a" : [ 1 , { "b" : null } ] } `, `[[],{}]`, strings.Repeat("[", 64) + strings.Repeat("]", 64),
	} {
		if err := readJSON(src); err != nil {
			t.Errorf("%s: %v", src, err)
		}
		if !json.Valid([]byte(src)) {
			t.Errorf("%s is not JSON", src)
		}
	}
	for _, src := range []string{
		``, ` `, `nul`, `nulll`, `True`, `NaN`, `Infinity`, `-`, `01`, `-01`, `1.`, `.5`, `1e`, `+1`, `0x1`, `1 2`,
		`{`, `}`, `[`, `]`, `[1`, `[1,`, `[,1]`, `[1,]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{1:2}`, `{"a":1 "b":2}`,
		`"`, `"\`, `"\u`, `"\u12`, `"\x"`, "\"\x01\"", "\"\xff\"", "\"\\n\xff\"", "\"\\n\x01\"", `"\ud800"`, `"\ud800\u0061"`, `"\udc00"`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, strings.Repeat("[", 65), strings.Repeat(`{"a":`, 65), "{}\x00", "\ufeff{}",
	} {
		if err := readJSON(src); err == nil {
			t.Errorf("%s was accepted", src)
		}
	}
}

func TestJSONString(t *testing.T) {
	for _, s := range []string{"", "a", `"\/`, "\x00\x1f\x7f", "é😀\u2028", strings.Repeat("x", 1000)} {
		quoted := appendJSONString(nil, s)
		r := &jsonReader{src: quoted}
		got, err := r.text()
		if err != nil || got != s {
			t.Errorf("%q became %s became %q, %v", s, quoted, got, err)
		}
		var std string
		if err := json.Unmarshal(quoted, &std); err != nil || std != s {
			t.Errorf("encoding/json reads %s as %q, %v", quoted, std, err)
		}
	}
	r := &jsonReader{src: []byte(`"\b\f\n\r\t\/\"\\\u00e9\ud83d\ude00"`)}
	if got, err := r.text(); err != nil || got != "\b\f\n\r\t/\"\\é😀" {
		t.Errorf("%q, %v", got, err)
	}
}
