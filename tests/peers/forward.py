#!/usr/bin/env python3
"""Image encoding side by side with PyTorch eager: images/s of CLIP's vision transformer in float32.

    python tests/peers/forward.py [-model ViT-B-16] [-batch 32] [-threads 2] [-rounds 3]

needs Go, torch and open_clip_torch, and a machine with nothing else to do. Both programs encode the same number of
random images with random weights; rounds are interleaved, so that both see the machine in the same states, and the
median counts. The spread and the load say whether it counts for anything: a loaded machine is warned of.

Read the ratio with care. Eager PyTorch multiplies with the library it was built with; wheels with MKL do not use
AVX-512 on some AMD processors, and then reach half of what PyTorch's own oneDNN kernels do. The last lines show both for
one linear layer: where they are far apart, eager is not the best that PyTorch can do. And we compute the last block
for the class token alone, about 7 % less work at ViT-B/16, which open_clip does not.
"""

import argparse
import os
import pathlib
import platform
import re
import statistics
import subprocess
import tempfile
import time

import open_clip
import torch
from torch.utils.mkldnn import to_mkldnn

ROOT = pathlib.Path(__file__).resolve().parents[2]


def ours(binary, model, batch, threads, seconds):
    """images/s of BenchmarkForward."""
    pattern = f"^BenchmarkForward$/^model={model}$/^batch={batch}$"
    out = subprocess.run(
        [binary, "-test.run=^$", f"-test.bench={pattern}", f"-test.benchtime={seconds}s"],
        env=os.environ | {"GOMAXPROCS": str(threads)}, cwd=ROOT / "tests", check=True, capture_output=True, text=True,
    ).stdout
    found = re.search(r"([\d.]+) images/s", out)
    if not found:
        raise SystemExit(f"no benchmark for model {model} and batch {batch} (see tests/forward_bench_test.go):\n{out}")
    return float(found.group(1))


def eager(encoder, images, seconds):
    """images/s of PyTorch."""
    with torch.inference_mode():
        encoder(images)
        n, start = 0, time.perf_counter()
        while n == 0 or time.perf_counter() - start < seconds:
            encoder(images)
            n += 1
        return n * len(images) / (time.perf_counter() - start)


def linear(encoder, layer):
    """GFLOP/s of a linear layer of the encoder's width, four times as wide at its end."""
    width = encoder.transformer.width
    x, layer = torch.rand(1576, width), layer(torch.nn.Linear(width, 4 * width).eval())
    with torch.no_grad():
        x = x if isinstance(layer, torch.nn.Linear) else x.to_mkldnn()
        layer(x)
        rates = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(4):
                layer(x)
            rates.append(4 * 8 * 1576 * width * width / (time.perf_counter() - start) / 1e9)
    return statistics.median(rates)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-model", default="ViT-B-16", help="ViT-B-32, ViT-B-16 or ViT-L-14")
    p.add_argument("-batch", type=int, default=32, help="1, 8 or 32")
    p.add_argument("-threads", type=int, default=2, help="of either program")
    p.add_argument("-rounds", type=int, default=3, help="of both programs in turn")
    p.add_argument("-seconds", type=float, default=4, help="at least, a round and program")
    a = p.parse_args()

    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the load is {load:.1f}; something else is running, and these figures will not mean much")
    torch.set_num_threads(a.threads)
    encoder = open_clip.create_model(a.model + "-quickgelu", pretrained=None).visual.eval()
    images = torch.rand(a.batch, 3, *encoder.image_size)
    with tempfile.TemporaryDirectory() as tmp:
        binary = os.path.join(tmp, "tests.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./tests"], cwd=ROOT, check=True)
        rates = []
        for i in range(a.rounds):
            rates.append((eager(encoder, images, a.seconds), ours(binary, a.model, a.batch, a.threads, a.seconds)))
            print(f"round {i + 1}: PyTorch {rates[-1][0]:.2f}, fewshot {rates[-1][1]:.2f} images/s", flush=True)
    theirs, mine = zip(*rates)
    ratio = statistics.median(mine) / statistics.median(theirs)
    print(f"\n{a.model}, batch {a.batch}, float32, {a.threads} threads, {platform.machine()}, torch {torch.__version__}, "
          f"medians of {a.rounds} rounds, load {load:.1f} before and {os.getloadavg()[0]:.1f} after")
    for name, r in (("PyTorch eager", theirs), ("fewshot", mine)):
        print(f"{name:14} {statistics.median(r):8.2f} images/s  ({min(r):.2f} to {max(r):.2f})")
    print(f"{'ratio':14} {ratio:8.2f}")
    print(f"PyTorch's linear layer: eager {linear(encoder, lambda x: x):.0f}, oneDNN {linear(encoder, to_mkldnn):.0f} GFLOP/s")


if __name__ == "__main__":
    main()
