package hub

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPython lets huggingface_hub read a cache that this package filled, without a network, and fills one with it that
// this package reads. FEWSHOT_PYTHON is a Python that has the library, for example from
//
//	python3 -m venv v && v/bin/pip install huggingface_hub==2.4.0
func TestPython(t *testing.T) {
	python := os.Getenv("FEWSHOT_PYTHON")
	if python == "" {
		t.Skip("FEWSHOT_PYTHON names no Python with huggingface_hub")
	}
	l := &liar{files: model()}
	c, _, _ := l.open(t)
	home := filepath.Dir(c.Cache)
	run := func(script string, env ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), python, "-c", script)
		cmd.Env = append(os.Environ(), append([]string{"HF_HOME=" + home, "HF_HUB_CACHE=" + c.Cache, "HF_ENDPOINT=" + c.Endpoint.String(),
			"HF_HUB_DISABLE_XET=1", "HF_HUB_DISABLE_TELEMETRY=1"}, env...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return lines[len(lines)-1]
	}
	t.Log(run("import huggingface_hub as h; print('huggingface_hub', h.__version__)"))

	dir, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"})
	if err != nil {
		t.Fatal(err)
	}
	offline := "HF_HUB_OFFLINE=1"
	if got := run("from huggingface_hub import hf_hub_download as D; print(D('a/b','model.safetensors'))", offline); got != filepath.Join(dir, "model.safetensors") {
		t.Errorf("hf_hub_download: %s", got)
	}
	if got := run("from huggingface_hub import snapshot_download as S; print(S('a/b', allow_patterns=['*.json','*.txt','*.safetensors']))", offline); got != dir {
		t.Errorf("snapshot_download of what is there: %s", got)
	}
	if got := run("from huggingface_hub import snapshot_download as S\ntry: print(S('a/b'))\nexcept Exception as e: print(type(e).__name__)", offline); got != "IncompleteSnapshotError" {
		t.Errorf("snapshot_download of all: %s", got)
	}
	if got := run("from huggingface_hub import scan_cache_dir; i=scan_cache_dir(); print(i.size_on_disk, len(i.repos), len(i.warnings))", offline); got != "5010 1 0" {
		t.Errorf("scan_cache_dir: %s", got)
	}
	before := l.count.Load()
	if got := run("from huggingface_hub import snapshot_download as S; print(S('a/b'))"); got != dir {
		t.Errorf("snapshot_download: %s", got)
	}
	// One question for the commit; of each of the two files that were not there, head and content.
	if n := l.count.Load() - before; n != 5 {
		t.Errorf("%d requests of Python's after ours, want 5", n)
	}

	c.Cache = filepath.Join(t.TempDir(), "hub")
	want := run("from huggingface_hub import snapshot_download as S; print(S('a/b'))")
	before = l.count.Load()
	c.Offline = true
	got, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"})
	if err != nil || got != want || l.count.Load() != before {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	c.Offline = false
	if got, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err != nil || got != want || l.count.Load() != before+1 {
		t.Errorf("%s, %v; %d requests", got, err, l.count.Load()-before)
	}
	// Files that single calls brought, so that there is no listing.
	c.Cache = filepath.Join(t.TempDir(), "hub")
	run("from huggingface_hub import hf_hub_download as D; [D('a/b',f) for f in ('config.json','model.safetensors')]")
	c.Offline = true
	if _, err := c.Model(t.Context(), Name{Repo: "a/b", Revision: "main"}); err != nil {
		t.Error(err)
	}
}
