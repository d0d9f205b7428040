#!/usr/bin/env python3
"""Training steps of CoOp, CoCoOp and CLIP-LoRA beside PyTorch: ViT-B/16 with random weights, 100 classes, image features
fresh in every step, 16 contexts for CoOp, 4 for CoCoOp, rank 2 on q, k and v of both towers for CLIP-LoRA; batches of
32, of 1 for CoCoOp.

    pip install -r tests/peers/requirements.txt
    python tests/peers/methods.py [-rounds 5] [-threads 2] [-only coop,cocoop,clip-lora] [-avx2] [-config compiled ...]

PyTorch is run in two ways, which methods_torch.py describes: as a careful user writes it, eager and compiled, each
with MKL told that the processor is Intel's and without; and as the authors' programs are. All in float32. Of the
careful ways the fastest as installed and the fastest of all are measured, which are found first (-rounds 0: that
alone), or named by -config.

Every measured thing is a process, PyTorch's stay, and rounds go in turn. Ours is `fewshot train`: for CoOp the second
epoch of 4 steps, in the others the only one, of 100 steps for CoCoOp and 4 for CLIP-LoRA, by the run's own rate, with
the decoding of all images in it. Shown are seconds a step, the median with the least and the most, and the most
memory that the process had. With -cpu, which wants -threads 1, seconds are processors', which others on the machine
disturb less; ours are then those of the whole run, opening and evaluation among them.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peers

NAMES = """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar
cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew
skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
tulip turtle wardrobe whale willow_tree wolf woman worm""".split()

ARGS = {
    "coop": ["-epochs", "2", "-shots", "0"],
    "cocoop": ["-epochs", "1", "-shots", "1"],
    "clip-lora": ["-iterations", "4", "-batch-size", "32", "-shots", "0"],
}
BATCH = {"coop": 32, "cocoop": 1, "clip-lora": 32}
STEPS = {"coop": 1, "cocoop": 5, "clip-lora": 1}  # of PyTorch in a round

# How PyTorch is run: compiled or not, as the authors' programs are, with MKL told that the processor is Intel's.
CONFIGS = {name + more: {"compiled": name == "compiled", "released": name == "released", "intel": intel}
           for name in ("eager", "compiled", "released") for more, intel in (("", False), ("-intel", True))}
CAREFUL = [name for name, c in CONFIGS.items() if not c["released"]]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-threads", type=int, default=os.cpu_count())
    p.add_argument("-only", default="coop,cocoop,clip-lora")
    p.add_argument("-avx2", action="store_true", help="both sides without AVX-512")
    p.add_argument("-cpu", action="store_true", help="compare time of processors: with -threads 1")
    p.add_argument("-careful", action="store_true",
        help="without the authors' way, which takes more than 12 GiB for CLIP-LoRA")
    p.add_argument("-config", action="append", choices=CAREFUL,
        help="a careful way; more than once for several (default: the fastest)")
    return p.parse_args()


# What a process that loads PyTorch has in memory would be counted with all that it starts.
PREPARE = r"""
import pathlib, sys
import open_clip, torch
from PIL import Image
tmp, names = pathlib.Path(sys.argv[1]), sys.argv[2].split(",")
torch.manual_seed(1)
torch.save(open_clip.create_model("ViT-B-16-quickgelu", precision="fp32").state_dict(), tmp / "model.pt")
for i, n in enumerate(names):
    for part in ("train", "test") if i < 2 else ("train",):  # what is measured is training, and two classes to test are enough
        folder = tmp / "data" / part / n
        folder.mkdir(parents=True)
        for k in range(2 if part == "train" and i < 28 else 1):  # 128 images: no batch of an epoch is smaller than the others
            Image.effect_noise((256, 256), 40 + i).convert("RGB").save(folder / f"{k}.png")
