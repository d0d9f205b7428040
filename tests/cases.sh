#!/usr/bin/env bash
# Runs a folder of cases, each a NAME/ with make.py, which writes ./data, and case.txt, which has the command, what
# came of it once and what is right, and prints what comes now beside what is right:
#
#	tests/cases.sh CASES [VOCAB]
#
# VOCAB is bpe_simple_vocab_16e6.txt.gz. Needs Go, and a PYTHON (python3) that has what make.py imports.
set -euo pipefail
cases=$(realpath "${1:?usage: tests/cases.sh CASES [VOCAB]}")
export VOCAB=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/bin/fewshot" ./cmd/fewshot
export PATH="$work/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
cp -r "$cases" "$work/cases"
for dir in "$work"/cases/*/; do
	name=$(basename "$dir")
	[ -f "$dir/case.txt" ] || continue
	printf '\n== %s\n' "$name"
	(
		cd "$dir"
		"${PYTHON:-python3}" make.py >make.txt 2>&1 || { tail -3 make.txt; exit; }
		sed -n '/^command/,/^got/p' case.txt | sed '1d;$d' >command.sh
		grep -v '^$' command.sh | sed 's/^ */  $ /'
		timeout 300 bash command.sh 2>&1 </dev/null | cut -c1-400 | tail -20 | sed 's/^/  | /' || true
		sed -n '/^right/,$p' case.txt | sed 's/^/  /'
	)
done
