#!/usr/bin/env bash
# Prints the environment in which the go command builds with -tags cuda, whether this machine has a CUDA toolkit
# of release 12, of release 13 or none. Needs gcc and ar.
#
#	eval "$(cuda/stub/env.sh)" && go build -tags cuda ./cmd/fewshot
#
# Beside the declarations of cuda.h it makes libcuda.a from forward.c, in the folder given or in a cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/fewshot-cuda}
mkdir -p "$out"
tmp=$(mktemp -d "$out/XXXXXX")
trap 'rm -rf "$tmp"' EXIT
"${CC:-gcc}" -O2 -Wall -fPIC -I"$here" -c "$here/forward.c" -o "$tmp/forward.o"
ar rcD "$tmp/libcuda.a" "$tmp/forward.o"
# Only what differs is replaced: the go command rebuilds what depends on it, and others may be linking.
cmp -s "$tmp/libcuda.a" "$out/libcuda.a" || mv "$tmp/libcuda.a" "$out/libcuda.a"
echo "export CGO_ENABLED=1 CGO_CFLAGS='-O2 -g -I$here' CGO_LDFLAGS='-L$out -ldl'"
