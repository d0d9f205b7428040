package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"fewshot/cmd/fewshot/internal/serve"
	"fewshot/nn/quote"
)

// Exit codes, part of the interface.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitAgain       = 75 // EX_TEMPFAIL: a plan that is not finished, and goes on when it is run again
	exitPanic       = 70 // EX_SOFTWARE of sysexits.h
	exitInterrupted = 130
)

const exitCodes = "0 done, 1 failed, 2 wrong usage, 70 a fault of the program, 75 a plan that is to be run again, 130 interrupted"

// headroom is the garbage, in percent of what is in use, that may lie about. Tensors are in memory of their own: what
// Go has is pixels and files, which are many megabytes and hold no pointers, so that collecting costs next to nothing,
// while Go's default of 100 would take as much again.
const headroom = 25

// opening is headroom while a model is opened: Go has little then, a vocabulary, and would collect it a dozen times while it grows.
const opening = 200

// collect sets the garbage that may lie about, where the environment does not.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if len(os.Args) < 2 || !hangsOn(os.Args[1:]) {
		ends = append(append(ends, syscall.SIGHUP), batchSignals...)
	}
	collect(headroom)
	ctx, stop := interruptible(ends...)
	defer stop()
	// After the first signal the default action is back: a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(runMain(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

// hangsOn reports whether the arguments are of a command that goes on when its terminal is gone.
func hangsOn(args []string) bool {
	c, _, err := find(args)
	return err == nil && c.hangup
}

// command is a subcommand. setup declares its flags and returns what runs after parsing, with the
// arguments that are left.
type command struct {
	name, args, summary, about string
	example                    string                    // lines that help begins with
	hangup                     bool                      // SIGHUP does not end it, but means something to it
	check                      func(args []string) error // of what must be right for flags to be known; nil for nothing
	setup                      func(fs *flag.FlagSet, args []string) func(ctx context.Context, u *ui, args []string) error
}

func commands() []command {
	return []command{
		demoCommand,
		trainCommand,
		planCommand,
		planEmitCommand,
		runCommand,
		collectCommand,
		tableCommand,
		figureCommand,
		evalCommand,
		zeroshotCommand,
		encodeCommand,
		predictCommand,
		serveCommand,
		pretrainCommand,
		dataCheckCommand,
		dataExportCommand,
		exportCommand,
		importMaskCommand,
		infoCommand,
		reportCommand,
		verifyCommand,
		benchCommand,
		completionCommand(),
		manualCommand(),
	}
}

// find picks the command that the arguments begin with; its name is one word, or two, as data check.
func find(args []string) (c command, rest []string, err error) {
	all := commands()
	for words := min(2, len(args)); words > 0; words-- {
		name := strings.Join(args[:words], " ")
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
			return all[i], args[words:], nil
		}
	}
	if pair := beginning(args[0]); pair != nil {
		var second []string
		for _, c := range pair {
			second = append(second, strings.TrimPrefix(c.name, args[0]+" "))
		}
		return c, nil, usagef("%s needs one of %s after it", args[0], strings.Join(second, ", "))
	}
	names := []string{"help", "version"}
	for _, c := range all {
		names = append(names, c.name)
	}
	if near := nearest(args[0], names); near != "" {
		return c, nil, usagef("no command %q; did you mean %s?", args[0], near)
	}
	return c, nil, usagef("no command %q", args[0])
}

// beginning are the commands of two words whose first is this one, if that is none by itself.
func beginning(word string) (of []command) {
	for _, c := range commands() {
		if c.name == word {
			return nil
		}
		if strings.HasPrefix(c.name, word+" ") {
			of = append(of, c)
		}
	}
	return of
}

// usageError is a mistake on the command line.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

func usagef(format string, a ...any) error { return usageError{fmt.Sprintf(format, a...)} }

// runMain is the program: it writes results to out and everything else to errw, and returns the exit code.
func runMain(ctx context.Context, out, errw io.Writer, args []string) int {
	checked := &checked{w: out}
	code := guard(errw, func() int { return dispatch(ctx, checked, errw, args) })
	if checked.err != nil && code == exitDone {
		fmt.Fprintf(errw, "fewshot: the output could not be written: %v\n", checked.err)
		return exitFailed
	}
	return code
}

