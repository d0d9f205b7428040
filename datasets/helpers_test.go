package datasets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// jpegHead is enough of a file for whoever looks at first bytes only.
const jpegHead = "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"

// writeFile writes a file below dir, with its folders.
func writeFile(t testing.TB, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// writeImages writes something that begins like a JPEG under every name.
func writeImages(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		writeFile(t, dir, n, jpegHead+n)
	}
}

// splitJSON renders lists of items as a split file.
func splitJSON(t testing.TB, train, val, test []Item) string {
	t.Helper()
	list := func(items []Item) [][3]any {
		out := [][3]any{}
		for _, it := range items {
			out = append(out, [3]any{it.Path, it.Label, it.Class})
		}
		return out
	}
	b, err := json.Marshal(map[string]any{"train": list(train), "val": list(val), "test": list(test)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// asError returns err as an *Error whose text has all of want.
func asError(t testing.TB, err error, want ...string) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v (%T) is not an *Error", err, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error does not say %q:\n%v", w, err)
		}
	}
	return e
}

// paths returns the items' paths.
func paths(items []Item) []string {
	out := []string{}
	for _, it := range items {
		out = append(out, it.Path)
	}
	return out
}

// pngItem returns a tiny image in memory.
func pngItem(t testing.TB, label int32, shade uint8) Item {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 2, 2))
	img.SetGray(0, 0, color.Gray{shade})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return Item{Label: label, Data: b.Bytes()}
}

// classnames writes ImageNet's classnames.txt for the given number of classes.
func classnames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s name %d\n", wordnetID(i), i)
	}
	return b.String()
}

func wordnetID(i int) string { return fmt.Sprintf("n%08d", 1000+7*i) }

// wantWarning fails unless one of the warnings has all the texts.
func wantWarning(t testing.TB, d *Dataset, texts ...string) {
	t.Helper()
next:
	for _, w := range d.Warnings {
		for _, text := range texts {
			if !strings.Contains(w, text) {
				continue next
			}
		}
		return
	}
	t.Errorf("no warning with %q in:\n%s", texts, strings.Join(d.Warnings, "\n"))
}
