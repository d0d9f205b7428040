"""Writes resize.txt: what Pillow's bicubic resize makes of crops of a pattern, at random sizes up and down.

    python make_resize.py

Each line: width and height of the pattern, crop (left, top, right, bottom), new width and height, SHA-256 of the result's
bytes. The pattern is the one of resize_test.go: pixel (x, y) = ((7x+13y) mod 256, (x²+3y) mod 256, ((31x) xor (17y)) mod 256).

Columns are resized first, then rows, in two calls. In Pillow 11.3 a single call does the same; newer versions may begin with
the rows where that is less work (12.3 for very tall pictures, 13.0 more often), which gives other pixels.
"""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

rng = np.random.default_rng(3)


def pattern(w, h):
    y, x = np.mgrid[0:h, 0:w]
    return Image.fromarray(np.stack([7 * x + 13 * y, x * x + 3 * y, (31 * x) ^ (17 * y)], -1).astype(np.uint8))


cases = [(37, 23, (0, 0, 37, 23), s) for s in ((16, 16), (64, 40), (37, 23), (37, 50), (11, 23), (1, 1), (500, 1))]
cases += [(1, 1, (0, 0, 1, 1), (7, 5)), (2, 900, (0, 0, 2, 900), (224, 224)), (500, 375, (0, 0, 500, 375), (298, 224))]
for _ in range(150):
    w, h = np.exp(rng.uniform(0, np.log(400), 2)).astype(int)
    left, top = rng.integers(0, w), rng.integers(0, h)
    right, bottom = rng.integers(left, w) + 1, rng.integers(top, h) + 1
    size = np.exp(rng.uniform(0, np.log(300), 2)).astype(int)
    cases.append((w, h, (left, top, right, bottom), size))
lines = []
for w, h, crop, size in cases:
    size = tuple(map(int, size))
    out = pattern(w, h).crop(tuple(map(int, crop)))
    out = out.resize((size[0], out.height), Image.BICUBIC).resize(size, Image.BICUBIC)
    lines.append(" ".join(map(str, (w, h, *crop, *size, hashlib.sha256(out.tobytes()).hexdigest()))) + "\n")
(Path(__file__).parent / "resize.txt").write_text("".join(lines))
