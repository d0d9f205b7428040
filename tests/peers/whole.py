#!/usr/bin/env python3
"""A whole run beside PyTorch: R-AMT of CLIP from a checkpoint and JPEG files: open, classify 200 test images, train 5
steps on 160 images, classify again. Seconds of the clock and of the processors, and peak memory, of whole processes
that take turns.

    python tests/peers/whole.py [-size ViT-B-32] [-threads 2] [-rounds 5] [-avx2] [-mkl]

needs Go, torch, torchvision, open_clip_torch and safetensors. Weights are random, in half precision, and images have
the spectrum of photographs, 500 by 400 pixels. PyTorch's side is whole_torch.py, a script as a careful user would
write it: masks and step as in model.py, Pillow in as many processes as there are threads, nothing kept that is not
needed. With -mkl MKL is told that the processor is Intel's, which it then serves better.
"""

import argparse
import importlib.util
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import files
import opening
import peers

CLASSES, SHOTS, TESTS = 10, 16, 20


def make(folder):
    """Write the images: CLASSES folders of each part."""
    import images

    pool = pathlib.Path(folder, "pool")
    pool.mkdir()
    images.photographs(pool, 60, 500, 400, 90)
    n = 0
    for part, count in (("train", SHOTS), ("test", TESTS)):
        for c in range(CLASSES):
            to = pathlib.Path(folder, "data", part, f"class {c}")
            to.mkdir(parents=True)
            for i in range(count):
                shutil.copy(pool / f"{n % 60}.jpg", to / f"{i}.jpg")
                n += 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-size", choices=files.SIZES, default="ViT-B-32")
    p.add_argument("-threads", type=int, default=2)
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-avx2", action="store_true", help="as on a processor without AVX-512")
    p.add_argument("-mkl", action="store_true", help="MKL takes the processor for one of Intel's")
    p.add_argument("-make", metavar="FOLDER", help="write the images alone")
    a = p.parse_args()
    if a.make:
        return make(a.make)
    print(peers.machine())
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "-make", folder], check=True)
        form = [sys.executable, "-W", "ignore", files.__file__, folder, "-size", a.size]
        model = subprocess.run(form, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        vocabulary = pathlib.Path(importlib.util.find_spec("open_clip").origin).parent / "bpe_simple_vocab_16e6.txt.gz"
        shared = {"GOMAXPROCS": str(a.threads), "OMP_NUM_THREADS": str(a.threads)} | peers.KEEP_MEMORY | (peers.AVX2
            if a.avx2 else {})
        tools = peers.Tools()  # whose folder ends with it
        if a.mkl and tools.intel:
            shared["LD_PRELOAD"] = tools.intel
        data = os.path.join(folder, "data")
        rows = {"fewshot": [], "PyTorch": []}
        for i in range(a.rounds):
            out = os.path.join(folder, f"run{i}")
            ours = [tools.fewshot, "train", "-model", model, "-activation", "quickgelu", "-vocab", str(vocabulary),
                "-data", folder, "-dataset", data, "-method", "r-amt",
                    "-shots", str(SHOTS), "-batch-size", "32", "-epochs", "1", "-workers", str(a.threads), "-out", out]
            theirs = [sys.executable, "-W", "ignore", str(pathlib.Path(__file__).with_name("whole_torch.py")), model,
                a.size, data, str(a.threads)]
            rows["fewshot"].append(opening.spent(ours, {k: v for k, v in shared.items() if k != "LD_PRELOAD"}))
            rows["PyTorch"].append(opening.spent(theirs, shared))
            print(f"  round {i + 1}: " + ", ".join(f"{name} {r[-1][0]:.1f} s, {r[-1][1]:.1f} CPU-s, {r[-1][2]:.0f} MB"
                for name, r in rows.items()), flush=True)
    print(f"\nwhole run, {a.size}, {a.threads} threads{', AVX2' if a.avx2 else ''}{', MKL for Intel' if a.mkl else ''}, {a.rounds} rounds")
    for name, r in rows.items():
        clock, cpu, peak = (statistics.median(c) for c in zip(*r))
        print(f"{name:10} {clock:7.1f} s  {cpu:7.1f} CPU-s  {peak:6.0f} MB")
    for what, at in (("clock", 0), ("processors", 1), ("memory", 2)):
        ratios = sorted(t[at] / o[at] for o, t in zip(rows["fewshot"], rows["PyTorch"]))
        print(f"PyTorch over fewshot, {what}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
