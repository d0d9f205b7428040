package method

import (
	"flag"
	"strings"
	"testing"
)

type counts struct {
	Contexts int            `json:"contexts"`
	LR       float64        `json:"lr"`
	Seed     uint64         `json:"seed"`
	Below    map[string]int `json:"below"`
}

func (*counts) Declare(*flag.FlagSet) {}
func (*counts) Validate() error       { return nil }

// Numbers that ask for more memory than there is are refused by name, on the command line and in files; a seed may be any.
func TestBounds(t *testing.T) {
	good := &counts{16, 0.1, 1 << 63, map[string]int{"rank": 8}}
	if err := Check(good); err != nil {
		t.Error(err)
	}
	for want, bad := range map[string]*counts{
		"contexts 1000000000: at most 1024": {Contexts: 1e9},
		"lr 1e+300: at most 1e+06":          {LR: 1e300},
		"rank 1000000: at most 4096":        {Below: map[string]int{"rank": 1e6}},
	} {
		if err := Check(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Parse[counts]([]byte(`{"contexts":1000000000}`)); err == nil {
		t.Error("a file's settings are not bounded")
	}
}
