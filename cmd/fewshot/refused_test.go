package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

// What a method cannot do is refused by name, before it looks at an image, and leaves no folder.
func TestRefusedBeforeWork(t *testing.T) {
	long := "-template=" + strings.Repeat("very ", 90) + "{}"
	for _, c := range []struct {
		method, args, want string
	}{
		{"coop", "-context=3 -words=a_photo_of_a", "make a context of 4 vectors, not of 3"},
		{"cocoop", "-words=a_photo_of_a -context=3", "make a context of 4 vectors, not of 3"},
		{"kgcoop", "-class-specific", `give -words "", or leave -class-specific out`},
		{"prograd", "-class-specific", "give -from-template=false, or leave -class-specific out"},
		{"maple", "-context=5", `give -words ""`},
		{"promptsrc", "-context=5", `give -words ""`},
		{"vpt-shallow", "-depth=2", "there is no flag -depth with -method vpt-shallow"},
		{"amt", "-leak=0.5", "which method amt is without: with it the method is r-amt"},
		{"amt", "-patterns=transformer.*.attn.in_proj_weight", "-encoder image: mask pattern"},
		{"amt", "-encoder=text -patterns=visual.*.attn.in_proj_weight", "-encoder text: mask pattern"},
		{"amt", "-encoder=both -patterns=visual.*.attn.in_proj_weight", "-encoder both: the patterns name weights of one encoder alone"},
		{"r-dmt", "-encoder=both", "chooses layers of the image encoder"},
		{"amt", "-encoder=text -template=imagenet7", "a mask on the text encoder has one prompt a class, and there are 7 templates"},
		{"taskres", "-template=imagenet7", "taskres has one prompt a class, and there are 7 templates"},
		{"2sfs", "-template=imagenet7", "2sfs has one prompt a class"},
		{"clip-lora", "-template=imagenet7", "clip-lora has one prompt a class"},
		{"kgcoop", "-template=imagenet7", "kgcoop has one prompt a class"},
		{"vpt-deep", "-template=imagenet7", "vpt-deep has one prompt a class"},
		{"tip-adapter", long, "tokens"},
		{"tip-adapter-f", long, "tokens"},
		{"lp++", long, "tokens"},
		{"gda", long, "tokens"},
		{"gda", "-new-classes -nearest=2 -passes=1 -shots=1", "has one image in one pass: more shots or -passes"},
		{"maple", "-grid=depth=1,99", "-depth 99: depth 99: the encoders have"},
		{"coop", "-grid=context=2,70", "-context 70: class"},
		{"amt", "-grid=flip=0.5,0.2 -patterns=visual.nothing", "matches no parameter"},
	} {
		dir := filepath.Join(t.TempDir(), "run")
		args := learn(t, c.method, dir)
		if strings.HasPrefix(c.args, "-grid=depth") {
			args = args[:len(args)-2] // which short gives too
		}
		for _, a := range strings.Split(c.args, " -") {
			args = append(args, "-"+strings.TrimPrefix(a, "-"))
		}
		code, out, errw := cli(t, args...)
		if code != exitUsage && code != exitFailed || !strings.Contains(errw, c.want) || strings.Contains(out+errw, "training image") {
			t.Errorf("%s %s: exit code %d, %s%s", c.method, c.args, code, out, errw)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s %s leaves %s", c.method, c.args, entries(t, dir))
		}
	}
}

// A convention gives the settings that are not given, wherever it stands.
func TestConventionIsOfWhatIsNotGiven(t *testing.T) {
	for _, args := range [][]string{{"-convention", "maple"}, {"-grid", "convention=maple,kmnp"}} {
		r := last[run.Result](t, must(t, learn(t, "vpt-deep", filepath.Join(t.TempDir(), "run"), append(args, "-batch-size", "6", "-depth", "1", "-json", "-data", valData(t), "-dataset", "twice")...)...))
		var c struct{ Batch, Depth, Prompts int }
		if err := json.Unmarshal(r.Config, &c); err != nil || c.Batch != 6 || c.Depth != 1 {
			t.Errorf("%v: %s, %v", args, r.Config, err)
		}
	}
}
