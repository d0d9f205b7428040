package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// What CLIP's authors published, in their order: the digest is that of open_clip 3.3's OPENAI_IMAGENET_TEMPLATES, a
// prompt a line.
func TestEnsembles(t *testing.T) {
	eighty, seven := Ensembles()["imagenet80"], Ensembles()["imagenet7"]
	if len(eighty) != 80 || len(seven) != 7 {
		t.Fatalf("%d and %d prompts", len(eighty), len(seven))
	}
	for _, p := range append(eighty, seven...) {
		if problem := checkTemplate(p); problem != "" {
			t.Errorf("%q %s", p, problem)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(eighty, "\n") + "\n"))
	if got := hex.EncodeToString(sum[:]); got != "717aaf1055595d318aa456669c0de6675d883ccebfa70ca12ff890b7aab710cb" {
		t.Errorf("the eighty have digest %s", got)
	}
}
