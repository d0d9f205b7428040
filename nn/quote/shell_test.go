package quote

import "testing"

func TestShell(t *testing.T) {
	if got, want := Shell("train", "-out", "runs/my pets", "-model", `C:\it's`, ""), `train -out 'runs/my pets' -model 'C:\it'\''s' ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
