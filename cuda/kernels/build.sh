#!/usr/bin/env bash
# Makes the PTX and MANIFEST from the kernels' sources, with the one compiler they are to be made with: NVRTC 12.4.127
# and ptxas 12.4.131 from PyPI, which run anywhere, with no GPU and no CUDA toolkit. Prints the registers and the
# shared memory of each kernel, and fails if one spills.
#
# The release is an old one on purpose: a driver refuses PTX that is newer than itself. Run this after every change of
# a .cu or .cuh; stale_test.go fails until it was.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tools=${FEWSHOT_NVRTC:-${XDG_CACHE_HOME:-$HOME/.cache}/fewshot-cuda/nvrtc-12.4.127}
if [ ! -d "$tools/nvidia" ]; then
	python3 -m venv "$tools.venv"
	"$tools.venv/bin/pip" install --quiet --no-deps --target "$tools" nvidia-cuda-nvrtc-cu12==12.4.127 nvidia-cuda-nvcc-cu12==12.4.131
	rm -rf "$tools.venv"
fi
chmod +x "$tools/nvidia/cuda_nvcc/bin/ptxas"
python3 "$here/compile.py" "$tools/nvidia/cuda_nvrtc/lib" "$tools/nvidia/cuda_nvcc/bin/ptxas"
