package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/checkpoint"
)

// manualCommand is a function, as what it writes is made from the table that it is in.
func manualCommand() command {
	return command{
		example: "fewshot manual -out ~/.local/share/man/man1",
		name:    "manual", summary: "write man pages, or Markdown, of all commands",
		about: `Writes a page for the program and one for each command into a folder: man pages of section 1, or with -format markdown the
same as one file, fewshot.md.`,
		setup: func(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
			format := fs.String("format", "man", "man or markdown")
			out := fs.String("out", "", "`folder` to write into")
			return func(_ context.Context, u *ui, args []string) error {
				switch {
				case len(args) > 0:
					return usagef("unexpected argument %q", args[0])
				case *out == "":
					return usagef("-out is missing: which folder shall be written into?")
				case *format != "man" && *format != "markdown":
					return usagef("-format %q: there are man and markdown", *format)
				}
				return writeManual(*out, *format)
			}
		},
	}
}

func writeManual(out, format string) error {
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	all := document()
	if format == "markdown" {
		return checkpoint.WriteFile(filepath.Join(out, "fewshot.md"), func(w io.Writer) error { return markdownManual(w, all) })
	}
	if err := checkpoint.WriteFile(filepath.Join(out, "fewshot.1"), func(w io.Writer) error { return manOverview(w, all) }); err != nil {
		return err
	}
	for _, d := range all {
		name := "fewshot-" + strings.ReplaceAll(d.name, " ", "-") + ".1"
		if err := checkpoint.WriteFile(filepath.Join(out, name), func(w io.Writer) error { return manPage(w, d) }); err != nil {
			return err
		}
	}
	return nil
}

// aboutProgram is what the program is for, in a paragraph.
const aboutProgram = "fewshot adapts CLIP to a task from a few labelled images per class, by learning which of its weights to switch off " +
	"(Regularized Mask Tuning, ICCV 2023)."

// roff escapes a text for man pages.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\t", "    ").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// roffBody is paragraphs; lines that begin with a space stay as they are.
func roffBody(w io.Writer, s string) {
	verbatim := false
	for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
		if in := strings.HasPrefix(l, " "); in != verbatim {
			fmt.Fprintln(w, map[bool]string{true: ".nf", false: ".fi"}[in])
			verbatim = in
		}
		if l == "" {
			fmt.Fprintln(w, ".PP")
			continue
		}
		fmt.Fprintln(w, roff(l))
	}
	if verbatim {
		fmt.Fprintln(w, ".fi")
	}
}

func manOverview(w io.Writer, all []documented) error {
	fmt.Fprintf(w, ".TH FEWSHOT 1\n.ad l\n.SH NAME\nfewshot \\- few\\-shot adaptation of CLIP\n.SH SYNOPSIS\n.B fewshot\n[command] [flags]\n.SH DESCRIPTION\n%s\n.SH COMMANDS\n",
		roff(aboutProgram))
	for _, d := range all {
		fmt.Fprintf(w, ".TP\n.BR fewshot\\-%s (1)\n%s\n", roff(strings.ReplaceAll(d.name, " ", "-")), roff(d.summary))
	}
	fmt.Fprintf(w, ".SH EXIT STATUS\n%s\n", roff(exitCodes))
	_, err := fmt.Fprint(w, ".SH ENVIRONMENT\nHF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE and HF_ENDPOINT have the meaning that huggingface_hub gives them.\n")
	return err
}

func manPage(w io.Writer, d documented) error {
	page := "fewshot-" + strings.ReplaceAll(d.name, " ", "-")
	fmt.Fprintf(w, ".TH %s 1\n.ad l\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(page)), roff(page), roff(d.summary))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B fewshot %s\n[flags] %s\n.SH EXAMPLES\n.nf\n", roff(d.name), roff(d.args))
	for _, e := range d.examples() {
		fmt.Fprintln(w, roff(e))
	}
	fmt.Fprint(w, ".fi\n.SH DESCRIPTION\n")
	roffBody(w, d.about)
	fmt.Fprint(w, ".SH OPTIONS\n")
	for _, g := range d.groups {
		fmt.Fprintf(w, ".SS %s\n", roff(g.title))
		for _, f := range g.flags {
			head, text := flagText(f)
			name, value, _ := strings.Cut(head, " ")
			fmt.Fprintf(w, ".TP\n.BI %s \" %s\"\n%s\n", roff(name), roff(value), roff(text))
		}
	}
	_, err := fmt.Fprint(w, ".SH SEE ALSO\n.BR fewshot (1)\n")
	return err
}

func markdownManual(w io.Writer, all []documented) error {
	fmt.Fprintf(w, "# fewshot\n\n%s\n\n| command | |\n|---|---|\n", aboutProgram)
	for _, d := range all {
		fmt.Fprintf(w, "| [%s](#fewshot-%s) | %s |\n", d.name, strings.ReplaceAll(d.name, " ", "-"), d.summary)
	}
	for _, d := range all {
		fmt.Fprintf(w, "\n## fewshot %s\n\n```\n%s\n```\n\n", d.name, strings.Join(d.examples(), "\n"))
		for i, part := range strings.Split(strings.TrimSpace(d.about), "\n\n") {
			if i > 0 {
				fmt.Fprintln(w)
			}
			if strings.HasPrefix(part, " ") {
				part = "```\n" + part + "\n```"
			}
			fmt.Fprintln(w, part)
		}
		for _, g := range d.groups {
			fmt.Fprintf(w, "\n| %s | |\n|---|---|\n", g.title)
			for _, f := range g.flags {
				head, text := flagText(f)
				fmt.Fprintf(w, "| `%s` | %s |\n", head, strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(text))
			}
		}
	}
	_, err := fmt.Fprint(w, "\nExit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n")
	return err
}
