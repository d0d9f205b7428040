package main

import (
	"context"
	"flag"
	"io"
	"strings"
)

// completionCommand is a function, as what it offers is made from the table that it is in.
func completionCommand() command {
	return command{
		example: "source <(fewshot completion bash)",
		name:    "completion", args: "bash|zsh|fish", summary: "write what makes a shell complete commands, flags and their values",
		about: `Writes a script for a shell to standard output. To have it in every session:

  bash   fewshot completion bash > ~/.local/share/bash-completion/completions/fewshot
  zsh    fewshot completion zsh > "${fpath[1]}/_fewshot"
  fish   fewshot completion fish > ~/.config/fish/completions/fewshot.fish

The script asks the program itself, so that it need not be written anew with another version.`,
		setup: func(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
			words := fs.Bool("words", false, "for the scripts: what completes the line, or the words, behind the shell's name")
			return func(_ context.Context, u *ui, args []string) error {
				if len(args) == 0 || !*words && len(args) != 1 {
					return usagef("give one shell: bash, zsh or fish")
				}
				s, ok := completionShells()[args[0]]
				if !ok {
					return usagef("no completion for %q; there are bash, zsh and fish", args[0])
				}
				text := s.script
				if *words {
					text = s.offer(args[1:])
				}
				_, err := io.WriteString(u.out, text)
				return err
			}
		},
	}
}

// documented is a command with its flags, as manuals show it.
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

// isBool tells flags without a value.
func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// completionShells has the shells that there are scripts for. Each script gives the words of the line up to the cursor
// to the program, and the program says what they may become, in the shell's form: nothing where files are to be
// offered.
func completionShells() map[string]completionShell {
	return map[string]completionShell{"bash": {bashScript, bashOffer}, "zsh": {zshScript, zshOffer}, "fish": {fishScript, fishOffer}}
}

type completionShell struct {
	script string
	offer  func(words []string) string
}

// bash breaks words at colons and equals signs too, and replaces what is behind the last of them: it is given the line,
// and what is before them is taken off what is offered.
const bashScript = `# bash completion of fewshot, written by fewshot completion bash
_fewshot() {
	local IFS=$'\n'
	COMPREPLY=($("$1" completion -words -- bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _fewshot fewshot
`

func bashOffer(args []string) string {
	words := shellWords(strings.Join(args, " "))
	current := words[len(words)-1]
	cut := strings.LastIndexAny(current, ":=") + 1
	var b strings.Builder
	for _, c := range offers(words[1:]) {
		if len(c.word) >= cut {
			b.WriteString(c.word[cut:] + "\n")
		}
	}
	return b.String()
}

// shellWords splits a line as shells do, as far as it matters here; the last word may have no end yet, or be empty.
func shellWords(line string) (words []string) {
	var word strings.Builder
	quote := rune(0)
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && (r == ' ' || r == '\t'):
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	if len(words) == 0 { // the program's name is still being written
		words = append(words, "fewshot")
	}
	return append(words, word.String())
}

const zshScript = `#compdef fewshot
# zsh completion of fewshot, written by fewshot completion zsh
_fewshot() {
	local -a found
	found=("${(@f)$("${words[1]}" completion -words -- zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "$found[1]" ]]; then
		_describe fewshot found
	else
		_files
	fi
}
if [ "$funcstack[1]" = _fewshot ]; then
	_fewshot "$@"
else
	compdef _fewshot fewshot
fi
`

func zshOffer(words []string) string {
	var b strings.Builder
	for _, c := range offers(words) {
		b.WriteString(strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(c.word))
		if c.text != "" {
			b.WriteString(":" + c.text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const fishScript = `# fish completion of fewshot, written by fewshot completion fish
function __fewshot_words
	set -l words (commandline -opc)
	set -l found ($words[1] completion -words -- fish $words[2..-1] (commandline -ct) 2>/dev/null)
	if set -q found[1]
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c fewshot -f -a '(__fewshot_words)'
`

func fishOffer(words []string) string {
	var b strings.Builder
	for _, c := range offers(words) {
		b.WriteString(c.word + "\t" + c.text + "\n")
	}
	return b.String()
}
