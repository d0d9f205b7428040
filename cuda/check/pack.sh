#!/usr/bin/env bash
# Builds what run.sh needs, on a machine with Go, gcc and nothing of CUDA's: the program, and the tests of the backend
# and of whole models.
#
#	cuda/check/pack.sh FOLDER
#
# The CPU's accuracies, which take a machine of few cores some minutes, can be made beforehand, too:
#
#	cuda/check/accuracy.py FOLDER/fewshot -precisions "" -cpu FOLDER/accuracy-cpu.json
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: pack.sh FOLDER}"
out=$(cd "$1" && pwd)
cd "$here/../.."
eval "$(cuda/stub/env.sh)"
go build -trimpath -ldflags='-s -w' -tags cuda -o "$out/fewshot" ./cmd/fewshot
go test -c -trimpath -ldflags='-s -w' -tags cuda -o "$out/cuda.test" ./cuda
go test -c -trimpath -ldflags='-s -w' -tags cuda -o "$out/models.test" ./tests
ls -l "$out"
