package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlansDocument runs the commands of docs/plans.md, in their order, in an empty folder.
func TestPlansDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of training")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "plans.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	n := 0
	for _, block := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			words := strings.Fields(line)
			if words[0] != "fewshot" {
				t.Fatalf("%s is no command of this program", line)
			}
			for i, w := range words {
				words[i] = strings.Trim(w, `"`)
			}
			must(t, words[1:]...)
			n++
		}
	}
	if n < 10 {
		t.Errorf("%d commands", n)
	}
}
