#!/usr/bin/env python3
"""Accuracy of the embedded model after tuning on a GPU, beside the CPU's spread over seeds.

    accuracy.py FEWSHOT [-device cuda:0] [-tasks things,letters] [-seeds 1,2,3] [-cpu FILE]

FEWSHOT is the program built with -tags cuda. The CPU's accuracies are read from FILE where it is there, and written
to it where it is not: so they can be made beforehand, by -precisions "", on a machine without a GPU. Arguments after
-- go to "fewshot demo", for both. Fails if the mean of the GPU's accuracies over the seeds is outside the range of
the CPU's, where seeds make a difference.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

argv, extra = sys.argv[1:], []
if "--" in argv:
    argv, extra = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
p = argparse.ArgumentParser()
p.add_argument("fewshot")
p.add_argument("-device", default="cuda:0")
p.add_argument("-precisions", default="float32,bf16", help="of the device")
p.add_argument("-tasks", default="things,letters")
p.add_argument("-seeds", default="1,2,3")
p.add_argument("-cpu", help="file with the CPU's accuracies")
args = p.parse_args(argv)


def demo(device, precision):
    """Accuracies by task and method, one a seed."""
    command = [args.fewshot, "demo", "-tasks", args.tasks, "-seeds", args.seeds, "-device", device, "-precision",
        precision, "-json", *extra]
    out = subprocess.run(command, capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"{' '.join(command[1:])}: {out.stderr.strip()}")
    found = {}
    for r in json.loads(out.stdout.splitlines()[-1])["rows"]:
        found.setdefault(f"{r['task']}, {r['method']}", []).append(r["accuracy"])
    return found


settings = {"tasks": args.tasks, "seeds": args.seeds, "arguments": extra}
if args.cpu and os.path.exists(args.cpu):
    with open(args.cpu) as f:
        stored = json.load(f)
    if stored["settings"] != settings:
        sys.exit(f"{args.cpu} was made with {stored['settings']}, not {settings}")
    cpu = stored["accuracy"]
else:
    cpu = demo("cpu", "float32")
    if args.cpu:
        with open(args.cpu, "w") as f:
            json.dump({"settings": settings, "accuracy": cpu}, f)
runs = {precision: demo(args.device, precision) for precision in args.precisions.split(",") if precision}

outside = 0
print(f"| accuracy in %, seeds {args.seeds} | cpu, mean [range] | " + " | ".join(f"{args.device} {x}" for x in runs)
    + " |")
for key, base in cpu.items():
    cells = []
    for found in runs.values():
        mean = statistics.mean(found[key])
        bad = max(base) > min(base) and not min(base) <= mean <= max(base)
        outside += bad
        cells.append(f"{mean:.2f}{' OUTSIDE' if bad else ''} [{min(found[key]):.2f}, {max(found[key]):.2f}]")
    print(f"| {key} | {statistics.mean(base):.2f} [{min(base):.2f}, {max(base):.2f}] | " + " | ".join(cells) + " |")
sys.exit(outside > 0)
