#!/usr/bin/env python3
"""From a JPEG file to the tensor that a model takes, a core at a time, side by side with Pillow and torchvision.

    python tests/peers/images.py [-rounds 5] [-images 24] [-count 400] [-size 500x400] [-quality 90]

needs Go and what requirements.txt lists. The files have the spectrum of photographs. What counts is processor time,
which a busy machine lengthens less than the clock does; the programs take turns all the same. Peers that are not
installed are left out.
"""

import argparse
import io
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image, features
from torchvision import transforms as T

import peers

ROOT = pathlib.Path(__file__).resolve().parents[2]


def photographs(folder, n, w, h, quality):
    """Colour noise of power 1/f, as pictures of the world have, and a camera's white noise."""
    rng = np.random.default_rng(7)
    f = 1 / np.maximum(np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]), 1 / w) ** 1.2
    for i in range(n):
        luma, red, blue = (a / a.std() for a in (np.fft.irfft2(f * np.exp(2j * np.pi * rng.random(f.shape)), s=(h, w))
            for _ in range(3)))
        luma = 120 + 55 * luma
        a = np.stack([luma + 18 * red, luma, luma + 22 * blue], -1) + rng.normal(0, 3, (h, w, 3))
        Image.fromarray(a.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.jpg", quality=quality)


def python(files, count, work):
    """Images per second of processor time of this thread."""
    data = [f.read_bytes() for f in files]
    start = time.thread_time()
    for i in range(count):
        work(data[i % len(data)])
    return count / (time.thread_time() - start)


def go(binary, folder, count, bench):
    """The same of Go's benchmark, with what the process takes to start subtracted."""

    def spent(n):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [binary, "-test.run", "xxx", "-test.bench", f"^BenchmarkFiles$/^{bench}$", "-test.benchtime", f"{n}x",
            "-test.cpu", "1"]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT / "datasets",
            env=os.environ | {"FEWSHOT_IMAGES": str(folder)})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return count / (spent(count + 1) - spent(1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-images", type=int, default=24)
    p.add_argument("-count", type=int, default=400)
    p.add_argument("-size", default="500x400")
    p.add_argument("-quality", type=int, default=90)
    a = p.parse_args()
    torch.set_num_threads(1)
    print(f"{peers.machine()}, Pillow {PIL.__version__} (libjpeg-turbo {features.version('libjpeg_turbo')}), torchvision {torchvision.__version__}")
    transform = T.Compose([
        T.Resize(224, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(224), T.ToTensor(),
        T.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ])

    def decode(data):
        return Image.open(io.BytesIO(data)).convert("RGB")

    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        folder = tmp / "images"
        folder.mkdir()
        photographs(folder, a.images, *map(int, a.size.split("x")), a.quality)
        files = sorted(folder.iterdir())
        print(f"{a.size} pixels, quality {a.quality}, {sum(f.stat().st_size for f in files) // len(files)} bytes a file")
        binary = str(tmp / "datasets.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./datasets"], check=True, cwd=ROOT)
        cases = {
            "decode": {
                "ours": lambda: go(binary, folder, a.count, "decode"),
                "Pillow": lambda: python(files, a.count, decode),
                "torchvision.io": lambda: python(
                    files, a.count, lambda d: torchvision.io.decode_jpeg(torch.frombuffer(bytearray(d),
                        dtype=torch.uint8), mode=torchvision.io.ImageReadMode.RGB)
                ),
            },
            "file to tensor": {
                "ours": lambda: go(binary, folder, a.count, "tensor"),
                "Pillow and torchvision": lambda: python(files, a.count, lambda d: transform(decode(d))),
            },
        }
        try:
            import simplejpeg

            cases["decode"]["simplejpeg"] = lambda: python(files, a.count, lambda d: simplejpeg.decode_jpeg(d))
        except ImportError:
            pass
        for name, sides in cases.items():
            rates = {side: [] for side in sides}
            for _ in range(a.rounds):
                for side, run in sides.items():
                    rates[side].append(run())
            print(f"\n{name}: images a second of a core, median of {a.rounds} (range), and ours over it")
            for side, r in rates.items():
                ratios = [x / y for x, y in zip(rates["ours"], r)]
                print(f"  {side:24} {statistics.median(r):6.0f} ({min(r):.0f}..{max(r):.0f})   {statistics.median(ratios):5.2f} ({min(ratios):.2f}..{max(ratios):.2f})")


if __name__ == "__main__":
    main()
