package main

import (
	"flag"
	"io"
	"testing"

	"fewshot/tensor"
)

func TestStrassenFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
		text string
	}{
		{nil, tensor.StrassenPays(), "auto"},
		{[]string{"-strassen=auto"}, tensor.StrassenPays(), "auto"},
		{[]string{"-strassen"}, true, "true"},
		{[]string{"-strassen=true"}, true, "true"},
		{[]string{"-strassen=false"}, false, "false"},
		{[]string{"-strassen", "-strassen=auto"}, tensor.StrassenPays(), "auto"},
	} {
		var s strassen
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		s.declare(fs)
		if err := fs.Parse(c.args); err != nil || s.permitted() != c.want || s.String() != c.text {
			t.Errorf("%q: %v, permitted %v, %q", c.args, err, s.permitted(), s.String())
		}
	}
	var s strassen
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	s.declare(fs)
	if err := fs.Parse([]string{"-strassen=maybe"}); err == nil {
		t.Error("-strassen=maybe was taken")
	}
}
