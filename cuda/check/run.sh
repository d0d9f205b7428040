#!/usr/bin/env bash
# Everything that wants a GPU, in one call of a few minutes: the backend's tests on the device, memory and race checks, the
# whole model's parity with the CPU, and speed beside PyTorch. Needs a driver, python3 with PyTorch, and the folder that
# pack.sh made; neither Go nor a CUDA toolkit. compute-sanitizer is used where it is.
#
#	cuda/check/run.sh FOLDER [tests] [sanitizer] [parity] [speed]    all four if none is named
#
# Prints a table at the end, and fails if a part fails. Each part has a time limit, so that one that hangs does not
# take the others with it; together they stay below ten minutes.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "${1:?usage: run.sh FOLDER [part …]}" && pwd)
shift
parts=${*:-tests sanitizer parity speed}
chmod +x "$folder/fewshot" "$folder/cuda.test" 2>/dev/null || true
export FEWSHOT_GPU=1 PYTHONUNBUFFERED=1

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu --format=csv || exit 1

# cuBLASLt comes with PyTorch; sonames and CUDA's folder are tried by the program itself.
if [ -z "${FEWSHOT_CUBLASLT:-}" ]; then
	found=$(python3 "$here/cublaslt.py")
	if [ -n "$found" ]; then export FEWSHOT_CUBLASLT=$found; fi
fi
echo "cuBLASLt: ${FEWSHOT_CUBLASLT:-as the program finds it}"

table=()
part() { # name, seconds, command …
	local name=$1 limit=$2 start=$SECONDS
	shift 2
	printf '\n== %s\n' "$name"
	timeout -k 10 "$limit" "$@"
	local rc=$?
	case $rc in
	0) table+=("$(printf '%-10s passed  %4d s' "$name" $((SECONDS - start)))") ;;
	124 | 137) table+=("$(printf '%-10s ran out of its %d s' "$name" "$limit")") ;;
	*) table+=("$(printf '%-10s FAILED  %4d s' "$name" $((SECONDS - start)))") ;;
	esac
}

cd "$here/.." || exit 1
for p in $parts; do
	case $p in
	tests) part tests 120 "$folder/cuda.test" -test.v -test.timeout 115s ;;
	sanitizer)
		if ! command -v compute-sanitizer >/dev/null; then
			table+=("sanitizer  not run: there is no compute-sanitizer")
			continue
		fi
		for tool in memcheck racecheck; do
			part "$tool" 45 compute-sanitizer --tool "$tool" --error-exitcode 9 "$folder/cuda.test" -test.run '^TestRepeatable$' -test.v
		done
		;;
	parity) part parity 90 python3 check/parity.py "$folder/fewshot" ;;
	speed) part speed 270 python3 check/step.py "$folder/fewshot" ;;
	*)
		echo "there is no part $p: tests, sanitizer, parity, speed" >&2
		exit 2
		;;
	esac
done
printf '\n'
nvidia-smi --query-gpu=name,driver_version,clocks.sm,temperature.gpu --format=csv,noheader
printf '%s\n' "${table[@]}"
! printf '%s\n' "${table[@]}" | grep -qE 'FAILED|ran out'
