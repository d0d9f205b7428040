package main

import (
	"flag"
	"maps"
	"slices"
	"strings"

	"fewshot/datasets"
	"fewshot/nn/hub"
	"fewshot/rmt"
	"fewshot/rmt/run"
)

// An offered word is what the last word of a command line may become.
type offered struct {
	word, text string // text says what it is
}

// offers is what the last of the words behind the program's name may become. Where nothing is known files are to be offered.
func offers(words []string) (found []offered) {
	if len(words) == 0 {
		return nil
	}
	current := words[len(words)-1]
	for _, o := range among(words[:len(words)-1], current) {
		if strings.HasPrefix(o.word, current) {
			found = append(found, o)
		}
	}
	slices.SortStableFunc(found, func(a, b offered) int { return strings.Compare(a.word, b.word) })
	return found
}

// among is what a word may be behind others.
func among(before []string, current string) (all []offered) {
	if len(before) == 0 && !strings.HasPrefix(current, "-") {
		return commandWords(nil)
	}
	rest := before
	c := demoCommand
	switch {
	case len(before) == 0 || strings.HasPrefix(before[0], "-"):
	case before[0] == "help":
		return commandWords(before[1:])
	default:
		var err error
		if c, rest, err = find(before); err != nil {
			return commandWords(before)
		}
		if len(rest) == 0 { // one word of a command that may have two
			all = append(all, commandWords(before)...)
		}
	}
	if slices.Contains(rest, "--") {
		return all
	}
	fs := c.flagSet(rest)
	name := strings.TrimLeft(current, "-")
	dash := current[:len(current)-len(name)]
	if name, _, ok := strings.Cut(name, "="); ok && dash != "" {
		for _, v := range valuesOf(c, fs.Lookup(name)) {
			all = append(all, offered{word: dash + name + "=" + v})
		}
		return all
	}
	if n := len(rest); n > 0 && dash == "" && strings.HasPrefix(rest[n-1], "-") && !strings.Contains(rest[n-1], "=") {
		if f := fs.Lookup(strings.TrimLeft(rest[n-1], "-")); f != nil && !isBool(f) {
			for _, v := range valuesOf(c, f) {
				all = append(all, offered{word: v})
			}
			return all
		}
	}
	if dash == "" {
		if c.name == "completion" && len(rest) == 0 {
			for _, shell := range slices.Sorted(maps.Keys(completionShells())) {
				all = append(all, offered{word: shell})
			}
		}
		return all
	}
	if dash != "-" && dash != "--" {
		return nil
	}
	fs.VisitAll(func(f *flag.Flag) {
		_, text := flag.UnquoteUsage(f)
		all = append(all, offered{dash + f.Name, firstPart(text)})
	})
	return append(all, offered{dash + "help", "what the command does, and its flags"})
}

// commandWords are the words of commands that begin with some.
func commandWords(before []string) (all []offered) {
	seen := map[string]bool{}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(words) <= len(before) || !slices.Equal(words[:len(before)], before) {
			continue
		}
		next := words[len(before)]
		text := c.summary
		if len(words) > len(before)+1 { // data of data check
			text = ""
		}
		if !seen[next] {
			all = append(all, offered{next, text})
		}
		seen[next] = true
	}
	if len(before) == 0 {
		all = append(all, offered{"help", "what a command does, and its flags"}, offered{"version", "name this build"})
	}
	return all
}

// valuesOf are values of a flag that can be told; others there may be.
func valuesOf(c command, f *flag.Flag) (values []string) {
	if f == nil {
		return nil
	}
	switch f.Name {
	case "method", "methods":
		for _, m := range run.Methods() {
			values = append(values, m.Name)
		}
	case "dataset":
		values = datasets.Names()
		for _, t := range taskNames() {
			values = append(values, synthPrefix+t)
		}
	case "model":
		values = append(hub.OpenAINames(), "embedded")
	case "classes":
		values = []string{"all", "base", "new"}
	case "precision":
		values = []string{"float32", "bf16", "int8"}
	case "activation":
		values = []string{"quickgelu", "gelu"}
	case "store":
		values = []string{"auto", "host", "device"}
	case "recipe":
		values = rmt.Recipes()
	case "select":
		values = []string{"val"}
	case "device":
		values = []string{"cpu", "cuda:0"}
	case "to":
		values = exportForms
	case "format":
		values = map[string][]string{"predict": {"csv", "jsonl"}, "manual": {"man", "markdown"}}[c.name]
	}
	if isBool(f) {
		values = []string{"true", "false"}
	}
	return values
}

// firstPart is the beginning of a description, up to where explanations start.
func firstPart(s string) string {
	if at := strings.IndexAny(s, ";:("); at > 0 {
		s = s[:at]
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "\n", " "))
}