// guard gives a panic an exit code of its own.
func guard(errw io.Writer, f func() int) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(errw, "fewshot: this is a fault of the program, please report it with the command: %v\n%s", p, debug.Stack())
			code = exitPanic
		}
	}()
	return f()
}

// dispatch runs the command that the arguments name.
func dispatch(ctx context.Context, out, errw io.Writer, args []string) int {
	switch {
	case len(args) > 0 && asksVersion(args[0]):
		fmt.Fprintln(out, version())
		return exitDone
	case len(args) == 0 || strings.HasPrefix(args[0], "-") && !asksHelp(args[0]):
		args = append([]string{"demo"}, args...)
	case asksHelp(args[0]):
		return help(out, errw, nil)
	case args[0] == "help":
		return help(out, errw, args[1:])
	case len(args) == 2 && asksHelp(args[1]) && beginning(args[0]) != nil:
		return help(out, errw, args[:1])
	}
	c, args, err := find(args)
	if err != nil {
		fmt.Fprintf(errw, "fewshot: %s; see fewshot help\n", quote.Text(err.Error()))
		return exitUsage
	}
	err = execute(ctx, c, out, errw, args)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case isUsage(err):
		fmt.Fprintf(errw, "fewshot %s: %s; see fewshot %s -help\n", c.name, quote.Text(err.Error()), c.name)
		return exitUsage
	case isAgain(err):
		fmt.Fprintf(errw, "fewshot %s: %s\n", c.name, quote.Text(err.Error()))
		return exitAgain
	case ctx.Err() != nil && !errors.Is(err, serve.ErrCutOff): // a server is told to end, and that is no interruption
		fmt.Fprintf(errw, "fewshot %s: interrupted\n", c.name)
		return exitInterrupted
	default:
		fmt.Fprintf(errw, "fewshot %s: %s\n", c.name, quote.Text(err.Error()))
		return exitFailed
	}
}

func asksVersion(arg string) bool {
	return slices.Contains([]string{"-version", "--version", "version"}, arg)
}

func asksHelp(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, arg) }

func execute(ctx context.Context, c command, out, errw io.Writer, args []string) (err error) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are reported once, by run
	var common commonFlags
	common.declare(fs)
	do := c.setup(fs, args)
	if c.check != nil { // before help, too, which would be of other flags
		if err := c.check(args); err != nil {
			return err
		}
	}
	args, err = parse(fs, args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			describe(out, c, fs)
			return err
		}
		return usageError{unknownFlag(err, fs).Error()}
	}
	stop, err := common.profile(errw)
	if err != nil {
		return err
	}
	defer func() {
		if e := stop(); e != nil {
			err = errors.Join(err, e)
		}
	}()
	return do(ctx, newUI(out, errw, common.json), args)
}

// parse parses flags before, between and behind the other arguments, and returns these. Behind -- nothing is a flag.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		n := len(args) - fs.NArg()
		if fs.NArg() == 0 || n > 0 && args[n-1] == "--" {
			return append(rest, fs.Args()...), nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// summaries are a line for each command.
func summaries(out io.Writer, all []command) {
	for _, c := range all {
		fmt.Fprintf(out, "  %-12s %s\n", c.name, c.summary)
	}
}

func help(out, errw io.Writer, args []string) int {
	if len(args) == 1 && beginning(args[0]) != nil {
		summaries(out, beginning(args[0]))
		fmt.Fprintf(out, "\nfewshot %s WORD -help lists the flags of one\n", args[0])
		return exitDone
	}
	if len(args) > 0 {
		c, rest, err := find(args)
		if err == nil && len(rest) > 0 {
			err = usagef("no command %q", strings.Join(args, " "))
		}
		if err != nil {
			fmt.Fprintf(errw, "fewshot: %s; see fewshot help\n", quote.Text(err.Error()))
			return exitUsage
		}
		describe(out, c, c.flagSet(rest))
		return exitDone
	}
	fmt.Fprint(out, `fewshot adapts CLIP to a task from a few labelled images per class, by learning which of its weights to switch off
(Regularized Mask Tuning, ICCV 2023).

usage: fewshot [command] [flags]

`)
	summaries(out, commands())
	fmt.Fprint(out, `
Without a command the demo runs. fewshot COMMAND -help lists a command's flags, fewshot -version names this build.

exit codes: `+exitCodes+"\n")
	return exitDone
}
