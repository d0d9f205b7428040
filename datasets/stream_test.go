package datasets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// someImages are files of the decoders' fixtures, with one that is no image and one that is not there.
func someImages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("internal/imaging/testdata/gray*.png")
	if err != nil || len(all) < 5 {
		t.Fatal(len(all), err)
	}
	broken := filepath.Join(t.TempDir(), "broken.png")
	if err := os.WriteFile(broken, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	return slices.Insert(all, 2, broken, "nowhere.png")
}

func pathsOf(all []string, err error) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

// TestStream: batches are the paths in order, whatever the workers; pixels are the loader's, those of unreadable
// images left out.
func TestStream(t *testing.T) {
	all := someImages(t)
	tr := CLIPTransform(16)
	n := 3 * 16 * 16
	want := map[string][]float32{}
	for _, p := range all {
		data, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		for b, err := range LoadImages(t.Context(), &Dataset{}, []Item{{Path: p, Data: data}}, tr, 1, 1) {
			if err == nil {
				want[p] = slices.Clone(b.Pixels)
			}
		}
	}
	if len(want) != len(all)-2 {
		t.Fatalf("%d of %d can be read", len(want), len(all))
	}
	for _, batch := range []int{1, 2, 3, len(all), 100} {
		for _, workers := range []int{1, 4} {
			at := 0
			for b, err := range Stream(t.Context(), pathsOf(all, nil), tr, batch, workers) {
				if err != nil {
					t.Fatal(err)
				}
				if len(b.Images) != min(batch, len(all)-at) {
					t.Fatalf("a batch of %d has %d images", batch, len(b.Images))
				}
				pixels := b.Pixels
				for _, m := range b.Images {
					if m.Path != all[at] || (m.Err == nil) != (want[m.Path] != nil) {
						t.Fatalf("%s, %v; want %s", m.Path, m.Err, all[at])
					}
					at++
					if m.Err != nil {
						if !strings.Contains(m.Err.Error(), filepath.Base(m.Path)) {
							t.Errorf("%v does not name %s", m.Err, m.Path)
						}
						continue
					}
					if !slices.Equal(pixels[:n], want[m.Path]) {
						t.Fatalf("batches of %d: other pixels of %s", batch, m.Path)
					}
					pixels = pixels[n:]
				}
				if len(pixels) != 0 {
					t.Fatalf("%d values too many", len(pixels))
				}
			}
			if at != len(all) {
				t.Fatalf("%d of %d images", at, len(all))
			}
		}
	}
}

// TestStreamEnds: an error of the paths comes behind what was before it; whoever leaves early, or ends the context,
// does not wait for a list that does not go on.
func TestStreamEnds(t *testing.T) {
	all := someImages(t)
	tr, broken := CLIPTransform(16), errors.New("broken list")
	seen := 0
	for b, err := range Stream(t.Context(), pathsOf(all, broken), tr, 3, 2) {
		if err != nil {
			if err != broken || seen != len(all) {
				t.Errorf("%v after %d images of %d", err, seen, len(all))
			}
			seen = -1
			break
		}
		seen += len(b.Images)
	}
	if seen != -1 {
		t.Error("no error of the list")
	}

	waits := make(chan struct{})
	defer close(waits)
	stuck := func(yield func(string, error) bool) {
		if yield(all[0], nil) {
			<-waits
		}
	}
	for _, err := range Stream(t.Context(), stuck, tr, 1, 2) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range Stream(ctx, stuck, tr, 1, 2) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("%v", last)
	}
	mine := errors.New("mine")
	for b, err := range Stream(t.Context(), func(yield func(string, error) bool) { yield("x.png", mine) }, tr, 1, 1) {
		if err != nil || b.Images[0].Err != mine || len(b.Pixels) != 0 {
			t.Errorf("%+v, %v", b, err)
		}
	}
}

func TestWalkImages(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.png", "a/2.JPG", "a/1.webp", "a/notes.txt", "a/.hidden.png", "__MACOSX/x.png", "c/d/e.gif", "c/x.heic"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	walk := func() string {
		var got []string
		unread := func(p string) { got = append(got, "unread "+p) }
		for p, err := range WalkImages(dir, unread) {
			if err != nil {
				p = fmt.Sprintf("%s (%v)", p, err)
			}
			got = append(got, p)
		}
		return strings.ReplaceAll(filepath.ToSlash(strings.Join(got, "\n")), filepath.ToSlash(dir)+"/", "")
	}
	want := "a/1.webp\na/2.JPG\nb.png\nc/d/e.gif\nunread c/x.heic"
	if got := walk(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "c", "round")); err != nil {
		t.Skipf("no links here: %v", err)
	}
	os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "z"))
	want = "a/1.webp\na/2.JPG\nb.png\nc/d/e.gif\nc/round (c/round: is a link to a folder that it lies in; take the link away)\nunread c/x.heic\nz/1.webp\nz/2.JPG"
	if got := walk(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestClassNamesList(t *testing.T) {
	got, err := parseClassNames("c.txt", []byte("\ufeffgolden_retriever\r\n\n cat \nChâteau d'eau"))
	if err != nil || !slices.Equal(got, []string{"golden retriever", "cat", "Château d'eau"}) {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{"": "is empty", "a b\na_b\n": "line 2: \"a b\" stands in line 1 too", "a\x01": "control character", "\xff": "UTF-8"} {
		if _, err := parseClassNames("c.txt", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzClassNames: names that are read are such as go into a prompt, each once.
func FuzzClassNames(f *testing.F) {
	f.Add([]byte("golden_retriever\r\ncat\n"))
	f.Add([]byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := parseClassNames("c.txt", data)
		checkProblems(t, err)
		if err != nil {
			return
		}
		if _, err := OfClasses("x", names); err != nil {
			t.Fatal(err)
		}
	})
}
