#!/usr/bin/env python3
"""Our matrix products beside those of the best C libraries, at the shapes of the network's linear layers.

    python tests/peers/gemm.py [-model ViT-B-16] [-threads 2] [-rounds 5] [-bf16] [-avx2] [-ordinary]

needs Go and what requirements.txt names; libraries that are not there are left out. Each round runs `fewshot bench
-only gemm` and then every library at every shape, each in a process of its own. Printed are medians over the rounds
in GFLOP/s, and ours over the best library's at that shape: of all, where our weights are packed before the clock
starts, else of those that pack after it. Below are the ratios of like to like by line, and by shape those of the best
of ours to the best library. Our large products in float32 are by Strassen's algorithm with AVX-512, without
-ordinary, and count as many operations as ordinary ones. With -avx2 everybody does without AVX-512.
"""

import math
import statistics

import blas
import peers


def main():
    p = peers.arguments(__doc__, only=("model", "threads", "rounds", "bf16", "ordinary"))
    p.add_argument("-avx2", action="store_true", help="as on a processor without AVX-512")
    a = p.parse_args()
    print(peers.machine())
    tools = peers.Tools()
    table(tools, a, a.avx2)


def table(tools, a, avx2=False):
    """Measure and print; the geometric mean of the ratios and the worst of them."""
    workers, env = {}, peers.BARE | {"OMP_NUM_THREADS": str(a.threads)} | peers.KEEP_MEMORY | (peers.AVX2 if avx2
        else {})
    for name in blas.BF16_LIBRARIES if a.bf16 else blas.LIBRARIES:
        intel = {"LD_PRELOAD": tools.intel} if name == "MKL for Intel" and tools.intel else {}
        w = peers.Worker("blas.py", {"library": name, "threads": a.threads}, env | intel)
        try:
            print(f"  {name}: {w.answer()}", flush=True)
            workers[name] = w
        except RuntimeError as e:
            print(f"  {name}: {e}")
            w.close()
    flags = [*(("-precision", "bf16") if a.bf16 else ()), *(("-strassen=false",) if a.ordinary else ())]
    rates, peak = {}, []  # GFLOP/s by shape and library
    for i in range(a.rounds):
        result = tools.bench(a.threads, "-only", "gemm", "-arch", a.model, "-rounds", "3", *flags,
            env=peers.AVX2 if avx2 else {})
        peak += [p["gflops"] for p in result["peaks"] if p["format"] == ("bf16" if a.bf16 else "float32")]
        if result["round_trip"]["median_ns"]:
            print(f"  round {i + 1}: processors {result['round_trip']['median_ns']:.0f} ns apart", flush=True)
        for case in result["cases"]:
            p = case["product"]
            shape = p["op"], p["m"], p["n"], p["k"], p.get("packed", False)
            rates.setdefault(shape, {}).setdefault("fewshot", []).append(case["gflops"])
        for name, w in workers.items():
            for shape in rates:
                took = w.ask(" ".join(map(str, shape[:4])))
                if took:
                    rates[shape].setdefault(name, []).append(2 * math.prod(shape[1:4]) / took / 1e9)
    for w in workers.values():
        w.close()
    return show(rates, list(workers), statistics.median(peak) if peak else math.nan)


def show(rates, libraries, peak):
    """Print the table, and the means and the least of its ratios."""
    columns = ["fewshot"] + libraries
    print(f"\n{'GFLOP/s':36}" + "".join(f"{c:>20}" for c in columns) + f"{'of peak':>9}{'like to like':>14}")
    like, by_shape = [], {}
    for (op, m, n, k, packed), by in rates.items():
        median = {name: statistics.median(r) for name, r in by.items()}
        ours = median["fewshot"]
        theirs = {name: r for name, r in median.items() if name != "fewshot"}
        cells = "".join(f"{median[c]:20.1f}" if c in median else f"{'':20}" for c in columns)
        end = f"{100 * ours / peak:7.0f} %"
        if theirs:
            like.append(ours / max(r for name, r in theirs.items() if packed or "packed" not in name))
            end += f"{like[-1]:14.3f}"
            best = by_shape.setdefault((op, m, n, k), [0, 0])
            best[:] = max(best[0], ours), max(best[1], *theirs.values())
        print(f"{op:8}{f'{m}×{n}×{k}' + (', packed' if packed else ''):28}{cells}{end}")
    if like:
        shapes = [ours / theirs for ours, theirs in by_shape.values()]
        print(f"like to like: geometric mean {statistics.geometric_mean(like):.3f}, least {min(like):.3f}; "
              f"by shape: geometric mean {statistics.geometric_mean(shapes):.3f}, least {min(shapes):.3f}; peak {peak:.1f} GFLOP/s", flush=True)


if __name__ == "__main__":
    main()
