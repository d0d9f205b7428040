package checkpoint

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	err := inFile("model.pt", fault(Corrupt, "bad thing").in("a\x1b[31m").at(7).wanted(1, 2))
	if got, want := err.Error(), `checkpoint: model.pt: "a\x1b[31m": at byte 7: corrupt: bad thing; expected 1, found 2`; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if !errors.Is(err, Corrupt) || errors.Is(err, Limit) {
		t.Error("kind")
	}
	wrapped := inFile("a\nb", fs.ErrPermission)
	if got, want := wrapped.Error(), `checkpoint: "a\nb": input/output error: permission denied`; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if !errors.Is(wrapped, fs.ErrPermission) || !errors.Is(wrapped, IO) {
		t.Error("cause")
	}
	if inFile("x", nil) != nil {
		t.Error("nil")
	}
	if got := Kind(99).String(); got != "kind 99" {
		t.Error(got)
	}
	for k := Corrupt; k <= IO; k++ {
		if k.Error() != k.String() || k.String() == "" {
			t.Errorf("kind %d: %q", k, k)
		}
	}
}

func TestProblems(t *testing.T) {
	var p problems
	if p.err(Mismatch, "x") != nil {
		t.Error("no problems, but an error")
	}
	for i := range 25 {
		p.add("fault %d", i)
	}
	if got := p.err(Mismatch, "faults").Error(); !strings.HasSuffix(got, "fault 19; and 5 more") {
		t.Error(got)
	}
}
