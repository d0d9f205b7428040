package cuda

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fewshot/cuda/kernels"
)

// The PTX that is committed was made from the sources that are.
func TestPTXIsNotStale(t *testing.T) {
	manifest, err := os.ReadFile("kernels/MANIFEST")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(manifest)), "\n")
	if !strings.HasPrefix(lines[0], "compiler NVRTC 12.4 --gpu-architecture=compute_80") {
		t.Errorf("made by %q", lines[0])
	}
	var listed, found []string
	for _, l := range lines[1:] {
		want, name, _ := strings.Cut(l, " ")
		listed = append(listed, name)
		data, err := os.ReadFile(filepath.Join("kernels", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s is not what the PTX was made with: run cuda/kernels/build.sh", name)
		}
	}
	for _, pattern := range []string{"*.cu", "*.cuh", "*.ptx"} {
		names, err := filepath.Glob(filepath.Join("kernels", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			found = append(found, filepath.Base(n))
		}
	}
	slices.Sort(listed)
	slices.Sort(found)
	if !slices.Equal(listed, found) {
		t.Errorf("the manifest lists %v, but there are %v: run cuda/kernels/build.sh", listed, found)
	}
}

// Drivers accept PTX up to their own release: 8.4 is that of CUDA 12.4. No kernel adds floating point numbers
// atomically, in an order that nobody knows.
func TestPTXIsWhatDriversTake(t *testing.T) {
	modules, err := kernels.Modules()
	if err != nil {
		t.Fatal(err)
	}
	atomicFloat := regexp.MustCompile(`\b(atom|red)\.[a-z.]*add\.[a-z.]*[bf]f?(16|32|64)`)
	for _, m := range modules {
		ptx := string(m.PTX)
		for _, want := range []string{".version 8.4\n", ".target sm_80\n"} {
			if !strings.Contains(ptx, want) {
				t.Errorf("%s.ptx lacks %q", m.Family, want)
			}
		}
		if found := atomicFloat.FindString(ptx); found != "" {
			t.Errorf("%s.ptx has %s", m.Family, found)
		}
		if len(m.Kernels) == 0 {
			t.Errorf("%s.ptx has no kernels", m.Family)
		}
	}
}

// The families are those of package tensor; one that has several ways has FAMILY_WAY.cu.
func TestFamilies(t *testing.T) {
	modules, err := kernels.Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		family, _, _ := strings.Cut(m.Family, "_")
		for _, file := range []string{"../tensor/" + family + ".go", family + ".go", "kernels/" + m.Family + ".cu"} {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("family %s: %v", m.Family, err)
			}
		}
	}
}
