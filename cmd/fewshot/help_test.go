package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// TestHelpReadsWell: help of each command begins with an example that the command takes, and fits two screens.
func TestHelpReadsWell(t *testing.T) {
	const screen = 50 // lines of a terminal of ordinary size
	for _, c := range commands() {
		out := must(t, "help", c.name)
		if strings.Contains(c.name, " ") {
			out = must(t, append([]string{"help"}, strings.Fields(c.name)...)...)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) > 2*screen {
			t.Errorf("%s: help of %d lines, more than two screens of %d", c.name, len(lines), screen)
		}
		if c.example == "" || lines[0] != c.examples()[0] {
			t.Errorf("%s: help begins with %q and not with an example", c.name, lines[0])
		}
		for _, e := range c.examples() {
			words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(e, "source <("), ")"))
			got, rest, err := find(words[1:])
			if err != nil || words[0] != "fewshot" || got.name != c.name {
				t.Errorf("%s: the example is of another command: %s", c.name, e)
				continue
			}
			if _, err := parse(c.flagSet(rest), rest); err != nil {
				t.Errorf("%s: %s: %v", c.name, e, err)
			}
		}
	}
}

// TestHelpOfTwoWords: the first word of two has help, too, which lists the second ones.
func TestHelpOfTwoWords(t *testing.T) {
	for _, args := range [][]string{{"help", "data"}, {"data", "-help"}, {"data", "-h"}} {
		if out := must(t, args...); !strings.Contains(out, "data check") || !strings.Contains(out, "data export") || strings.Contains(out, "train") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	if out := must(t, "plan", "-help"); !strings.Contains(out, "usage: fewshot plan [flags]") {
		t.Errorf("plan is a command by itself, too:\n%s", out)
	}
}

// TestFlagGroups: what stands in a group is a flag of some command.
func TestFlagGroups(t *testing.T) {
	known := map[string]bool{}
	for _, d := range document() {
		for _, f := range d.flags() {
			known[f.Name] = true
		}
	}
	for _, g := range flagGroups {
		for _, name := range g.flags {
			if !known[name] {
				t.Errorf("group %s: no command has a flag -%s", g.title, name)
			}
		}
	}
}

// TestClusterFlags: groups go by names, so that a flag of a cluster's group is no other command's.
func TestClusterFlags(t *testing.T) {
	for _, d := range document() {
		for _, f := range d.flags() {
			for cluster, names := range clusterFlags {
				if d.name != planEmitCommand.name && slices.Contains(names, f.Name) {
					t.Errorf("-%s of %s would stand under %s", f.Name, d.name, cluster)
				}
			}
		}
	}
}

// Help with a method named is that of its settings, all of them; without one it has none of them.
func TestHelpOfMethods(t *testing.T) {
	all := must(t, "train", "-help")
	for _, m := range run.Methods() {
		s, err := m.Defaults(method.Task{Shots: 16, Recipe: "paper"})
		if err != nil {
			t.Fatal(err)
		}
		of := flag.NewFlagSet("", flag.ContinueOnError)
		s.Declare(of)
		out := must(t, "train", "-method", m.Name, "-help")
		of.VisitAll(func(f *flag.Flag) {
			if kind, _ := flag.UnquoteUsage(f); !strings.Contains(out, "\n  -"+strings.TrimSpace(f.Name+" "+kind)) {
				t.Errorf("%s: the help of -%s does not say that it takes a %s", m.Name, f.Name, kind)
			}
			if !strings.Contains(out, "\n  -"+f.Name+" ") && !strings.Contains(out, "\n  -"+f.Name+"\n") {
				t.Errorf("%s: nothing about -%s", m.Name, f.Name)
			}
			if strings.Contains(all, "\n  -"+f.Name+" ") {
				t.Errorf("train -help lists -%s, a setting of %s", f.Name, m.Name)
			}
		})
	}
	if code, _, errw := cli(t, "train", "-method", "2sfs", "-epochs", "3"); code != exitUsage || !strings.Contains(errw, "no flag -epochs with -method 2sfs") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

func TestTypos(t *testing.T) {
	for want, args := range map[string][]string{
		"did you mean train?":  {"trian"},
		"did you mean -shots?": {"train", "-shot", "3"},
		"did you mean -model?": {"eval", "--mdoel", "x"},
		"no flag -banana":      {"eval", "-banana"},
	} {
		if code, _, errw := cli(t, args...); code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errw)
		}
	}
	for _, ask := range []string{"-version", "--version", "version"} {
		if out := must(t, ask); !strings.HasPrefix(out, "fewshot ") {
			t.Errorf("%s: %q", ask, out)
		}
	}
}

// TestOffers: commands, their second words, flags with one dash or two, those of the method that is named, and values.
func TestOffers(t *testing.T) {
	for line, want := range map[string]string{
		"pred":                             "predict",
		"data ":                            "check export",
		"help data e":                      "export",
		"help prun":                        "",
		"completion ":                      "bash fish zsh",
		"completion bash ":                 "",
		"predict -cal":                     "-calibrate",
		"predict --cal":                    "--calibrate",
		"predict ---cal":                   "",
		"predict -format ":                 "csv jsonl",
		"predict -format=j":                "-format=jsonl",
		"predict -keep-going ":             "",
		"predict -keep-going=t":            "-keep-going=true",
		"train -method cooc":               "",
		"train -method coc":                "cocoop",
		"train -method coop -conte":        "-context",
		"train -method tip-adapter -conte": "",
		"train -dataset oxf":               "oxford_flowers oxford_pets",
		"eval -dataset synth:thi":          "synth:things",
		"data check -class-na":             "-class-names",
		"data check -- -class-na":          "",
		"eval -model ViT-B":                "ViT-B/16 ViT-B/32",
		"-vers":                            "",
		"-see":                             "-seeds",
		"nonsense -x":                      "",
		"manual -format ":                  "man markdown",
	} {
		var got []string
		for _, o := range offers(strings.Split(line, " ")) {
			got = append(got, o.word)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q completes to %q, want %q", line, s, want)
		}
	}
	if found := offers([]string{"t"}); len(found) == 0 || found[0].text == "" {
		t.Errorf("%v", found)
	}
}

