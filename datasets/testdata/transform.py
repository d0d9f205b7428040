"""Writes transform.txt: what torchvision's transforms make of pictures of ../internal/imaging/testdata.

    python transform.py

Lines:
    center NAME SIZE HASH                                  Resize, CenterCrop, ToTensor, Normalize
    crop NAME SIZE LEFT TOP WIDTH HEIGHT FLIP HASH         resized_crop, hflip, ToTensor, Normalize
    other NAME SIZE RESIZE SQUASH BILINEAR HASH            center to another size before the crop, of both sides, with the other filter
    center-12, crop-12                                     the same with the columns first, as Pillow 12 and older do
    draw WIDTH HEIGHT SCALE LEFT TOP WIDTH HEIGHT U...     RandomResizedCrop.get_params, and the uniform numbers behind it

HASH is the SHA-256 of the float32 tensor [3, SIZE, SIZE], little-endian. Made with torch 2.15.0, torchvision 0.29.2,
Pillow 13.0.0, whose resize is made to do the columns first for the lines of Pillow 12.
"""

import hashlib
import math
import random
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F

HERE = Path(__file__).parent
PICTURES = HERE.parent / "internal" / "imaging" / "testdata"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

resize = Image.Image.resize


def columns_first(self, size, resample=None, box=None, reducing_gap=None):
    assert box is None and reducing_gap is None
    return resize(resize(self, (size[0], self.height), resample), size, resample)


finish = T.Compose([T.ToTensor(), T.Normalize(MEAN, STD)])
lines = []


def line(*words):
    lines.append(" ".join(map(str, words)) + "\n")


def sha(t):
    return hashlib.sha256(t.contiguous().numpy().astype("<f4").tobytes()).hexdigest()


def open_rgb(name):
    return Image.open(PICTURES / name).convert("RGB")


NAMES = "420-large.jpg cmyk.jpg gray.jpg 440.jpg 422-5x5.jpg 420-33x2.jpg palette.gif lossless.webp vertical-411.jpg".split()
for kind, Image.Image.resize in (("center", resize), ("center-12", columns_first)):
    for name in NAMES:
        for size in (224, 45, 16):
            t = T.Compose([T.Resize(size, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(size), finish])
            line(kind, name, size, sha(t(open_rgb(name))))

Image.Image.resize = resize
for name in NAMES:
    for size, edge, squash, bilinear in ((45, 45, 1, 0), (45, 45, 1, 1), (45, 51, 0, 0), (44, 51, 0, 1),
            (32, 37, 1, 0)):
        filter = T.InterpolationMode.BILINEAR if bilinear else T.InterpolationMode.BICUBIC
        t = T.Compose([T.Resize((edge, edge) if squash else edge, interpolation=filter), T.CenterCrop(size), finish])
        line("other", name, size, edge, squash, bilinear, sha(t(open_rgb(name))))

rnd = random.Random(1)
for name in ("420-large.jpg", "440.jpg", "rgb8.png"):
    image = open_rgb(name)
    for size in (224, 31):
        for flip in (0, 1):
            w, h = rnd.randint(1, image.width), rnd.randint(1, image.height)
            left, top = rnd.randint(0, image.width - w), rnd.randint(0, image.height - h)
            for kind, Image.Image.resize in (("crop", resize), ("crop-12", columns_first)):
                out = F.resized_crop(image, top, left, h, w, (size, size), T.InterpolationMode.BICUBIC)
                line(kind, name, size, left, top, w, h, flip, sha(finish(F.hflip(out) if flip else out)))

# RandomResizedCrop draws with Tensor.uniform_ and torch.randint. Both are replaced by numbers that are written down.
draws = []


def uniform_(self, low=0.0, high=1.0):
    u = rnd.random()
    draws.append(u)
    return torch.tensor([float(low) + (float(high) - float(low)) * u], dtype=torch.float64)


def randint(low, high, size):
    u = rnd.random()
    draws.append(u)
    return torch.tensor([low + math.floor(u * (high - low))])


torch.Tensor.uniform_ = uniform_
torch.randint = randint
for i in range(60):
    w, h = (rnd.randint(1, 600), rnd.randint(1, 600)) if i % 3 else rnd.choice([(30, 600), (600, 30), (1, 9), (1, 1),
        (500, 375)])
    scale = (0.08, 0.5)[i % 2]
    draws.clear()
    top, left, ch, cw = T.RandomResizedCrop.get_params(torch.zeros(3, h, w), [scale, 1.0], [3 / 4, 4 / 3])
    line("draw", w, h, scale, left, top, cw, ch, *draws)

(HERE / "transform.txt").write_text("".join(lines))
