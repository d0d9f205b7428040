#!/usr/bin/env python3
"""All comparisons with other programs, one after the other, with a summary at the end.

    python tests/peers/table.py [-rounds 5] [-threads 2] [-only gemm,inference,step] [-models ViT-B-16,ViT-B-32]
                                [-batches 8,32] [-config NAME] [-config-bf16 NAME] [-formats float32,bf16]
                                [-ordinary] [-avx2] [-cpu] [-short]

The products of gemm.py; the image encoder of forward.py with 1 and 32 images; the steps of step.py, AMT and R-AMT,
with 8 and 32 images or other numbers; all in float32 and, where the processor multiplies bfloat16, in that. With 5
rounds on two cores this takes an hour or two. -short is a look at everything in some twenty minutes: one round, 1 and
8 images, ViT-B/32 alone.

PyTorch's configurations are chosen once for each model and number format, for steps by that of R-AMT, unless they are
given: the fastest of PyTorch as it is installed, and that of all, with which memory is compared. Steps with up to 8
images show PyTorch as it comes, too: with 32 two such processes may not fit the memory.
"""

import statistics
import types

import forward
import gemm
import peers
import step


def results(tools, a):
    """Compare everything with PyTorch, and yield the results."""
    for model in a.models.split(","):
        for bf16 in a.formats:
            given = peers.named(a.config_bf16 if bf16 else a.config)
            common = {"model": model, "bf16": bf16, "threads": a.threads, "rounds": a.rounds, "plain": False,
                "ordinary": a.ordinary, "avx2": a.avx2, "cpu": a.cpu}
            if "inference" in a.only:
                for batch in (1,) if a.short else (1, 32):
                    yield forward.compare(tools, types.SimpleNamespace(batch=batch, **common), given)
            if "step" in a.only:
                if not given:
                    print(f"configurations for the step, {model}, {'bf16' if bf16 else 'float32'}")
                configs = given or peers.choose(tools, a.threads, "step", bf16, model=model, batch=8, amt=False)
                for batch in (8,) if a.short else map(int, a.batches.split(",")):
                    for amt in (True, False):
                        yield step.compare(tools, types.SimpleNamespace(batch=batch, amt=amt,
                            **common | {"plain": batch <= 8}), configs)


def main():
    p = peers.arguments(__doc__, only=("threads", "rounds", "config", "ordinary", "avx2", "cpu"))
    p.add_argument("-config-bf16", action="append", choices=list(peers.CONFIGS), help="the same in bfloat16")
    p.add_argument("-batches", default="8,32", help="images of a step, separated by commas")
    p.add_argument("-only", default="gemm,inference,step", help="kinds, separated by commas")
    p.add_argument("-models", default="ViT-B-16,ViT-B-32", help="separated by commas")
    p.add_argument("-formats", default="float32,bf16",
        help="separated by commas; bf16 only where the processor multiplies it")
    p.add_argument("-short", action="store_true", help="a look at everything")
    a = p.parse_args()
    if a.short:
        a.rounds, a.models = 1, "ViT-B-32"
    a.formats = [f == "bf16" for f in a.formats.split(",") if f != "bf16" or peers.has_bf16()]
    about = peers.machine()
    print(about)
    tools = peers.Tools()
    if "gemm" in a.only:
        for bf16 in a.formats:
            gemm.table(tools, types.SimpleNamespace(model=a.models.split(",")[0], threads=a.threads, rounds=a.rounds,
                bf16=bf16, ordinary=a.ordinary), a.avx2)
    done = []
    for r in results(tools, a):
        r.show()
        done.append(r)
    if done:
        print(f"\n{about}\n")
    for r in done:
        ratios = ", ".join(f"{statistics.median(r.ratios(s)):.2f} × {s.name}" for s in r.theirs)
        print(f"{r.title:66} {statistics.median(r.ours.rates):8.2f} images/s, {ratios}, memory {r.ours.rss_mib / r.theirs[-1].rss_mib:.2f}")


if __name__ == "__main__":
    main()
