#!/usr/bin/env bash
# Builds libcuda.so.1 and libcublasLt.so.12, whose device is the CPU, in a folder below the one given, and prints
# which. Its name is made of all that goes in: so nobody loads what was built of other sources, be it before or
# meanwhile.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
base=${1:?usage: build.sh FOLDER}
# Kernels may not be fused differently from what they say; GCC's checks of longjmp do not know fibers. As on a GPU,
# and unlike on this machine, an access at an odd address is the end.
flags=(-std=c++17 -O2 -g -fPIC -shared -fvisibility=hidden -ffp-contract=off -fsanitize=alignment -fsanitize-undefined-trap-on-error -U_FORTIFY_SOURCE -DCPU_SHIM -Wall -Wno-unknown-pragmas -I"$here" -I"$here/../kernels")
key=$({
	cat "$here"/*.cpp "$here"/*.h "$here/build.sh" "$here"/../kernels/*.cu "$here"/../kernels/*.cuh
	"${CXX:-g++}" --version
} | sha256sum | cut -c1-16)
out=$base/sim-$key
if [ ! -d "$out" ]; then
	mkdir -p "$base"
	tmp=$(mktemp -d "$base/XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	"${CXX:-g++}" "${flags[@]}" -Wl,-soname,libcuda.so.1 -o "$tmp/libcuda.so.1" -x c++ "$here"/../kernels/*.cu "$here/threads.cpp" "$here/driver.cpp"
	"${CXX:-g++}" "${flags[@]}" -Wl,-soname,libcublasLt.so.12 -o "$tmp/libcublasLt.so.12" "$here/cublaslt.cpp"
	mv -T "$tmp" "$out" 2>/dev/null || [ -d "$out" ] # someone else may have been faster
fi
echo "$out"
