#!/usr/bin/env bash
# Everything that wants a GPU, in one call of less than ten minutes: the backend's tests on the device, memory and
# race checks, whole models against the CPU, speed beside PyTorch, and accuracy. Needs a driver, python3 with PyTorch,
# this repository and the folder that pack.sh made; neither Go nor a CUDA toolkit. compute-sanitizer is used where it
# is.
#
#	cuda/check/run.sh FOLDER [tests] [sanitizer] [parity] [accuracy] [speed]    all if none is named
#
# Prints tables at the end, and fails if a part fails. Each part has a time limit, so that one that hangs does not
# take the others with it, and all together have FEWSHOT_CHECK_SECONDS (default 570); speed takes what the others
# leave. In what is left after all others it does not come to all of PyTorch's ways, of which compiling takes longest:
# for figures to be quoted it is called alone. All output goes to files in $OUT, or else in FOLDER/out.
#
# With FEWSHOT_CHECK_DEVICE=sim this script itself is tried, on the simulated device of cuda/sim and PyTorch on the
# CPU, with everything as small as it can be.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "${1:?usage: run.sh FOLDER [part …]}" && pwd)
shift
parts=${*:-tests sanitizer parity accuracy speed}
out=${OUT:-$folder/out}
mkdir -p "$out"
chmod +x "$folder/fewshot" "$folder/cuda.test" "$folder/models.test" 2>/dev/null || true
deadline=$((SECONDS + ${FEWSHOT_CHECK_SECONDS:-570}))
export PYTHONUNBUFFERED=1

tests='.' models='^Test(Parity|Golden|Device|Recorded|Purity|Adam)' speed=() accuracy=()
if [ "${FEWSHOT_CHECK_DEVICE:-}" = sim ]; then
	sim=$("$here/../sim/build.sh" "$folder") || exit 1
	export FEWSHOT_SIM=$sim LD_LIBRARY_PATH=$sim FEWSHOT_CUBLASLT=$sim/libcublasLt.so.12
	tests='^Test(Repeatable|Graph|Program)' models='^Test(DeviceParity|Purity)'
	speed=(-theirs cpu -model embedded -batches 2 -rounds 1)
	accuracy=(-device cpu -tasks things -seeds 1 -- -epochs 1 -shots 1)
else
	export FEWSHOT_GPU=1
	nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.limit --format=csv ||
		echo "nvidia-smi does not say what GPU this is; whether there is one, the tests will"
	# cuBLASLt comes with PyTorch; sonames and CUDA's folder are tried by the program itself.
	if [ -z "${FEWSHOT_CUBLASLT:-}" ]; then
		found=$(python3 "$here/cublaslt.py")
		if [ -n "$found" ]; then export FEWSHOT_CUBLASLT=$found; fi
	fi
fi
echo "cuBLASLt: ${FEWSHOT_CUBLASLT:-as the program finds it}"
# The driver keeps what it made of the PTX, if it may, as some containers forbid: without that each start takes
# seconds, and the tests make dozens.
export CUDA_CACHE_DISABLE=0 CUDA_CACHE_PATH=${CUDA_CACHE_PATH:-${TMPDIR:-/tmp}/fewshot-cuda-cache}

table=()
failed=0
row() { table+=("$(printf '| %-10s | %s |' "$1" "$2")"); }

# part NAME SECONDS COMMAND… runs a part into a file, and shows its tables, or its end if it failed.
part() {
	local name=$1 limit=$2 start=$SECONDS
	shift 2
	if ((limit > deadline - SECONDS)); then limit=$((deadline - SECONDS)); fi
	if ((limit < 5)); then
		row "$name" "not run: no time left"
		failed=1
		return
	fi
	printf '\n== %s\n' "$name"
	timeout -k 10 "$limit" "$@" >"$out/$name.log" 2>&1
	local rc=$?
	grep -E '^\||^ *--- FAIL|^(PASS|FAIL|ok)|ERROR SUMMARY|RACECHECK SUMMARY' "$out/$name.log" | cut -c1-220 | head -60
	case $rc in
	0) row "$name" "passed, $((SECONDS - start)) s" ;;
	*)
		if grep -q 'Device not supported' "$out/$name.log"; then
			row "$name" "not run: this machine does not let compute-sanitizer at the GPU"
			return
		fi
		tail -n 15 "$out/$name.log" | cut -c1-300
		failed=1
		case $rc in
		124 | 137) row "$name" "ran out of its $limit s" ;;
		*) row "$name" "FAILED, $((SECONDS - start)) s" ;;
		esac
		;;
	esac
}

cd "$here/.." || exit 1
for p in $parts; do
	case $p in
	tests) part tests 90 "$folder/cuda.test" -test.v -test.run "$tests" -test.timeout 85s ;;
	sanitizer)
		if ! command -v compute-sanitizer >/dev/null; then
			row sanitizer "not run: there is no compute-sanitizer"
			continue
		fi
		# Races inside of NVIDIA's kernels are not ours to find; what products read and write is.
		for tool in memcheck racecheck; do
			products=${FEWSHOT_CUBLASLT:-}
			if [ "$tool" = racecheck ]; then products=none; fi
			part "$tool" 80 env FEWSHOT_CUBLASLT="$products" compute-sanitizer --tool "$tool" --error-exitcode 9 \
				"$folder/cuda.test" -test.run '^Test(Repeatable|ProgramBits)$' -test.v
		done
		;;
	parity)
		cd "$here/../../tests" || exit 1
		part parity 80 "$folder/models.test" -test.v -test.run "$models" -test.timeout 75s
		;;
	accuracy) part accuracy 170 python3 "$here/accuracy.py" "$folder/fewshot" -cpu "$folder/accuracy-cpu.json" "${accuracy[@]}" ;;
	speed)
		left=$((deadline - SECONDS - 10))
		part speed "$left" python3 "$here/speed.py" "$folder/fewshot" -json "$out/speed.json" -seconds $((left > 120 ? left - 60 : left / 2)) "${speed[@]}"
		;;
	*)
		echo "there is no part $p: tests, sanitizer, parity, accuracy, speed" >&2
		exit 2
		;;
	esac
done
printf '\n'
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks_event_reasons.active,temperature.gpu,power.draw --format=csv,noheader 2>/dev/null
printf '%s\n' "${table[@]}"
exit "$failed"
