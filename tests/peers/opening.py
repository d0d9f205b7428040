#!/usr/bin/env python3
"""What opening a checkpoint takes, beside reading its file into memory.

    python tests/peers/opening.py [-sizes ViT-B-32,ViT-B-16] [-dtypes float32,float16] [-forms safetensors,pt] [-rounds 9] [-folder FOLDER]

needs Go, torch, safetensors, and disk below FOLDER, which is a temporary one unless given: 0.3 to 1.7 GB a file. Files are of random weights. Everything
is a process, those of a round one after the other:

- open: `fewshot encode` with a text that is too long, which it refuses when both encoders are open; images: with an image that is not there, for
  which it opens the image encoder alone. start: the same of the small model in the program, which takes what any command takes.
- cat: `cat FILE >/dev/null`, which keeps nothing.
- slice, memory, floats: reading.go's ways to read the file and keep it: os.ReadFile; as fast as that goes, which is what "reading" means here; and
  that with as many bytes written to fresh memory as the weights take in float32, than which no program that widens them can be faster.

Warm is with the file in the system's cache, cold with it out of that. Seconds are medians, with the range of the rounds where it says so; ratios are of
the same round, with start taken off, by the clock and by the time of the processors, which others on the machine disturb less. "over" is the peak of memory beyond the weights in float32.
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
from typing import NamedTuple

import files
import peers


def spent(command, env={}, status=0):
    """Seconds of the clock and of the processors, and the peak of memory in MB. (The peak is at least that of this process, which
    therefore loads no library.)"""
    start = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=peers.BARE | env)
    _, ended, used = os.wait4(p.pid, 0)
    if os.waitstatus_to_exitcode(ended) != status:
        raise SystemExit(f"{' '.join(command)}: {ended}")
    return Spent(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


class Spent(NamedTuple):
    seconds: float
    processors: float
    peak: float


def forget(path):
    """Takes a file out of the system's cache."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-sizes", default="ViT-B-32,ViT-B-16")
    p.add_argument("-dtypes", default="float32,float16")
    p.add_argument("-forms", default="safetensors")
    p.add_argument("-rounds", type=int, default=9)
    p.add_argument("-folder")
    a = p.parse_args()
    vocabulary = str(pathlib.Path(importlib.util.find_spec("open_clip").origin).parent / "bpe_simple_vocab_16e6.txt.gz")
    print(peers.machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = a.folder or temporary
        fewshot, reading = build(temporary, "fewshot", "./cmd/fewshot"), build(temporary, "reading", "tests/peers/reading.go")
        for size, dtype, form in itertools.product(a.sizes.split(","), a.dtypes.split(","), a.forms.split(",")):
            make = [sys.executable, "-W", "ignore", files.__file__, folder, "-size", size, "-dtype", dtype, "-form", form]
            path = subprocess.run(make, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
            weights = 4 * sum(product(shape) for _, shape in files.shapes(files.SIZES[size]))
            encode = [fewshot, "encode"]
            given = [*encode, "-model", path, "-activation", "quickgelu"]
            ways = {
                "open": ([*given, "-vocab", vocabulary, "-text", 90 * "a "], 1),
                "images": ([*given, "-vocab", vocabulary, path + ".jpg"], 1),
                "cat": (["cat", path], 0),
                "slice": ([reading, "slice", path], 0),
                "memory": ([reading, "memory", path], 0),
                "floats": ([reading, "floats", path, str(weights)], 0),
                "start": ([*encode, "-text", 90 * "a "], 1),
            }
            rounds = {cold: [measure(ways, path, cold) for _ in range(a.rounds)] for cold in (False, True)}
            print(f"\n{size} {dtype} {form}, {os.path.getsize(path) / 1e6:.0f} MB, {a.rounds} rounds")
            for cold, taken in rounds.items():
                show(taken, "cold" if cold else "warm")
            peak = max(t["open"].peak for t in rounds[False])
            info = [spent([fewshot, "info", path]) for _ in range(a.rounds)]
            print(f"peak {peak:.0f} MB, {peak - weights / 1e6:.0f} over; info {statistics.median(i.seconds for i in info):.2f} s, {max(i.peak for i in info):.0f} MB", flush=True)
            if not a.folder:
                os.remove(path)


def measure(ways, path, cold):
    """One round."""
    taken = {}
    for name, (command, status) in ways.items():
        if cold:
            forget(path)
        taken[name] = spent(command, status=status)
    return taken


def show(rounds, state):
    """The rounds of one file."""
    for name in rounds[0]:
        seconds = [t[name].seconds for t in rounds]
        print(f"  {state} {name:7} {spread(seconds, 3)} s, {statistics.median(t[name].processors for t in rounds):.3f} of the processors", flush=True)
    for name in "open", "images":
        for at, of in enumerate(("clock", "processors")):
            ratios = {beside: [(t[name][at] - t["start"][at]) / t[beside][at] for t in rounds] for beside in ("memory", "floats", "slice", "cat")}
            print(f"  {state} {name} by the {of}, beside " + ", ".join(f"{beside} {spread(r, 2)}" for beside, r in ratios.items()), flush=True)


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def build(folder, name, package):
    path = os.path.join(folder, name)
    subprocess.run(["go", "build", "-o", path, package], cwd=peers.ROOT, check=True)
    return path


def product(shape):
    n = 1
    for d in shape:
        n *= d
    return n


if __name__ == "__main__":
    main()
