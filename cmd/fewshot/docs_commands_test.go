package main

import (
	"flag"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

// documents are the README and all pages, by their paths from the repository's root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	all := map[string]string{}
	for _, path := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.ToSlash(name)] = string(read(t, path))
	}
	return all
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	aside    = regexp.MustCompile(` {3,}\S.*$`)                            // what an indented command is followed by
	redirect = regexp.MustCompile(`\s[0-9]?>>?\s*\S+|\s<\s*\S+|\s2>&1`)    // and a file of one
	piece    = regexp.MustCompile(`\s*(?:\||;|&&|<\(|\$\()\s*|\)\s*$|\)"`) // between commands of a line
	quoted   = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	filler   = regexp.MustCompile(`^(…|\.\.\.|\[.*|.*\])$`)
)

// code is what a page shows as code: each line of its blocks, and each span within a line.
func code(page string) (lines, spans []string) {
	fenced := false
	page = strings.ReplaceAll(page, "\\\n", " ")
	for line := range strings.SplitSeq(page, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
			lines = append(lines, aside.ReplaceAllString(line, ""))
		case strings.HasPrefix(line, "    "):
			lines = append(lines, aside.ReplaceAllString(strings.TrimLeft(line, " "), ""))
		}
	}
	for i, block := range strings.Split(page, "```") {
		if i%2 == 0 {
			for _, m := range codeSpan.FindAllStringSubmatch(block, -1) {
				spans = append(spans, strings.Join(strings.Fields(m[1]), " "))
			}
		}
	}
	return lines, spans
}

// ours are the arguments of each call of this program in a line for a shell.
func ours(line string) (calls [][]string) {
	line, _, _ = strings.Cut(line, " #")
	line = quoted.ReplaceAllStringFunc(line, func(s string) string {
		return strings.NewReplacer("|", "_", ";", "_", "(", "_", ")", "_", ">", "_").Replace(s)
	})
	line = redirect.ReplaceAllString(line, "")
	for _, part := range piece.Split(line, -1) {
		words := slices.DeleteFunc(shellWords(strings.TrimSpace(part)+" "), func(w string) bool { return w == "" || filler.MatchString(w) })
		at := slices.IndexFunc(words, func(w string) bool { return w == "fewshot" || w == "./fewshot" || w == "./cmd/fewshot" })
		if at < 0 || at > 0 && !slices.Contains([]string{"docker run", "go run", "srun", "exec"}, strings.TrimSpace(strings.Join(words[:min(2, at)], " "))) {
			continue
		}
		args := words[at+1:]
		if len(args) > 0 && strings.HasSuffix(args[0], ":") { // an error of the program, quoted
			continue
		}
		calls = append(calls, args)
	}
	return calls
}

// parses is the error of a command line whose flags are not there or have no such values; nothing is opened.
func parses(args []string) error {
	if len(args) == 0 || asksVersion(args[0]) {
		return nil
	}
	for i, w := range args {
		switch { // a reader's word
		case i > 0 && args[i-1] == "-method" && w == "NAME":
			args[i] = run.Methods()[0].Name
		case w == "N":
			args[i] = "1"
		}
	}
	c, args, err := find(args)
	if err != nil {
		return err
	}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var common commonFlags
	common.declare(fs)
	c.setup(fs, args)
	if c.check != nil {
		if err := c.check(args); err != nil {
			return err
		}
	}
	_, err = parse(fs, args)
	if err == flag.ErrHelp || err != nil && strings.HasPrefix(err.Error(), "flag needs an argument") { // "predict -calibrate", in a sentence
		return nil
	}
	return err
}

// TestDocumentsCommands: every command that a document shows is one, with flags that there are and values that these take.
func TestDocumentsCommands(t *testing.T) {
	n := 0
	for name, page := range documents(t) {
		lines, spans := code(page)
		for i, s := range spans { // "train -method NAME -help" is said for short
			if _, _, err := find(strings.Fields(s)); err == nil && strings.Contains(s, " -") {
				spans[i] = "fewshot " + s
			}
		}
		for _, line := range append(lines, spans...) {
			for _, args := range ours(line) {
				n++
				if err := parses(args); err != nil {
					t.Errorf("%s: %s: %v", name, line, err)
				}
			}
		}
	}
	if n < 60 {
		t.Errorf("%d commands: where are the others?", n)
	}
	for line, bad := range map[string]bool{
		"fewshot train -dataset x -shot 16":        true,
		"find x | ./fewshot predict -top many -":   true,
		"exec fewshot trian":                       true,
		"docker run -v a:b fewshot train -no":      true,
		"fewshot train -dataset x -shots 16 > log": false,
		"fewshot train: interrupted -no":           false,
	} {
		found := false
		for _, args := range ours(line) {
			found = found || parses(args) != nil
		}
		if found != bad {
			t.Errorf("%s: bad %v", line, found)
		}
	}
}

// foreign are flags of other programs that documents speak of.
var foreign = []string{"print0", "tags", "fuzz", "run", "race", "f"} // -f of tip-adapter-f

// TestDocumentsFlags: a flag that a document speaks of is one of a command's or a method's.
func TestDocumentsFlags(t *testing.T) {
	known := map[string]bool{"help": true}
	for _, name := range foreign {
		known[name] = true
	}
	for _, d := range document() {
		for _, f := range d.flags() {
			known[f.Name] = true
		}
	}
	for _, m := range run.Methods() {
		for _, f := range (documented{groups: grouped(trainCommand.flagSet([]string{"-method", m.Name}))}).flags() {
			known[f.Name] = true
		}
	}
	flags := regexp.MustCompile(`^-([a-z][a-z0-9-]*)(?:[= ]|$)`)
	n := 0
	for name, page := range documents(t) {
		_, spans := code(page)
		for _, s := range spans {
			if m := flags.FindStringSubmatch(s); m != nil {
				if n++; !known[m[1]] {
					t.Errorf("%s: `%s`: no command has this flag", name, s)
				}
			}
		}
	}
	if n < 150 {
		t.Errorf("%d flags: where are the others?", n)
	}
}

// TestDocumentsFiles: what a document links to, and what it says lies in the repository, does.
func TestDocumentsFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	path := regexp.MustCompile(`(?:^|[ "(])((?:\./)?(?:tests|cuda|docs|cmd|nn|rmt|datasets|tensor|autograd|optim|findings|\.release|\.ci)/[A-Za-z0-9_./*-]*[A-Za-z0-9*])`)
	for name, page := range documents(t) {
		var at []string
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			at = append(at, filepath.Join("..", "..", filepath.Dir(name), filepath.FromSlash(m[1])))
		}
		lines, spans := code(page)
		for _, s := range append(lines, spans...) {
			for _, m := range path.FindAllStringSubmatch(s, -1) {
				at = append(at, filepath.Join("..", "..", filepath.FromSlash(m[1])))
			}
		}
		for _, p := range at {
			if all, err := filepath.Glob(p); err != nil || len(all) == 0 {
				t.Errorf("%s: there is no %s", name, p)
			}
		}
	}
}
