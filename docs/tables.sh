#!/bin/sh
# Makes docs/tables.md and its pictures: tables and figures of each kind, on the synthetic world. Run from the root of
# the repository. Runs that are done are in $RUNS (default runs/synth) and are not made again. TestTablesDocument of
# cmd/fewshot makes the page so in small.
set -eu
RUNS=${RUNS:-runs/synth}
SMALL=${SMALL:-small} # folder of the backbones of table 10, which are made if they are not there
FEWSHOT=${FEWSHOT:-"go run ./cmd/fewshot"}
DOCS=${DOCS:-docs} # folder of the page
MORE=${MORE:-}     # further flags of all commands
PRETRAIN=${PRETRAIN:-"-steps 300 -warmup 30 -batch-size 64"}
page=$(mktemp)
trap 'rm -f "$page"' EXIT

# show COMMAND… prints the command, as one would type it, and what it prints.
show() {
	line=fewshot
	for word; do
		case $word in
		"$SMALL") word=small ;;
		*' '*) word="\"$word\"" ;;
		esac
		line="$line $word"
	done
	printf '## `%s`\n\n' "$line" >>"$page"
	$FEWSHOT "$@" -format markdown -runs "$RUNS" ${drawing:+-picture "$drawing"} $MORE >>"$page"
	printf '\n' >>"$page"
}

# picture NUMBER COMMAND… does so and draws it.
picture() {
	drawing=$DOCS/figure$1.svg
	rm -f "$drawing"
	n=$1
	shift
	show "$@"
	drawing=
	printf '![Figure %s](figure%s.svg)\n\n' "$n" "$n" >>"$page"
}
drawing=

for arch in RN50 RN101 ViT-B/32; do
	folder=$SMALL/$(echo $arch | tr / -)
	[ -d "$folder" ] || $FEWSHOT pretrain -arch $arch $PRETRAIN -out "$folder"
done

cat >"$page" <<'HEAD'
# Tables and figures of the paper

`fewshot table NUMBER` plans the runs that a table of the R-AMT paper takes, makes those that are not done yet, and lays
their results out as the paper does, with its own figures beside them; `fewshot figure NUMBER` does so for the figures
with data, and draws them.

```
fewshot table 17 -data DATA -model ViT-B/16 -dry-run      runs, done, and about how long the others take here
fewshot table 17 -data DATA -model ViT-B/16 -rows amt,r-amt
fewshot table 3 -seeds 1 -format latex -out table3.tex    the synthetic world, one seed
fewshot table 17 -plan plan.jsonl                         the runs for other machines: fewshot run, then table 17 -collect -runs plan-runs
fewshot pretrain -arch RN50 -out small/RN50               a backbone for table 10 -backbones small
fewshot figure 7 -picture figure7.svg
fewshot table methods                                     all methods of this program beside each other: docs/embedded.md
```

* Runs that two tables need are one: they lie in `-runs` by what determines them, and whoever comes second finds them
  done. An interrupted command goes on where it was when it is given again.
* A sheet names how anything was selected. Masks and prompts are those of the last epoch; what needs validation images
  says so. On ImageNet, whose validation images are its test images, methods that choose on validation images are not
  trained: nothing here is chosen on test images, but by the one method whose name says it.
* `-seeds`, `-shots`, `-sets`, `-rows` and `-max-images` make less of it, and the sheet says REDUCED:
  `-sets oxford_pets,dtd` where only these are there. With `-max-images` methods that would see more images have fewer
  epochs than published: for a look, not for a comparison.
* Rows of the paper are printed where it has them; what it printed is in `rmt/plan/paper/published`, with a test of what
  there does not agree (CoOp on ImageNet is 71.73, 71.92 and 72.01 in three tables, the linear probe 65.85 and 56.03).
* ± is the standard deviation over seeds, dividing by their number, as CoOp's scripts do. (`fewshot collect` divides by
  one less.)
* Figures 1, 2 and 6 are diagrams; Figure 3 has both readings of how far a layer's scores move: the mean of |M − M₀|,
  and that of the sum of γ·∂L/∂M over the steps.
* On `-data synth`, the default, everything is of this program's own synthetic world, with drawn tasks in the places of
  the data sets. **No figure of it compares with the paper's.** On the three newest tasks, digits, patterns and stacks,
  the small model's zero-shot accuracy is 51, 28 and 18 % where chance is 10, 5 and 5. With 16 images a class R-AMT has
  70, 28 and 25 % of the test images (seed 1), a linear probe 39 % on stacks, and the best that was tried on patterns is
  2SFS with 31 %: what that model sees of patterns there is little to be tuned.

What follows was made by `docs/tables.sh`, with one seed (Figure 7 with two, since its diagonal is of pairs of seeds),
and at most 2400 training images a run, which are fewer epochs than masks have here otherwise where there are more than
ten classes: `fewshot table 17 -seeds 1 -shots 16` without that limit has R-AMT at 63 % on average. Times are of a
machine that did other work too. The backbones of Table 10 but the embedded one, which has the place of ViT-B/16, are of
300 steps of 64 pairs, where that had 12000 of 128: at chance, which is 2.8 %, and there to show the command, not to
compare backbones.

HEAD
few="-seeds 1 -max-images 2400"
show table 17 $few -shots 16 -rows zero-shot,r-amt
show table 2 $few -rows zero-shot,linear-probe,r-amt
show table 5 $few -rows "amt,r-amt l=1"
show table 7
show table 8 $few -rows amt,r-amt
show table 1 $few -rows zero-shot,r-amt
show table 16 $few -rows zero-shot,r-amt
show table 10 $few -rows zero-shot,r-amt,r-pmt -backbones "$SMALL"
picture 3 figure 3 $few -rows oxford_pets,dtd
picture 4 figure 4 $few -shots 1,4,16 -rows zero-shot,r-amt
picture 5 figure 5 $few
picture 7 figure 7 -seeds 1,2 -max-images 2400 -sets oxford_pets,dtd,eurosat -rows r-amt
sed "s|$SMALL/|small/|g" "$page" >"$DOCS/tables.md"
