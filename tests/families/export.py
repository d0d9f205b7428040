"""Exports every case of a folder of golden families (tests/testdata/golden/families by default) in the form that it came
in and as a graph, and opens what was written with the library itself and with ONNX Runtime: features of the case's
pictures and texts are compared with what the case expects.

    python export.py FEWSHOT [FOLDER]

FEWSHOT is the built program. Needs transformers 5.24.0, open_clip_torch 3.3.0, timm 1.0.31, onnxruntime 1.32.0. Fails
where a unit feature is off by more than 1e-5, or 1e-4 in ONNX Runtime.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
import open_clip
import timm
import torch
import transformers
from safetensors.numpy import load_file

FEWSHOT = str(pathlib.Path(sys.argv[1]).resolve())
GOLDEN = pathlib.Path(sys.argv[2] if len(sys.argv) > 2
    else pathlib.Path(__file__).parents[1] / "testdata" / "golden" / "families")
BOUNDS = {"transformers": 1e-5, "open_clip": 1e-5, "onnx": 1e-4}


@contextlib.contextmanager
def smaller(over):
    """timm's towers in the sizes of the case."""
    create = timm.create_model
    timm.create_model = lambda name, **kw: create(name, **{**kw, **over, "pretrained": False})
    try:
        yield
    finally:
        timm.create_model = create


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def by_transformers(folder, about, pixels, ids):
    model, info = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert model.dtype == torch.float32, model.dtype
    with torch.no_grad():
        out = [model.get_image_features(pixel_values=torch.tensor(pixels)),
            model.get_text_features(input_ids=torch.tensor(ids))]
    return [getattr(x, "pooler_output", x).numpy() for x in out]


def by_open_clip(folder, about, pixels, ids):
    with smaller(about.get("timm_overrides") or {}):
        model = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True).eval()
    with torch.no_grad():
        return [model.encode_image(torch.tensor(pixels)).numpy(), model.encode_text(torch.tensor(ids)).numpy()]


def by_onnx(folder, about, pixels, ids):
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    feeds = {"pixel_values": pixels, "input_ids": ids, "attention_mask": np.ones_like(ids)}
    image, text, logits = session.run(["image_embeds", "text_embeds", "logits_per_image"],
        {i.name: feeds[i.name] for i in session.get_inputs()})
    want = about["expected"].get("logits_per_image")
    if want is not None:
        assert np.abs(logits - want).max() < 1e-4 * np.abs(want).max(), np.abs(logits - want).max()
    return [image, text]


READERS = {"transformers": by_transformers, "open_clip": by_open_clip, "onnx": by_onnx}


def main():
    failed, passed, refused = 0, 0, []
    for path in sorted(GOLDEN.glob("cases/*/case.json")):
        case = json.loads(path.read_text())
        about = dict(case, expected=load_file(path.parent / "expected.safetensors"))
        source = pathlib.Path(tempfile.mkdtemp())
        for name in filter(None, [case.get("weights_of"), path.parent.name]):
            for f in (GOLDEN / "cases" / name / case["layout"]).glob("*"):
                if f.is_file():
                    shutil.copy(f, source)
        pixels = load_file(GOLDEN / case["pixel_values"])["pixel_values"]
        ids = about["expected"]["input_ids"].astype(np.int64)
        want = [about["expected"]["image_embeds"], about["expected"]["text_embeds"]]
        for form in (case["layout"], "onnx"):
            out = pathlib.Path(tempfile.mkdtemp()) / "out"
            r = subprocess.run([FEWSHOT, "export", "-model", source, "-to", form, "-out", out], capture_output=True,
                text=True)
            if r.returncode:
                refused.append(f"{path.parent.name}, {form}: {r.stderr.strip().splitlines()[-1]}")
                continue
            try:
                got = READERS[form](out, about, pixels, ids)
                off = [float(np.abs(unit(g) - w).max()) for g, w in zip(got, want)]
                ok = max(off) <= BOUNDS[form]
                print(f"{'ok  ' if ok else 'FAIL'} {path.parent.name:20} {form:12} images off by {off[0]:.0e}, texts by {off[1]:.0e}")
            except Exception as e:
                ok = False
                print(f"FAIL {path.parent.name:20} {form:12} {type(e).__name__}: {str(e)[:300]}")
            passed, failed = passed + ok, failed + (not ok)
            shutil.rmtree(out.parent)
        shutil.rmtree(source)
    print("\n".join(f"refused {r}" for r in refused))
    print(f"{passed} equal, {failed} not, {len(refused)} refused; transformers {transformers.__version__}, open_clip {open_clip.__version__}, "
          f"timm {timm.__version__}, onnxruntime {onnxruntime.__version__}")
    sys.exit(failed > 0)


main()
