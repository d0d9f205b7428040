#!/usr/bin/env python3
"""What opening a checkpoint takes: processors' time, clock and peak memory of `fewshot encode -text`, which reads both encoders, beside
reading the file into memory once, and of `fewshot info`.

    python tests/peers/opening.py [-sizes ViT-B-16,ViT-L-14] [-dtypes float16,float32] [-forms safetensors,bin,pt] [-rounds 5] [-folder FOLDER]

needs Go, torch, safetensors and about 10 GB of disk below FOLDER, which is a temporary one unless given. Files are of random weights. "cold" is with
the file out of the system's cache. "floor" is the clock of a process whose threads, one a processor, read the file and write as many bytes as the weights
have in float32 to fresh memory in huge pages, whatever they may write: no program that opens the file so can take less. "python" and "start" are what the
processes take that have nothing to open: an interpreter, part of "read" and "floor", and `fewshot encode -text` of the small model in the program, part of
"open" with a text's encoding. "over" is the peak of memory beyond the weights in float32.
"""

import argparse
import importlib.util
import itertools
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
FLOOR = """
import ctypes, mmap, os, sys, threading
f, n = os.open(sys.argv[1], os.O_RDONLY), os.cpu_count()
have, size = os.fstat(f).st_size // n, int(sys.argv[2]) // n
def part(i):
    m = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"): m.madvise(mmap.MADV_HUGEPAGE)
    at, end, b = i * have, (i + 1) * have, bytearray(1 << 20)
    while at < end: at += os.preadv(f, [b], at)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(m)), 1, size)
    kept.append(m)
kept, all = [], [threading.Thread(target=part, args=(i,)) for i in range(n)]
for t in all: t.start()
for t in all: t.join()"""


def forget(path):
    """Takes a file out of the system's cache."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-sizes", default="ViT-B-16,ViT-L-14")
    p.add_argument("-dtypes", default="float16,float32")
    p.add_argument("-forms", default=",".join(files.FORMS))
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-folder")
    a = p.parse_args()
    vocabulary = str(pathlib.Path(importlib.util.find_spec("open_clip").origin).parent / "bpe_simple_vocab_16e6.txt.gz")
    with tempfile.TemporaryDirectory() as temporary:
        folder = a.folder or temporary
        fewshot = build(temporary)
        print("| file | read: s | open: s | floor: s | python: s | start: s | read cold: s | open cold: s | processors: s | peak: MB | over: MB | info: s, MB |")
        print("|---|---|---|---|---|---|---|---|---|---|---|---|")
        for size, dtype, form in itertools.product(a.sizes.split(","), a.dtypes.split(","), a.forms.split(",")):
            weights = 4 * sum(product(shape) for _, shape in files.shapes(files.SIZES[size]))
            make = [sys.executable, "-W", "ignore", files.__file__, folder, "-size", size, "-dtype", dtype, "-form", form]
            path = subprocess.run(make, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
            read = ["python3", "-c", READ, path]
            opening = [fewshot, "encode", "-model", path, "-activation", "quickgelu", "-vocab", vocabulary, "-text", "a photo."]
            rows = []
            for _ in range(a.rounds):
                cold = []
                for command in (read, opening):
                    forget(path)
                    cold.append(spent(command)[0])
                warm, opened, info = spent(read), spent(opening), spent([fewshot, "info", path])
                floor = spent(["python3", "-c", FLOOR, path, str(weights)])
                bare = spent(["python3", "-c", "pass"]), spent([fewshot, "encode", "-text", "a photo."])
                rows.append((warm[0], opened[0], floor[0], bare[0][0], bare[1][0], *cold, *opened[1:], info[0], info[2]))
            *seconds, peak, info, small = (statistics.median(c) for c in zip(*rows))
            print(f"| {size} {dtype} {form} | {' | '.join(f'{s:.2f}' for s in seconds)} | {peak:.0f} | {peak - weights / 1e6:.0f} | {info:.2f}, {small:.0f} |", flush=True)
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
