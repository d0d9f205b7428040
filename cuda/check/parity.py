#!/usr/bin/env python3
"""Whole-model parity of two devices: the program does the same work on both, and the results are compared.

    parity.py FEWSHOT [DEVICE] [-quick]    FEWSHOT is the program built with -tags cuda; DEVICE is cuda:0

Features of texts and images; a run of R-AMT on a drawn task, whose random streams are the same on both devices, epoch by
epoch; and the run's accuracy over seeds. In float32 and in bf16, against the CPU's float32. Prints a table and fails
if a figure is out of its bound.
"""
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

program, device, quick = sys.argv[1], "cuda:0", "-quick" in sys.argv
for a in sys.argv[2:]:
    if not a.startswith("-"):
        device = a

TEXTS = ["a photo of the letter a.", "two red squares", "a dog", "x " * 20]
# The simulated device of cuda/sim is off by 4e-7 in float32 and 5e-3 in bf16, where each layer adds a few roundings
# to the residual stream; a device that sums in another order gets a little more room.
FEATURES = {"float32": 5e-6, "bf16": 2e-2}
# A loss is a mean of many terms; masks that differ in a weight that was about to go move it as well.
LOSS = {"float32": 5e-3, "bf16": 8e-2}


def run(*args):
    p = subprocess.run([program, *args, "-json"], capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"{' '.join(args)}: {p.stderr.strip()}")
    return [json.loads(line) for line in p.stdout.splitlines()]


def images(folder):
    """Pictures without a library: PPM would do, but the program reads PNG and JPEG."""
    try:
        from PIL import Image
    except ImportError:
        return []
    names = []
    for i in range(4):
        m = Image.new("RGB", (60 + 7 * i, 50))
        m.putdata([((x * (i + 3)) % 256, (y * 5) % 256, (x * y * (i + 1)) % 256) for y in range(50) for x in range(60 + 7 * i)])
        names.append(os.path.join(folder, f"{i}.png"))
        m.save(names[-1])
    return names


def features(dev, precision, pictures):
    texts = [a for t in TEXTS for a in ("-text", t)]
    return [r["feature"] for r in run("encode", "-device", dev, "-precision", precision, *texts, *pictures)]


def training(dev, precision, seed, folder):
    """Epochs at a rate at which weights go, so that teacher and both lanes take part."""
    size = ["-shots", "1", "-classes", "base", "-epochs", "3", "-lr", "6e-3"] if quick else ["-shots", "8", "-epochs", "12", "-lr", "1e-3"]
    lines = run("train", "-dataset", "synth:letters", "-seed", str(seed), "-batch-size", "8", "-device", dev, "-precision", precision, "-zeroshot=false",
                "-out", os.path.join(folder, f"{dev.replace(':', '')}-{precision}-{seed}"), *size)
    return [l for l in lines if l["kind"] == "epoch"], lines[-1]


failures = 0


def row(what, value, bound):
    global failures
    bad = not value <= bound
    failures += bad
    print(f"{what:58} {value:10.3g}  bound {bound:8.3g}{'  OUT OF BOUND' if bad else ''}", flush=True)


with tempfile.TemporaryDirectory() as folder:
    pictures = images(folder)
    want = features("cpu", "float32", pictures)
    seeds = [1] if quick else [1, 2, 3]
    base = {s: training("cpu", "float32", s, folder) for s in seeds}
    for precision in ("float32", "bf16"):
        got = features(device, precision, pictures)
        worst = max(math.dist(g, w) / math.hypot(*w) for g, w in zip(got, want))
        row(f"{precision} features of {len(TEXTS)} texts, {len(pictures)} images: ‖Δ‖/‖x‖", worst, FEATURES[precision])
        results = {s: training(device, precision, s, folder) for s in seeds}
        epochs = [(g, w) for s in seeds for g, w in zip(results[s][0], base[s][0])]
        for key in ("loss", "distill"):
            both = [(g[key], w[key]) for g, w in epochs if g[key] is not None and w[key] is not None]
            row(f"{precision} {key} of {len(both)} epochs: largest |Δ|/value", max((abs(g - w) / abs(w) for g, w in both if w), default=0), LOSS[precision])
        accuracy = {name: [r[s][1]["test"]["accuracy"] for s in seeds] for name, r in (("cpu", base), (device, results))}
        if len(seeds) > 1:
            spread = max(accuracy["cpu"]) - min(accuracy["cpu"])
            off = abs(statistics.mean(accuracy[device]) - statistics.mean(accuracy["cpu"]))
            row(f"{precision} accuracy {accuracy[device]} against {accuracy['cpu']}", off, max(spread, 1.0))
sys.exit(failures > 0)
