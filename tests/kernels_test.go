package tests

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"
)

// TestOnOtherKernels repeats what depends on the processor's kernels with those that this machine would not choose by
// itself: GODEBUG hides instruction sets from golang.org/x/sys/cpu.
func TestOnOtherKernels(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("only amd64 has kernels to choose from")
	}
	if testing.Short() {
		t.Skip("repeats other tests")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	described := regexp.MustCompile(`cpu amd64 float32, .*`)
	for _, hidden := range []string{"cpu.avx512f=off", "cpu.avx512f=off,cpu.avx2=off"} {
		cmd := exec.Command(self, "-test.v", "-test.run=^(TestParity|TestGolden|TestAdam|TestPurity)")
		cmd.Env = append(os.Environ(), "GODEBUG="+hidden)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", hidden, err, out)
		}
		t.Logf("%s: %s", hidden, described.Find(out))
	}
}
