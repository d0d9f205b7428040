package main

import (
	"strings"
	"testing"
)

// TestServeRefuses: what cannot be served is said before anything listens.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"give a name and a file":            {"-tuned", "pets"},
		"task name":                         {"-tuned", "a/b=x"},
		"that is the untouched model":       {"-tuned", "clip=x"},
		"there is no task pets by -tuned":   {"-classes-file", "pets=x"},
		"-queue 10: at least twice":         {"-queue", "10"},
		"-batch-size 0: 1 to 4096":          {"-batch-size", "0"},
		"-batch-size 5000: 1 to 4096":       {"-batch", "5000"},
		"-drain-time 0s: more than 0":       {"-drain-time", "0s"},
		"unexpected argument":               {"x"},
		"is a folder without a":             {"-tuned", "pets=" + dir},
		"-listen nowhere":                   {"-listen", "nowhere"},
		"invalid value \"a\" for flag -max": {"-max-body", "a"},
	} {
		code, _, errw := cli(t, append([]string{"serve"}, args...)...)
		if code != exitUsage && code != exitFailed || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s, want %q", args, code, errw, want)
		}
	}
	if !hangsOn([]string{"serve", "-listen", "x"}) || hangsOn([]string{"train"}) || hangsOn([]string{"nothing"}) {
		t.Error("serve alone has another use for SIGHUP")
	}
}
