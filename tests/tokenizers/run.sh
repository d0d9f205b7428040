#!/usr/bin/env bash
# Compares text/subword with sentencepiece on the vocabularies of real models, which some packages of PyPI have in them.
#
#   bash tests/tokenizers/run.sh
#
# Installs these and the library in a temporary folder, about 80 MB. PYTHON is the Python to make it with (default
# python3).
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv "$dir/venv"
pip() { "$dir/venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }
pip sentencepiece==0.2.3 babel==2.17.0
pip --no-deps --target "$dir/packages" mistral_common==1.8.5 ai21-tokenizer==0.3.11
"$dir/venv/bin/python" tests/tokenizers/make.py "$dir/packages" "$dir/golden"
FEWSHOT_GOLDEN=$dir/golden go test ./tests -run 'TestGoldenVectors/golden' -v | grep -E 'tokenizers/|^ok|^FAIL'
