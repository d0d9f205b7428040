#!/usr/bin/env python3
"""Writes vectors.json: what CPython's random module draws. Run: python3 vectors.py > vectors.json

Every case starts from a fresh random.seed(seed); the calls of one case share the stream, so that
the number of outputs each call consumes is tested as well.
"""
import json
import platform
import random

SEEDS = [0, 1, 2**32 - 1, 2**32, 2**64 - 1]


def case(seed):
    random.seed(seed)
    calls = []

    def call(op, args, result):
        calls.append({"op": op, "args": args, "result": [str(r) for r in result]})

    for k in (1, 5, 31, 32, 33, 48, 63, 64):
        call("getrandbits", [k], [random.getrandbits(k) for _ in range(3)])
    for n in (1, 2, 3, 10, 1000, 2**31, 2**32, 2**40 + 7):
        call("randbelow", [n], [random.randrange(n) for _ in range(3)])
    # Around every change between the pool and the set algorithm: 21, and 21 + 4^e for k > 5.
    for k in (0, 1, 4, 5, 6, 16, 21, 22, 64):
        for n in (k, k + 1, 20, 21, 22, 36, 37, 38, 84, 85, 86, 276, 277, 278, 1300):
            if n >= k:
                call("sample", [n, k], random.sample(range(n), k))
    for n in (0, 1, 2, 10, 57):
        x = list(range(n))
        random.shuffle(x)
        call("shuffle", [n], x)
    call("getrandbits", [32], [random.getrandbits(32) for _ in range(700)])
    return {"seed": str(seed), "calls": calls}


doc = {"python": platform.python_version(), "cases": [case(s) for s in SEEDS]}
body = ",\n".join(json.dumps(c, separators=(",", ":")) for c in doc["cases"])
print('{"python":%s,"cases":[\n%s\n]}' % (json.dumps(doc["python"]), body))
