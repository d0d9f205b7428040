#!/usr/bin/env python3
"""Image encoding side by side with PyTorch eager: images/s of CLIP's vision transformer in float32.

    python tests/peers/forward.py [-model ViT-B-16] [-batch 32] [-threads 2] [-rounds 3]

needs Go, torch and open_clip_torch, and a machine with nothing else to do. Both programs encode the same number of
random images with random weights; rounds are interleaved, so that both see the machine in the same states, and the
median counts.
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


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-model", default="ViT-B-16", help="ViT-B-32, ViT-B-16 or ViT-L-14")
    p.add_argument("-batch", type=int, default=32, help="1, 8 or 32")
    p.add_argument("-threads", type=int, default=2, help="of either program")
    p.add_argument("-rounds", type=int, default=3, help="of both programs in turn")
    p.add_argument("-seconds", type=float, default=4, help="at least, a round and program")
    a = p.parse_args()

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
    theirs, mine = (statistics.median(r) for r in zip(*rates))
    print(f"\n{a.model}, batch {a.batch}, float32, {a.threads} threads, {platform.machine()}, "
          f"torch {torch.__version__}, medians of {a.rounds} rounds")
    print(f"PyTorch eager  {theirs:8.2f} images/s")
    print(f"fewshot        {mine:8.2f} images/s  ({mine / theirs:.2f} of PyTorch)")


if __name__ == "__main__":
    main()
