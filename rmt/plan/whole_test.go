package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

// A result whose weights are gone, or are not those that it had, is no run that is done.
func TestWhole(t *testing.T) {
	dir := t.TempDir()
	r := &run.Result{File: filepath.Join("somewhere", "else", run.MaskName), FileBytes: 3}
	for _, c := range []struct{ content, want string }{{"", "is not there"}, {"abcd", "has 4 bytes, and had 3"}, {"abc", ""}} {
		if c.content != "" {
			if err := os.WriteFile(filepath.Join(dir, run.MaskName), []byte(c.content), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := whole(dir, r); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.content, err)
		}
	}
	if err := whole(dir, &run.Result{}); err != nil { // the untouched model leaves none
		t.Error(err)
	}
}
