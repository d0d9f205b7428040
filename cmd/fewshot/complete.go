package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// completionCommand is a function, as what it writes is made from the table that it is in.
func completionCommand() command {
	return command{
		example: "source <(fewshot completion bash)",
		name:    "completion", args: "bash|zsh|fish", summary: "write what makes a shell complete commands and flags",
		about: `Writes a script for a shell to standard output. To have it in every session:

  bash   fewshot completion bash > ~/.local/share/bash-completion/completions/fewshot
  zsh    fewshot completion zsh > "${fpath[1]}/_fewshot"
  fish   fewshot completion fish > ~/.config/fish/completions/fewshot.fish`,
		setup: func(*flag.FlagSet, []string) func(context.Context, *ui, []string) error {
			return func(_ context.Context, u *ui, args []string) error {
				if len(args) != 1 {
					return usagef("give one shell: bash, zsh or fish")
				}
				write := map[string]func(io.Writer, []documented){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[args[0]]
				if write == nil {
					return usagef("no completion for %q; there are bash, zsh and fish", args[0])
				}
				write(u.out, document())
				return nil
			}
		},
	}
}

// documented is a command with its flags, as completion and manuals show it.
type documented struct {
	command
	groups []flagGroup
}

// document is the table of commands.
func document() (all []documented) {
	for _, c := range commands() {
		all = append(all, documented{c, grouped(c.flagSet(nil))})
	}
	return all
}

func (d documented) flags() (all []*flag.Flag) {
	for _, g := range d.groups {
		all = append(all, g.flags...)
	}
	return all
}

// isBool tells flags without a value.
func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// firstWords are what commands begin with; those of two words share some.
func firstWords(all []documented) (words []string) {
	for _, d := range all {
		if first, _, _ := strings.Cut(d.name, " "); !slices.Contains(words, first) {
			words = append(words, first)
		}
	}
	return append(words, "help", "version")
}

// longestFirst are the commands in an order in which plan emit is looked for before plan.
func longestFirst(all []documented) []documented {
	return slices.SortedStableFunc(slices.Values(all), func(a, b documented) int { return strings.Count(b.name, " ") - strings.Count(a.name, " ") })
}

// bashCompletion completes the command, a second word, flags that begin with -, and files elsewhere.
func bashCompletion(w io.Writer, all []documented) {
	fmt.Fprint(w, "# bash completion of fewshot, written by fewshot completion bash\n_fewshot() {\n"+
		"\tlocal current=${COMP_WORDS[COMP_CWORD]} flags=\n\tCOMPREPLY=()\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n")
	fmt.Fprintf(w, "\t\tCOMPREPLY=($(compgen -W '%s' -- \"$current\"))\n\t\treturn\n\tfi\n", strings.Join(firstWords(all), " "))
	second := map[string][]string{}
	for _, d := range all {
		if first, rest, two := strings.Cut(d.name, " "); two {
			second[first] = append(second[first], rest)
		}
	}
	for _, first := range firstWords(all) {
		if words := second[first]; words != nil {
			fmt.Fprintf(w, "\tif [ \"$COMP_CWORD\" -eq 2 ] && [ \"${COMP_WORDS[1]}\" = %s ] && [ \"${current:0:1}\" != - ]; then\n\t\tCOMPREPLY=($(compgen -W '%s' -- \"$current\"))\n\t\treturn\n\tfi\n",
				first, strings.Join(words, " "))
		}
	}
	fmt.Fprint(w, "\tcase \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n")
	for _, d := range longestFirst(all) {
		var names []string
		for _, f := range d.flags() {
			names = append(names, "-"+f.Name)
		}
		pattern := `"` + d.name + `"*`
		if !strings.Contains(d.name, " ") {
			pattern = `"` + d.name + ` "*`
		}
		fmt.Fprintf(w, "\t%s) flags='%s -help' ;;\n", pattern, strings.Join(names, " "))
	}
	fmt.Fprint(w, "\tesac\n\tcase $current in\n\t-*) COMPREPLY=($(compgen -W \"$flags\" -- \"$current\")) ;;\n\tesac\n}\n"+
		"complete -o default -F _fewshot fewshot\n")
}

// quoted is a text between single quotes of any of the shells, without what would end them.
func quoted(s string) string {
	return "'" + strings.NewReplacer("'", "’", `\`, "/", "\n", " ").Replace(s) + "'"
}

// zshCompletion describes commands and flags.
func zshCompletion(w io.Writer, all []documented) {
	fmt.Fprint(w, "#compdef fewshot\n# zsh completion of fewshot, written by fewshot completion zsh\n_fewshot() {\n\tlocal -a commands\n\tcommands=(\n")
	named := map[string]bool{}
	for _, d := range all {
		first, _, _ := strings.Cut(d.name, " ")
		if !named[first] {
			fmt.Fprintf(w, "\t\t%s\n", quoted(zshText(first)+":"+zshText(d.summary)))
		}
		named[first] = true
	}
	fmt.Fprint(w, "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase \"$words[2] $words[3]\" in\n")
	for _, d := range longestFirst(all) {
		skip, pattern := 1, `"`+d.name+` "*`
		if strings.Contains(d.name, " ") {
			skip, pattern = 2, `"`+d.name+`"*`
		}
		fmt.Fprintf(w, "\t%s)\n\t\tshift %d words; (( CURRENT -= %d ))\n\t\t_arguments", pattern, skip, skip)
		for _, f := range d.flags() {
			value, text := flag.UnquoteUsage(f)
			spec := "-" + f.Name + "[" + zshText(firstPart(text)) + "]"
			if !isBool(f) {
				spec += ":" + zshText(value) + ":_files"
			}
			fmt.Fprintf(w, " \\\n\t\t\t%s", quoted(spec))
		}
		fmt.Fprint(w, " \\\n\t\t\t'*:file:_files'\n\t\t;;\n")
	}
	fmt.Fprint(w, "\tesac\n}\n_fewshot \"$@\"\n")
}

// zshText is a text without what _arguments and _describe give a meaning.
func zshText(s string) string {
	return strings.NewReplacer(":", ",", "[", "(", "]", ")").Replace(s)
}

// firstPart is the beginning of a description, up to where explanations start.
func firstPart(s string) string {
	if at := strings.IndexAny(s, ";:("); at > 0 {
		s = s[:at]
	}
	return strings.TrimSpace(s)
}

// fishCompletion describes commands and flags.
func fishCompletion(w io.Writer, all []documented) {
	fmt.Fprintln(w, "# fish completion of fewshot, written by fewshot completion fish")
	named := map[string]bool{}
	for _, d := range all {
		first, rest, two := strings.Cut(d.name, " ")
		if !named[first] {
			fmt.Fprintf(w, "complete -c fewshot -n __fish_use_subcommand -f -a %s -d %s\n", first, quoted(d.summary))
		}
		named[first] = true
		seen := "'__fish_seen_subcommand_from " + first + "'"
		if two {
			fmt.Fprintf(w, "complete -c fewshot -n %s -f -a %s -d %s\n", seen, rest, quoted(d.summary))
			seen = "'__fish_seen_subcommand_from " + first + "; and __fish_seen_subcommand_from " + rest + "'"
		}
		for _, f := range d.flags() {
			_, text := flag.UnquoteUsage(f)
			needs := " -r"
			if isBool(f) {
				needs = ""
			}
			fmt.Fprintf(w, "complete -c fewshot -n %s -o %s%s -d %s\n", seen, f.Name, needs, quoted(firstPart(text)))
		}
	}
}
