package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit codes, part of the interface.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default action is back: a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

// command is a subcommand. setup declares its flags and returns what runs after parsing, with the
// arguments that are left.
type command struct {
	name, args, summary, about string
	setup                      func(fs *flag.FlagSet) func(ctx context.Context, u *ui, args []string) error
}

func commands() []command {
	return []command{trainCommand, pretrainCommand}
}

// usageError is a mistake on the command line.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func usagef(format string, a ...any) error { return usageError{fmt.Sprintf(format, a...)} }

// run is the program: it writes results to out and everything else to errw, and returns the exit code.
func run(ctx context.Context, out, errw io.Writer, args []string) int {
	name := "demo"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
		name, args = "help", nil
	}
	if name == "help" {
		return help(out, errw, args)
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(errw, "fewshot: no command %q; see fewshot help\n", name)
		return exitUsage
	}
	c := commands()[i]
	err := execute(ctx, c, out, errw, args)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(errw, "fewshot %s: %v; see fewshot %s -help\n", c.name, err, c.name)
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintf(errw, "fewshot %s: interrupted\n", c.name)
		return exitInterrupted
	default:
		fmt.Fprintf(errw, "fewshot %s: %v\n", c.name, err)
		return exitFailed
	}
}

func execute(ctx context.Context, c command, out, errw io.Writer, args []string) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are reported once, by run
	var common commonFlags
	common.declare(fs)
	do := c.setup(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			describe(out, c, fs)
			return err
		}
		return usageError{err.Error()}
	}
	stop, err := common.profile(errw)
	if err != nil {
		return err
	}
	defer stop()
	return do(ctx, newUI(out, errw, common.json), fs.Args())
}

func help(out, errw io.Writer, args []string) int {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
				var common commonFlags
				common.declare(fs)
				c.setup(fs)
				describe(out, c, fs)
				return exitDone
			}
		}
		fmt.Fprintf(errw, "fewshot: no command %q; see fewshot help\n", args[0])
		return exitUsage
	}
	fmt.Fprint(out, `fewshot adapts CLIP to a task from a few labelled images per class, by learning which of its weights to switch off
(Regularized Mask Tuning, ICCV 2023).

usage: fewshot [command] [flags]

`)
	for _, c := range commands() {
		fmt.Fprintf(out, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(out, `
Without a command the demo runs. fewshot COMMAND -help lists a command's flags.

exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted
`)
	return exitDone
}

func describe(out io.Writer, c command, fs *flag.FlagSet) {
	fmt.Fprintf(out, "usage: fewshot %s [flags] %s\n\n%s\n\n", c.name, c.args, strings.TrimSpace(c.about))
	fs.SetOutput(out)
	fs.PrintDefaults()
}
