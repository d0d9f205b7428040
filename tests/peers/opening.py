#!/usr/bin/env python3
"""What opening a checkpoint takes: processors' time, clock and peak memory of `fewshot encode -text`, which reads both encoders, beside
reading the file into memory once, and of `fewshot info`.

    python tests/peers/opening.py [-sizes ViT-B-16,ViT-L-14] [-rounds 5] [-folder FOLDER]

needs Go, torch, safetensors and about 10 GB of disk below FOLDER, which is a temporary one unless given. Files are of random weights. "over" is the
peak of memory beyond the weights in float32.
"""

import argparse
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import files
import peers


def spent(command, env={}):
    """Seconds of the clock and of the processors, and the peak of memory in MB. (The peak is at least that of this process, which
    therefore loads no library.)"""
    start = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=peers.BARE | env)
    _, status, used = os.wait4(p.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


READ = "import sys; f = open(sys.argv[1], 'rb', 0); b = bytearray(1 << 18)\nwhile f.readinto(b): pass"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-sizes", default="ViT-B-16,ViT-L-14")
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-folder")
    a = p.parse_args()
    vocabulary = str(pathlib.Path(importlib.util.find_spec("open_clip").origin).parent / "bpe_simple_vocab_16e6.txt.gz")
    with tempfile.TemporaryDirectory() as temporary:
        folder = a.folder or temporary
        fewshot = build(temporary)
        print("| file | read: s | open: s | processors: s | peak: MB | over: MB | info: s, MB |")
        print("|---|---|---|---|---|---|---|")
        for size in a.sizes.split(","):
            elements = sum(product(shape) for _, shape in files.shapes(files.SIZES[size]))
            for dtype in ("float16", "float32"):
                for form in files.FORMS:
                    make = [sys.executable, "-W", "ignore", files.__file__, folder, "-size", size, "-dtype", dtype, "-form", form]
                    path = subprocess.run(make, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
                    rows = []
                    for _ in range(a.rounds):
                        read = spent(["python3", "-c", READ, path])
                        opened = spent([fewshot, "encode", "-model", path, "-activation", "quickgelu", "-vocab", vocabulary, "-text", "a photo."])
                        info = spent([fewshot, "info", path])
                        rows.append((read[0], *opened, info[0], info[2]))
                    read, clock, cpu, peak, info, small = (statistics.median(c) for c in zip(*rows))
                    print(f"| {size} {dtype} {form} | {read:.2f} | {clock:.2f} | {cpu:.2f} | {peak:.0f} | {peak - 4e-6 * elements:.0f} | {info:.2f}, {small:.0f} |", flush=True)
                    if not a.folder:
                        os.remove(path)


def build(folder):
    path = os.path.join(folder, "fewshot")
    subprocess.run(["go", "build", "-o", path, "./cmd/fewshot"], cwd=peers.ROOT, check=True)
    return path


def product(shape):
    n = 1
    for d in shape:
        n *= d
    return n


if __name__ == "__main__":
    main()
