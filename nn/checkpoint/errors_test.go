package checkpoint

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	err := inFile("model.pt", fault(Corrupt, "bad thing").in("a\x1b[31m").at(7).wanted(1, 2))
	if got, want := err.Error(), `model.pt: "a\x1b[31m": at byte 7: corrupt: bad thing; expected 1, found 2`; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	if !errors.Is(err, Corrupt) || errors.Is(err, Limit) {
		t.Error("kind")
	}
	wrapped := inFile("a\nb", fs.ErrPermission)
	if got, want := wrapped.Error(), `"a\nb": input/output error: permission denied`; got != want {
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

// What cannot be written or read is named, and no package.
func TestErrorOfFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nodir")
	path := filepath.Join(dir, "p.csv")
	_, own := OpenOwn(path)
	_, read := ReadFile(path, 1)
	for _, c := range []struct {
		err  error
		want string
	}{
		{own, path + ": there is no folder " + dir},
		{WriteFile(path, func(io.Writer) error { return nil }), path + ": there is no folder " + dir},
		{read, path + ": no such file or folder"},
	} {
		if c.err == nil || c.err.Error() != c.want || !errors.Is(c.err, IO) || !errors.Is(c.err, fs.ErrNotExist) {
			t.Errorf("%v, not %s", c.err, c.want)
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