print(pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz")
"""


def prepare(tmp):
    """Writes random weights, CLIP's vocabulary and images; returns the flags that name them."""
    p = subprocess.run([sys.executable, "-c", PREPARE, str(tmp), ",".join(NAMES)], capture_output=True, text=True)
    if p.returncode:
        sys.exit(p.stderr)
    vocabulary = p.stdout.splitlines()[-1]
    return ["-model", str(tmp / "model.pt"), "-activation", "quickgelu", "-vocab", vocabulary, "-dataset",
        str(tmp / "data"),
            "-zeroshot=false"]


def ours(binary, flags, what, threads, tmp, env, cpu):
    """Seconds a step and MiB of a run."""
    out = tmp / f"run-{time.monotonic_ns()}"
    command = [binary, "train", "-json", "-method", what, "-out", str(out), "-workers", str(threads), *flags,
        *ARGS[what]]
    with tempfile.TemporaryFile("w+") as errors:
        p = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        ends, images = [], 0
        for line in p.stdout:
            event = json.loads(line)
            if event["kind"] == "epoch":
                ends.append((time.monotonic(), event["images"]))
                images += event["images"]
        _, status, usage = os.wait4(p.pid, 0)
        if status:
            errors.seek(0)
            sys.exit(errors.read())
    seconds = 1 / event["train_images_per_second"]
    if cpu:
        seconds = (usage.ru_utime + usage.ru_stime) / images
    elif len(ends) > 1:
        seconds = (ends[-1][0] - ends[-2][0]) / ends[-1][1]
    return BATCH[what] * seconds, usage.ru_maxrss / 1024


def start(tools, name, what, threads, env):
    """PyTorch, with a step made."""
    c = CONFIGS[name]
    env = env | peers.KEEP_MEMORY | ({"LD_PRELOAD": tools.intel} if c["intel"] else {})
    request = {"method": what, "threads": threads, "compiled": c["compiled"], "released": c["released"],
        "names": [n.replace("_", " ") for n in NAMES]}
    w = peers.Worker("methods_torch.py", request, env)
    begin = time.monotonic()
    w.answer()
    print(f"  {name:24} is ready after {time.monotonic() - begin:.0f} s", flush=True)
    return w


def choose(tools, what, threads, env, seconds):
    """The fastest careful way as PyTorch is installed, and the fastest of all, if it is another."""
    found = {}
    for name in CAREFUL:
        if CONFIGS[name]["intel"] and not tools.intel:
            continue
        w = start(tools, name, what, threads, env)
        found[name] = min(w.ask(str(STEPS[what]))[seconds] for _ in range(2))
        w.close()
        print(f"  {name:24} {found[name]:7.3f} s", flush=True)
    installed = min((n for n in found if not CONFIGS[n]["intel"]), key=found.get)
    return list(dict.fromkeys((installed, min(found, key=found.get))))


def measure(tools, flags, what, a, tmp, env):
    seconds = "cpu" if a.cpu else "seconds"
    careful = a.config or choose(tools, what, a.threads, env, seconds)
    if not a.rounds:
        return
    workers = {name: start(tools, name, what, a.threads, env) for name in careful + ["released"] * (not a.careful)}
    runs = {"fewshot": [], **{name: [] for name in workers}}
    for i in range(a.rounds):
        runs["fewshot"].append(ours(tools.fewshot, flags, what, a.threads, tmp, env, a.cpu))
        for name, w in workers.items():
            answer = w.ask(str(STEPS[what]))
            runs[name].append((answer[seconds], answer["rss_mib"]))
        print(f"  round {i + 1}: " + ", ".join(f"{name} {r[-1][0]:.3f} s" for name, r in runs.items()), flush=True)
    for w in workers.values():
        w.close()
    print(f"a step of {what}, batch {BATCH[what]}")
    memory = max(mib for _, mib in runs["fewshot"])
    for name, r in runs.items():
        t, most = sorted(s for s, _ in r), max(mib for _, mib in r)
        line = f"  {name:24} {statistics.median(t):7.3f} s ({t[0]:.3f} .. {t[-1]:.3f}), {most:6.0f} MiB"
        if name != "fewshot":
            ratios = sorted(theirs / mine for (theirs, _), (mine, _) in zip(r, runs["fewshot"]))
            line += f": ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f}), memory {memory / most:.2f}"
        print(line, flush=True)
    print()


def main():
    a = arguments()
    env = peers.BARE | {"OMP_NUM_THREADS": str(a.threads)} | (peers.AVX2 if a.avx2 else {})
    print(f"{peers.machine()}, {a.threads} threads, {a.rounds} rounds{', without AVX-512' if a.avx2 else ''}{', by time of processors' if a.cpu else ''}\n", flush=True)
    tools = peers.Tools()
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        flags = prepare(tmp)
        for what in a.only.split(","):
            measure(tools, flags, what, a, tmp, env)


if __name__ == "__main__":
    main()
