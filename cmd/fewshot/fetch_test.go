package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/nn/quote"
)

// serveHub is a hub with one repository, a/b, that holds a folder's files.
func serveHub(t *testing.T, folder string) {
	t.Helper()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	content := map[string][]byte{}
	var list []map[string]any
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		content[e.Name()] = b
		list = append(list, map[string]any{"type": "file", "path": e.Name(), "oid": strings.Repeat("0", 40), "size": 1,
			"lfs": map[string]any{"oid": sum(b), "size": len(b)}})
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := filepath.Base(r.URL.Path)
		switch {
		case r.URL.Path == "/api/models/a/b/revision/main":
			fmt.Fprintf(w, `{"sha":%q}`, commit)
		case strings.HasPrefix(r.URL.Path, "/api/models/a/b/tree/"):
			if err := json.NewEncoder(w).Encode(list); err != nil {
				t.Error(err)
			}
		case strings.HasPrefix(r.URL.Path, "/a/b/resolve/"):
			w.Header().Set("X-Repo-Commit", commit)
			w.Header().Set("ETag", `"`+sum(content[file])+`"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(content[file])))
			if r.Method == http.MethodGet {
				w.Write(content[file])
			}
		default:
			w.Header().Set("X-Error-Code", "RepoNotFound")
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, v := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		t.Setenv(v, "")
	}
}

// noHost is an error as package net has them.
type noHost struct{ error }

func (noHost) Timeout() bool { return false }

// Where no network is there is no address to look at, and other errors stay what they are.
func TestUnreached(t *testing.T) {
	err := unreached(fmt.Errorf("https://example.org/models/main: %w", noHost{errors.New("no such host")}))
	if err == nil || err.Error() != "the network cannot be reached (no such host)" {
		t.Error(err)
	}
	_, missing := os.Stat(filepath.Join(t.TempDir(), "missing")) // which has a Timeout too
	for _, other := range []error{errors.New("check the name"), missing} {
		if err := unreached(other); err != nil {
			t.Error(err)
		}
	}
}

// TestModelByName fetches a model, says so, and has it without a network afterwards.
func TestModelByName(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "model")
	must(t, "export", "-model", tiny(t), "-to", "transformers", "-out", folder)
	serveHub(t, folder)
	t.Setenv("HOME", t.TempDir()) // of OpenAI's models
	for name, want := range map[string]string{
		"a/b": "a/b is no file or folder here, and as a model's name: a/b at main is not in the cache, " + os.Getenv("HF_HOME") +
			"/hub, and the network is not used (-offline, HF_HUB_OFFLINE)",
		"ViT-B/16": "and the network is not used (-offline, HF_HUB_OFFLINE)",
	} {
		for _, args := range [][]string{{"info", "-offline", name}, {"zeroshot", "-offline", "-model", name, "-data", tinyData(t), "-dataset", "few"}} {
			if code, _, errw := cli(t, args...); code != exitFailed || !strings.Contains(errw, want) {
				t.Errorf("%q: %d %s, want %q", args, code, errw, want)
			}
		}
	}
	out := must(t, "info", "a/b")
	if !strings.HasPrefix(out, "fetching a/b, ") {
		t.Errorf("not a word of what is fetched: %s", out)
	}
	again := must(t, "info", "-offline", "a/b")
	if strings.Contains(again, "fetching") || !strings.HasSuffix(out, again) {
		t.Errorf("%s\n%s", out, again)
	}
	got := last[modelInfo](t, must(t, "info", "-digest", "-offline", "-json", "a/b"))
	if want := last[modelInfo](t, must(t, "info", "-digest", "-json", tiny(t))); got.Digest != want.Digest || got.Digest == "" {
		t.Errorf("digest %s, want %s", got.Digest, want.Digest)
	}
	code, _, errw := cli(t, "info", "a/c")
	if code != exitFailed || !strings.Contains(errw, "no file or folder here") || !strings.Contains(errw, "check the name") {
		t.Errorf("%d %s", code, errw)
	}
	if code, _, errw = cli(t, "info", "ViT-B-16"); code != exitUsage || !strings.Contains(errw, "did you mean ViT-B/16?") {
		t.Errorf("%d %s", code, errw)
	}
	if code, _, errw = cli(t, "info", "hf-hub:\x1b[31m"); code != exitUsage || errw != quote.Text(errw) {
		t.Errorf("%d %q", code, errw)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"train", "eval", "zeroshot", "encode", "-shots", "-model"}
	for s, want := range map[string]string{"trian": "train", "evel": "eval", "zero-shot": "zeroshot", "-shot": "-shots", "-mdoel": "-model", "x": "", "banana": "", "Train": "train", "ev": ""} {
		if got := nearest(s, names); got != want {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
}
