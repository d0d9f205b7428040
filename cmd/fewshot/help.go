package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// helpWidth is the length of help's lines: what fits a terminal that is not small, and reads well.
const helpWidth = 118

// flagGroups gather flags that several commands share, by name; those that are in none are the command's own and come first.
var flagGroups = []struct {
	title string
	flags []string
}{
	{"Model", []string{"model", "vocab", "activation", "heads", "image-size", "pillow", "ensemble-order", "offline"}},
	{"Data", []string{"data", "dataset", "classes", "class-names", "class-level", "shots", "sample", "seed", "split", "split-seed", "label-column",
		"template", "template-file", "class-prompts",
		"cache", "decoders", "shared", "store"}},
	{"Computing", []string{"device", "precision", "strassen", "workers", "micro-batch", "eval-batch"}},
	{"Slurm", clusterFlags["slurm"]},
	{"Kubernetes", clusterFlags["kubernetes"]},
	{"Output of the program", []string{"json", "cpuprofile", "memprofile", "trace"}},
}

// A flagGroup is some flags of a command.
type flagGroup struct {
	title string
	flags []*flag.Flag
}

// grouped sorts a command's flags into groups, each by name. Settings of a method come last.
func grouped(fs *flag.FlagSet) []flagGroup {
	groups := []flagGroup{{title: "Flags"}}
	for _, g := range flagGroups {
		groups = append(groups, flagGroup{title: g.title})
	}
	groups = append(groups, flagGroup{})
	settings := &groups[len(groups)-1]
	fs.VisitAll(func(f *flag.Flag) {
		if s, ok := f.Value.(*setting); ok {
			settings.title = "Settings of " + s.method
			settings.flags = append(settings.flags, f)
			return
		}
		at := 1 + slices.IndexFunc(flagGroups, func(g struct {
			title string
			flags []string
		}) bool {
			return slices.Contains(g.flags, f.Name)
		})
		groups[at].flags = append(groups[at].flags, f)
	})
	return slices.DeleteFunc(groups, func(g flagGroup) bool { return len(g.flags) == 0 })
}

// describe is the help of a command: an example, what it does, its flags.
func describe(out io.Writer, c command, fs *flag.FlagSet) {
	for _, e := range c.examples() {
		fmt.Fprintln(out, e)
	}
	fmt.Fprintf(out, "\nusage: fewshot %s\n\n%s\n", strings.TrimSpace(c.name+" [flags] "+c.args), strings.TrimSpace(c.about))
	groups := grouped(fs)
	if last := len(groups) - 1; last >= 0 {
		// With a method named, its settings are what is asked for; without, they would be those of one of many.
		if s, ok := groups[last].flags[0].Value.(*setting); ok && s.named {
			defer fmt.Fprintf(out, "\nAll other flags: fewshot %s -help\n", c.name)
			groups = groups[last:]
		} else if ok {
			defer fmt.Fprintf(out, "\nSettings of a method, with their published defaults: fewshot %s -method NAME -help\n", c.name)
			groups = groups[:last]
		}
	}
	for _, g := range groups {
		fmt.Fprintf(out, "\n%s:\n", g.title)
		for _, f := range g.flags {
			head, text := flagText(f)
			const column = 25
			lines := wrap(text, helpWidth-column)
			if utf8.RuneCountInString(head) > column-4 {
				fmt.Fprintf(out, "  %s\n", head)
				head = ""
			}
			for _, l := range lines {
				fmt.Fprintf(out, "  %-*s%s\n", column-2, head, l)
				head = ""
			}
		}
	}
}

// flagText is a flag with the name of its value, and what it means, with its default.
func flagText(f *flag.Flag) (head, text string) {
	named := *f
	if s, ok := f.Value.(*setting); ok {
		named.Value = s.Value // package flag names a value by its type
	}
	value, text := flag.UnquoteUsage(&named)
	head = "-" + f.Name
	switch b, ok := named.Value.(interface{ IsBoolFlag() bool }); {
	case value == "":
	case ok && b.IsBoolFlag(): // a word behind a blank would be an argument
		head += "=" + value
	default:
		head += " " + value
	}
	if d := f.DefValue; d != "" && d != "false" && d != "0" && !strings.Contains(text, "(default") {
		text += " (default " + d + ")"
	}
	return head, text
}

// wrap breaks a text into lines of at most width characters, where there are spaces.
func wrap(text string, width int) (lines []string) {
	var line string
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// examples are the lines that help begins with.
func (c command) examples() []string {
	if c.example == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(c.example), "\n")
}

// flagSet declares the flags of a command, and those of all.
func (c command) flagSet(args []string) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var common commonFlags
	common.declare(fs)
	c.setup(fs, args)
	return fs
}

// unparsed says what a flag wants whose value could not be parsed, where package flag says no more than that.
func unparsed(err error, fs *flag.FlagSet) error {
	head, ok := strings.CutSuffix(err.Error(), ": parse error")
	_, name, found := strings.Cut(head, " for flag -")
	if !found { // of booleans
		_, name, found = strings.Cut(head, " for -")
	}
	f := fs.Lookup(name)
	if !ok || !found || f == nil {
		return err
	}
	wants, value := "", f.Value
	if s, ok := value.(*setting); ok {
		value = s.Value
	}
	if v, ok := value.(flag.Getter); ok {
		switch v.Get().(type) {
		case int, int64:
			wants = ": a whole number is wanted"
		case uint, uint64:
			wants = ": a whole number from 0 is wanted"
		case float64:
			wants = ": a number is wanted"
		case bool:
			wants = ": true or false is wanted"
		case time.Duration:
			wants = ": a time as 90s or 2m is wanted"
		}
	}
	if wants == "" {
		return err
	}
	if fs.Lookup(name+"s") != nil {
		wants += fmt.Sprintf("; -%ss takes several", name)
	}
	return errors.New(head + wants)
}

// unknownFlag adds to an error of a flag that there is not the name of one that there is.
func unknownFlag(err error, fs *flag.FlagSet) error {
	name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !ok {
		return unparsed(err, fs)
	}
	var names []string
	where := ""
	fs.VisitAll(func(f *flag.Flag) {
		names = append(names, f.Name)
		if s, ok := f.Value.(*setting); ok && s.named {
			where = fmt.Sprintf(" with -method %s, whose settings fewshot train -method %s -help lists", s.method, s.method)
		}
	})
	name = strings.TrimPrefix(name, "-")
	if near := nearest(name, names); near != "" {
		return fmt.Errorf("there is no flag -%s%s; did you mean -%s?", name, where, near)
	}
	return fmt.Errorf("there is no flag -%s%s", name, where)
}
