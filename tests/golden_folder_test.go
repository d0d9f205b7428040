package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What a folder of vectors has, and nobody can run, fails by its name; so does a folder that has nothing.
func TestGoldenFolders(t *testing.T) {
	own := func(set, name string) string {
		b, err := os.ReadFile(filepath.Join("testdata", "golden", set, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	gda := own("heads", "gda.json")
	wrong := strings.Replace(gda, `"means":[[-0.1358`, `"means":[[-0.1359`, 1)
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"empty":     {nil, "there is no case in it"},
		"documents": {map[string]string{"README.md": "", "make.py": ""}, "there is no case in it"},
		"kind":      {map[string]string{"quadratic.json": gda}, `nothing is registered that runs cases of kind "quadratic.json"`},
		"missing":   {map[string]string{"gda.json": gda}, "features.safetensors: no such file"},
		"unknown":   {map[string]string{"gda.json": "{\"more\":1," + strings.TrimSpace(gda)[1:]}, `unknown field "more"`},
		"number":    {map[string]string{"gda.json": wrong, "features.safetensors": own("heads", "features.safetensors")}, "gda.json: means: off by"},
		"method":    {map[string]string{"golden.json": `{"cases":{"a":{"method":"telepathy"}}}`}, `a: nothing is registered that runs cases of kind "method telepathy"`},
		"no cases":  {map[string]string{"golden.json": `{"cases":{}}`}, "golden.json: 0 cases"},
		"beside":    {map[string]string{"golden.json": `{"cases":{"a":{"method":"telepathy"}}}`, "gda.json": gda}, "gda.json is no part of a folder with golden.json"},
		"folders":   {map[string]string{"cases/a/case.json": `{"family":"a"}`, "more/a/case.json": ""}, "more is no part of a folder with cases"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), strings.ReplaceAll(name, " ", "-"))
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			for file, text := range c.files {
				path := filepath.Join(dir, filepath.FromSlash(file))
				if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			run := exec.Command(os.Args[0], "-test.run", "^TestGoldenVectors$/^"+filepath.Base(dir)+"$")
			run.Env = append(os.Environ(), "FEWSHOT_GOLDEN="+dir)
			out, err := run.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) || !strings.Contains(string(out), dir) {
				t.Errorf("%v, want %q of %s in\n%s", err, c.want, dir, out)
			}
		})
	}
}
