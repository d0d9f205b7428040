package run

import (
	"strings"
	"testing"
)

// What was not done has no speed, and one is no plural.
func TestPrint(t *testing.T) {
	for _, c := range []struct {
		r    Result
		want []string
		not  string
	}{
		{Result{Shots: 1, Seconds: 3}, []string{", 1 shot, seed", "speed      3 s in all"}, "images/s"},
		{Result{Shots: 16, EvalRate: 5}, []string{", 16 shots, seed", "speed      evaluation 5.0 images/s, 0 s in all"}, "training"},
		{Result{Shots: 1, Seconds: 3, CPU: 5.4}, []string{"speed      3 s in all, 5 s of processors\n"}, "0 s"},
		{Result{Seconds: 3}, []string{"3 s in all\n"}, "processors"},
		{Result{TrainRate: 2, EvalRate: 5}, []string{"training 2.0 images/s, evaluation 5.0 images/s, 0 s in all"}, "shot,"},
	} {
		var b strings.Builder
		c.r.Print(&b)
		for _, w := range c.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("no %q in\n%s", w, b.String())
			}
		}
		if strings.Contains(b.String(), c.not) {
			t.Errorf("%q in\n%s", c.not, b.String())
		}
	}
}
