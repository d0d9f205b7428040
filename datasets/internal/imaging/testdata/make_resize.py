"""Writes resize-N.txt: what the bicubic resize of Pillow N makes of crops of a pattern, at random sizes up and down.

    python make_resize.py

Each line: width and height of the pattern, crop (left, top, right, bottom), new width and height, SHA-256 of the
bytes of pattern.crop(crop).resize(size, BICUBIC). The pattern is the one of resize_test.go: pixel (x, y) = ((7x+13y)
mod 256, (x²+3y) mod 256, ((31x) xor (17y)) mod 256).

resize-12.txt was made with Pillow 12.1.0, resize-13.txt with 13.0.0. 11.3.0 and 12.0.0 give the former; so do 12.2.0
and 12.3.0 but for the pattern of 2x900 pixels, over 100 times as tall as wide.
"""

import hashlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

rng = np.random.default_rng(3)


def pattern(w, h):
    y, x = np.mgrid[0:h, 0:w]
    return Image.fromarray(np.stack([7 * x + 13 * y, x * x + 3 * y, (31 * x) ^ (17 * y)], -1).astype(np.uint8))


cases = [(37, 23, (0, 0, 37, 23), s) for s in ((16, 16), (64, 40), (37, 23), (37, 50), (11, 23), (1, 1), (500, 1))]
cases += [(1, 1, (0, 0, 1, 1), (7, 5)), (2, 900, (0, 0, 2, 900), (224, 224)), (500, 375, (0, 0, 500, 375), (298, 224))]
# A telephone's screen; and where the height shrinks by twice what the width does, by one more and by one less.
cases += [(540, 1170, (0, 0, 540, 1170), (224, 485))]
cases += [(60, h, (5, 3, 45, h), (30, 40)) for h in (62, 63, 64)]
for _ in range(150):
    w, h = np.exp(rng.uniform(0, np.log(400), 2)).astype(int)
    left, top = rng.integers(0, w), rng.integers(0, h)
    right, bottom = rng.integers(left, w) + 1, rng.integers(top, h) + 1
    size = np.exp(rng.uniform(0, np.log(300), 2)).astype(int)
    cases.append((w, h, (left, top, right, bottom), size))
lines = []
for w, h, crop, size in cases:
    size = tuple(map(int, size))
    out = pattern(w, h).crop(tuple(map(int, crop))).resize(size, Image.BICUBIC)
    lines.append(" ".join(map(str, (w, h, *crop, *size, hashlib.sha256(out.tobytes()).hexdigest()))) + "\n")
major = PIL.__version__.split(".")[0]
(Path(__file__).parent / f"resize-{major}.txt").write_text("".join(lines))
