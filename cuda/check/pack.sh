#!/usr/bin/env bash
# Builds what run.sh needs, on a machine with Go, gcc and nothing of CUDA's: the program and the backend's tests.
#
#	cuda/check/pack.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:?usage: pack.sh FOLDER}"
out=$(cd "$1" && pwd)
cd "$here/../.."
eval "$(cuda/stub/env.sh)"
go build -trimpath -ldflags='-s -w' -tags cuda -o "$out/fewshot" ./cmd/fewshot
go test -c -trimpath -ldflags='-s -w' -tags cuda -o "$out/cuda.test" ./cuda
ls -l "$out"
