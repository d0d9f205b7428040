#!/usr/bin/env bash
# Builds libcuda.so.1 and libcublasLt.so.12, whose device is the CPU, into the folder given.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh FOLDER}
# Kernels may not be fused differently from what they say; GCC's checks of longjmp do not know fibers. As on a GPU, and unlike
# on this machine, an access at an odd address is the end.
flags=(-std=c++17 -O2 -g -fPIC -shared -fvisibility=hidden -ffp-contract=off -fsanitize=alignment -fsanitize-undefined-trap-on-error -U_FORTIFY_SOURCE -DCPU_SHIM -Wall -Wno-unknown-pragmas -I"$here" -I"$here/../kernels")
stamp=$(cat "$here"/*.cpp "$here"/*.h "$here/build.sh" "$here"/../kernels/*.cu "$here"/../kernels/*.cuh | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit; fi
"${CXX:-g++}" "${flags[@]}" -Wl,-soname,libcuda.so.1 -o "$out/libcuda.so.1" -x c++ "$here"/../kernels/*.cu "$here/threads.cpp" "$here/driver.cpp"
"${CXX:-g++}" "${flags[@]}" -Wl,-soname,libcublasLt.so.12 -o "$out/libcublasLt.so.12" "$here/cublaslt.cpp"
echo "$stamp" >"$out/stamp"
