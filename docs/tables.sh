#!/bin/sh
# Makes docs/tables.md and its pictures: one table and one figure of each kind, on the synthetic world, with one seed. Run from the root of
# the repository. Runs that are done are in $RUNS (default runs/synth) and are not made again. TestTable and TestPaperFigures of cmd/fewshot
# do the same in small.
set -eu
RUNS=${RUNS:-runs/synth}
FEWSHOT=${FEWSHOT:-"go run ./cmd/fewshot"}
page=$(mktemp)
trap 'rm -f "$page"' EXIT

# show COMMAND… prints the command and what it prints.
show() {
	printf '## `fewshot %s`\n\n' "$*" >>"$page"
	$FEWSHOT "$@" -format markdown -runs "$RUNS" ${MORE:-} >>"$page"
	printf '\n' >>"$page"
}

# picture NUMBER COMMAND… does so and draws it.
picture() {
	n=$1
	shift
	show "$@" -picture "docs/figure$n.svg"
	printf '![Figure %s](figure%s.svg)\n\n' "$n" "$n" >>"$page"
}

cat docs/tables.head.md >"$page"
show table 17 -seeds 1 -shots 16 -rows zero-shot,r-amt
show table 1 -seeds 1 -rows zero-shot,r-amt
show table 2 -seeds 1 -rows zero-shot,linear-probe,r-amt
show table 5 -seeds 1 -rows "amt,r-amt l=1"
show table 7
show table 8 -seeds 1 -rows amt,r-amt
picture 3 figure 3 -seeds 1 -rows oxford_pets,dtd,sun397
picture 4 figure 4 -seeds 1 -shots 4,16 -rows zero-shot,r-amt
picture 5 figure 5 -seeds 1
picture 7 figure 7 -seeds 1 -rows r-amt
cp "$page" docs/tables.md