// TestShellWords: a line is split as a shell does it, up to the cursor.
func TestShellWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                         {"fewshot", ""},
		"fewshot ":                 {"fewshot", ""},
		"./fewshot  eval -m":       {"./fewshot", "eval", "-m"},
		`f "a b" 'c "d' e\ f g`:    {"f", "a b", `c "d`, "e f", "g"},
		`f -template "a photo of `: {"f", "-template", "a photo of "},
	} {
		if got := shellWords(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestCompletion has each shell that is there read its script, and bash and fish use it, with this test as the program.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wrapper := "#!/bin/sh\n" + asProgram + "=1 exec '" + program + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "fewshot"), []byte(wrapper), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		path := filepath.Join(dir, shell)
		if err := os.WriteFile(path, []byte(must(t, "completion", shell)), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("no %s here to read its script", shell)
			continue
		}
		run := func(args ...string) (string, error) {
			c := exec.CommandContext(t.Context(), shell, args...)
			c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			out, err := c.CombinedOutput()
			return strings.TrimSpace(string(out)), err
		}
		if out, err := run("-n", path); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
		for line, want := range map[string]string{"fewshot zeros": "zeroshot", "fewshot data ": "check\nexport", "fewshot train -model x -shot": "-shots",
			"fewshot eval -dataset synth:thi": "things", "fewshot predict -format=j": "jsonl", "fewshot train -method 'coop' -conte": "-context"} {
			var out string
			var err error
			switch shell {
			case "bash":
				out, err = run("-c", "source "+path+"; COMP_LINE=$1; COMP_POINT=${#COMP_LINE}; _fewshot fewshot; printf '%s\\n' \"${COMPREPLY[@]}\"", "-", line)
			case "fish":
				out, err = run("-c", "source "+path+"; complete -C $argv[1] | string replace -r '\\t.*' ''; true", line)
				want = strings.NewReplacer("things", "synth:things", "jsonl", "-format=jsonl").Replace(want)
			default:
				continue
			}
			if err != nil || out != want {
				t.Errorf("%s: %q completes to %q, %v; want %q", shell, line, out, err, want)
			}
		}
	}
	if code, _, _ := cli(t, "completion", "tcsh"); code != exitUsage {
		t.Error("a script for a shell that there is none for")
	}
}

func TestManual(t *testing.T) {
	dir := t.TempDir()
	must(t, "manual", "-out", dir)
	must(t, "manual", "-format", "markdown", "-out", dir)
	for _, c := range commands() {
		b, err := os.ReadFile(filepath.Join(dir, "fewshot-"+strings.ReplaceAll(c.name, " ", "-")+".1"))
		if err != nil {
			t.Error(err)
		}
		for _, want := range []string{".ad l", ".SH NAME", ".SH OPTIONS", `\-json`, roff(c.examples()[0])} {
			if !bytes.Contains(b, []byte(want)) {
				t.Errorf("%s: no %s", c.name, want)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "fewshot.1")); err != nil || !bytes.Contains(b, []byte("75 a plan that is to be run again")) {
		t.Errorf("the page of the program lacks exit codes, %v\n%s", err, b)
	}
	b, err := os.ReadFile(filepath.Join(dir, "fewshot.md"))
	if err != nil || !bytes.Contains(b, []byte("## fewshot data check")) || !bytes.Contains(b, []byte("| `-shots int` |")) {
		t.Errorf("%v\n%.300s", err, b)
	}
}

// TestBar: whatever width a terminal takes on while a bar is drawn, no line is longer.
func TestBar(t *testing.T) {
	var out bytes.Buffer
	width, at := 100, time.Unix(0, 0)
	b := &bar{w: &out, width: func() int { return width }, now: func() time.Time { return at }, what: "train",
		count: func(done, n int) string { return "so many" }, n: 10, begun: at}
	var lines []string
	for i, w := range []int{100, 60, 20, 8, 1, 0, 100} {
		out.Reset()
		width, at = w, at.Add(time.Second)
		b.set(i+1, "epoch 1, loss 0.5")
		line := strings.TrimSuffix(strings.TrimPrefix(out.String(), "\r"), "\x1b[J\r")
		if n := utf8.RuneCountInString(line); n > max(w-1, 0) {
			t.Errorf("%d characters on a terminal of %d: %q", n, w, line)
		}
		lines = append(lines, line)
	}
	if want := "train  10% [==                      ] (so many, 9s left)  epoch 1, loss 0.5"; lines[0] != want {
		t.Errorf("%q, want %q", lines[0], want)
	}
	out.Reset()
	b.set(8, "") // in the same moment
	if out.Len() != 0 {
		t.Errorf("drawn twice in a moment: %q", out.String())
	}
	b.finish()
	if out.String() != "\r\x1b[J" {
		t.Errorf("left behind: %q", out.String())
	}
}

func (d documented) flags() (all []*flag.Flag) {
	for _, g := range d.groups {
		all = append(all, g.flags...)
	}
	return all
}
