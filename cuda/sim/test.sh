#!/usr/bin/env bash
# Runs the backend's tests on the CPU: the kernels compiled by g++ into a libcuda.so.1 of our own, and on it whole
# models against PyTorch's numbers. Needs Go, gcc and g++, and nothing of CUDA's. Arguments go to go test:
# cuda/sim/test.sh -run Conformance -v
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$("$here/build.sh" "${FEWSHOT_SIM_BUILD:-${XDG_CACHE_HOME:-$HOME/.cache}/fewshot-cuda}")
eval "$("$here/../stub/env.sh")"
cd "$here/../.."
export FEWSHOT_SIM=$out LD_LIBRARY_PATH=$out
go test -tags cuda "$@" ./cuda/...
go test -tags cuda -short "$@" ./tests
