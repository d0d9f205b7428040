#!/usr/bin/env bash
# The tables of the README, on a machine with nothing else to do: about 20 minutes on two cores of a Zen 4.
#
#   bash tests/peers/all.sh [OUT]
#
# PYTHON has what requirements.txt names and open_clip_torch, RUNTIMES what requirements-runtimes.txt names (default:
# python3 for both). COMMIT is the build to compare with (default b18553b), ROUNDS the rounds of each part (default
# 3). OUT, a folder, gets each part's output in a file; a part that fails is named at the end, and the others go on.
# PARTS, as "builds int8", are those to run (default all).
set -u
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3} RUNTIMES=${RUNTIMES:-python3} COMMIT=${COMMIT:-b18553b} ROUNDS=${ROUNDS:-3}
PARTS=${PARTS:-builds products inference int8 whole opening}
OUT=${1:-$(mktemp -d)}
mkdir -p "$OUT"
failed=()

part() { # NAME COMMAND…
	local name=$1 began=$SECONDS
	shift
	echo "== $name: $*"
	"$@" 2>"$OUT/$name.err" | tee "$OUT/$name.txt" || failed+=("$name")
	echo "   ($((SECONDS - began)) s)"
}

set -o pipefail
for p in $PARTS; do
	case $p in
	builds)
		for model in ViT-B-32 ViT-B-16; do
			part "builds-$model" "$PYTHON" tests/peers/builds.py "$COMMIT" -model $model -rounds "$ROUNDS"
			part "builds-$model-avx2" "$PYTHON" tests/peers/builds.py "$COMMIT" -model $model -rounds "$ROUNDS" -avx2
		done ;;
	products)
		part products "$PYTHON" tests/peers/gemm.py -rounds 1
		part products-avx2 "$PYTHON" tests/peers/gemm.py -rounds 1 -avx2 ;;
	inference)
		for batch in 1 32; do
			part "inference-$batch" "$RUNTIMES" tests/peers/runtimes.py -batch $batch -rounds "$ROUNDS"
			part "inference-$batch-avx2" "$RUNTIMES" tests/peers/runtimes.py -batch $batch -rounds "$ROUNDS" -avx2
		done ;;
	int8)
		for batch in 1 32; do
			part "int8-$batch" "$RUNTIMES" tests/peers/runtimes.py -batch $batch -rounds "$ROUNDS" -int8
		done ;;
	whole) part whole "$PYTHON" tests/peers/whole.py -rounds "$ROUNDS" -mkl ;;
	opening) part opening "$PYTHON" tests/peers/opening.py -rounds "$ROUNDS" -sizes ViT-B-16 ;;
	*) echo "no part is called $p" >&2; failed+=("$p") ;;
	esac
done
echo "outputs in $OUT, after $SECONDS s"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}; see $OUT/*.err" >&2; exit 1; }
