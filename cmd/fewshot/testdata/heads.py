"""Opens classifiers that TestExportHeads exported with ONNX Runtime: python heads.py GRAPH PREDICTIONS, for each pair of
such. Every picture of the predictions is prepared by Pillow as the graph's metadata say, and the graph's logits and
probabilities are those that predict wrote, to its six digits. Prints the largest differences. Run by the test."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def prepared(path, p):
    size, picture = p["size"], Image.open(path).convert("RGB")
    assert (p["resize"] or size, p["resize_mode"], p["interpolation"]) == (size, "shortest", "bicubic"), p
    w, h = picture.size
    w, h = (size, int(size * h / w)) if w <= h else (int(size * w / h), size)
    picture = picture.resize((w, h), Image.BICUBIC)
    left, top = round((w - size) / 2), round((h - size) / 2)
    return np.asarray(picture.crop((left, top, left + size, top + size)), np.float32).transpose(2, 0, 1)


for graph, predictions in zip(sys.argv[1::2], sys.argv[2::2]):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    classes, preprocessing = json.loads(about["classes"]), json.loads(about["preprocessing"])
    rows = [json.loads(line) for line in open(predictions)]
    pixels = np.stack([prepared(row["path"], preprocessing) for row in rows])
    logits, probabilities = session.run(["logits", "probabilities"], {"pixels": pixels})
    assert logits.shape == probabilities.shape == (len(rows), len(classes))
    off = [0.0, 0.0]
    for row, l, p in zip(rows, logits, probabilities):
        by = {one["class"]: one["probability"] for one in row["top"]}
        assert sorted(by) == sorted(classes), (graph, row["top"], classes)
        off[0] = max(off[0], abs(row["logit"] - l.max()) / np.abs(logits).max())
        off[1] = max(off[1], max(abs(by[c] - v) for c, v in zip(classes, p)))
    print(f"{graph} {off[0]:.1e} {off[1]:.1e}")
