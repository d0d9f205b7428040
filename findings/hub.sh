#!/usr/bin/env bash
# transformers 5.24 refuses a config.json whose numbers are right and lack a decimal point: "initializer_factor": 1 is
# an error where 1.0, its default, is none, though JSON knows one kind of number, and writers in JavaScript, Go and
# others print 1.0 as 1. So it is for layer_norm_eps and initializer_range; other fields, as logit_scale_init_value
# and attention_dropout, take either.
#
# Shows it with the pinned version below in a temporary folder; exits 1 if the behaviour is another. Needs python3
# with venv, and PyPI.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/v"
"$dir/v/bin/pip" install -q --disable-pip-version-check transformers==5.24.0
"$dir/v/bin/python" - "$dir" <<'P'
import json
import os
import sys

import transformers
from transformers import CLIPConfig

print("transformers", transformers.__version__)


def load(text):
    folder = os.path.join(sys.argv[1], "model")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write(text)
    try:
        return "taken, as %r" % CLIPConfig.from_pretrained(folder).initializer_factor
    except Exception as e:
        return type(e).__name__ + ": " + " ".join(str(e).split())[:120]


point, none = (load('{"model_type": "clip", "initializer_factor": %s}' % n) for n in ("1.0", "1"))
print('"initializer_factor": 1.0   ', point)
print('"initializer_factor": 1     ', none)
assert json.loads("1.0") == json.loads("1")
sys.exit(0 if point.startswith("taken") and not none.startswith("taken") else 1)
P
