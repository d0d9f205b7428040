#!/usr/bin/env python3
"""Writes what CPython draws for the few-shot protocol of CoOp and Dassl.

  python3 fewshot.py                     split_zhou_Synthetic.json and fewshot.json, beside this file
  python3 fewshot.py SPLIT.json          digests of the shots of a published split, for the tests

The protocol, written down anew from its description: items are grouped by label in order of first
appearance; each group gives random.sample(group, shots), or all of itself if it is smaller; training
items first, then validation items with min(shots, 4), from one stream seeded with random.seed(seed).
"""
import hashlib
import json
import os
import random
import sys

SEEDS = [1, 2, 3]
SHOTS = [1, 2, 4, 8, 16]


def groups(labels):
    out = {}
    for i, y in enumerate(labels):
        out.setdefault(y, []).append(i)
    return list(out.values())


def draw(labels, shots):
    out = []
    for g in groups(labels):
        out += random.sample(g, shots) if len(g) >= shots else g
    return out


def few_shot(train, val, shots, seed):
    random.seed(seed)
    return draw(train, shots), draw(val, min(shots, 4))


def three_way(sizes):
    """Splits made where none is published, from sorted file lists: 50/20/30 by class."""
    random.seed(1)
    out = []
    for n in sizes:
        files = list(range(n))
        random.shuffle(files)
        a, b = round(n * 0.5), round(n * 0.2)
        out.append([files[:a], files[a:a + b], files[a + b:]])
    return out


def train_val(labels):
    """Official training lists: 20 % of each class to validation."""
    random.seed(1)
    train, val = [], []
    for g in groups(labels):
        n = round(len(g) * 0.2)
        random.shuffle(g)
        val += g[:n]
        train += g[n:]
    return train, val


def synthetic():
    """Class sizes on both sides of every branch of random.sample, labels out of order, interleaved."""
    r = random.Random(20230719)
    sizes = {"train": [1, 2, 3, 7, 8, 15, 16, 17, 20, 21, 22, 23, 40, 84, 85, 86, 120],
             "val": [1, 2, 3, 4, 5, 6, 20, 21, 22, 23, 24, 3, 9, 40, 50, 60, 1],
             "test": [2] * 17}
    split = {}
    for part, counts in sizes.items():
        items = [[f"c{y:02d}/{part}_{i:03d}.jpg", y, f"thing_{y}"] for y, n in enumerate(counts) for i in range(n)]
        r.shuffle(items)
        split[part] = items
    return split


def main():
    if len(sys.argv) > 1:
        with open(sys.argv[1]) as f:
            split = json.load(f)
        for seed in SEEDS:
            for shots in SHOTS:
                t, v = few_shot([i[1] for i in split["train"]], [i[1] for i in split["val"]], shots, seed)
                names = [split["train"][i][0] for i in t] + [split["val"][i][0] for i in v]
                print(seed, shots, hashlib.sha256("\n".join(names).encode()).hexdigest())
        return
    here = os.path.dirname(os.path.abspath(__file__))
    split = synthetic()
    with open(os.path.join(here, "split_zhou_Synthetic.json"), "w") as f:
        parts = (json.dumps(k) + ": [\n" + ",\n".join(json.dumps(i) for i in v) + "\n]" for k, v in split.items())
        f.write("{" + ",\n".join(parts) + "}\n")
    labels = {k: [i[1] for i in v] for k, v in split.items()}
    draws = []
    for seed in SEEDS:
        for shots in SHOTS:
            t, v = few_shot(labels["train"], labels["val"], shots, seed)
            draws.append({"seed": seed, "shots": shots, "train": t, "val": v})
    sizes = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 25, 35, 40, 101]
    lists = [y for n in range(3, 15) for y in range(n)] + [2, 1, 0] * 7 + [12, 13, 11, 10, 13, 12, 11, 13]
    # Classes too small for a validation image are refused, so the list keeps only the others.
    lists = [y for y in lists if round(lists.count(y) * 0.2) > 0]
    train, val = train_val(lists)
    with open(os.path.join(here, "fewshot.json"), "w") as f:
        rows = ",\n".join(json.dumps(d, separators=(",", ":")) for d in draws)
        f.write('{"draws":[\n%s\n],\n"sizes":%s,\n"three_way":%s,\n"labels":%s,\n"train":%s,\n"val":%s}\n' % (
            rows, json.dumps(sizes), json.dumps(three_way(sizes)), json.dumps(lists), json.dumps(train),
            json.dumps(val)))


if __name__ == "__main__":
    main()
