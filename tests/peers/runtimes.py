#!/usr/bin/env python3
"""Image encoding side by side with ONNX Runtime and OpenVINO: images/s of CLIP's vision transformer in float32,
interleaved, medians.

    python tests/peers/runtimes.py [-model ViT-B-16] [-batch 1] [-threads 2] [-rounds 5] [-avx2] [-cpu] [-ordinary] [-int8]
                                 [-runtime 'ONNX Runtime']

needs Go and what requirements-runtimes.txt names; a runtime that is not there is left out. All encode the same number
of random images with random weights, by the graph of graph.py: fused operators, and the last block for the class
token alone, as ours is. Weights are packed by all of them for one image, by theirs for more, too; batches are of 1 or
32 images, or of any number above 8, as in `fewshot bench -only inference`. With -int8 it is our -precision int8
beside ONNX Runtime's dynamic quantisation. With -avx2 everybody does without AVX-512 but for ONNX Runtime, which has
no switch for that, and where the processor has it uses it.
"""

import statistics

import graph
import peers


def has_avx512():
    try:
        return "avx512f" in open("/proc/cpuinfo").read()
    except OSError:
        return False


def main():
    p = peers.arguments(__doc__, batch=1, only=("model", "batch", "threads", "rounds", "avx2", "cpu", "ordinary"))
    p.add_argument("-int8", action="store_true", help="integers of eight bits")
    p.add_argument("-runtime", action="append", choices=list(graph.RUNTIMES),
        help="beside this one alone: several large models take much memory at once")
    a = p.parse_args()
    print(peers.machine())
    tools, workers = peers.Tools(), {}
    env = peers.BARE | {"OMP_NUM_THREADS": str(a.threads)} | peers.KEEP_MEMORY | (peers.AVX2 if a.avx2 else {})
    for name in graph.INT8 if a.int8 else a.runtime or graph.RUNTIMES:
        w = peers.Worker("graph.py", {"runtime": name, "model": a.model, "batch": a.batch, "threads": a.threads}, env)
        try:
            workers[w.answer() + (" with AVX-512" if name.startswith("ONNX Runtime") and a.avx2 and has_avx512()
                else "")] = w
        except RuntimeError as e:
            print(f"  {name}: {e}")
            w.close()
    match = "^batch 1, weights packed$" if a.batch == 1 else f"^batch {a.batch}$"
    flags = ["-only", "inference", "-arch", a.model, "-batch", str(a.batch), "-rounds", "3" if a.batch == 1 else "1",
        "-match", match,
             *(["-strassen=false"] if a.ordinary else []), *(["-precision", "int8"] if a.int8 else [])]
    rates = {"fewshot": []}
    for i in range(a.rounds):
        for name, w in workers.items():
            answer = w.ask()
            rates.setdefault(name, []).append(a.batch / answer["cpu" if a.cpu else "seconds"])
        case = tools.bench(a.threads, *flags, env=peers.AVX2 if a.avx2 else {})["cases"][0]
        rates["fewshot"].append(a.batch / case["cpu_seconds" if a.cpu else "median_seconds"])
        print(f"  round {i + 1}: " + ", ".join(f"{name} {r[-1]:.3f}" for name, r in rates.items()), flush=True)
    for w in workers.values():
        w.close()
    precision = "int8" if a.int8 else "float32"
    print(f"\nimage encoder, {a.model}, batch {a.batch}, {precision}, {a.threads} threads, {'AVX2, ' if a.avx2 else ''}"
          f"{'by time of processors, ' if a.cpu else ''}{a.rounds} rounds")
    for name, r in rates.items():
        line = f"{name:34} {statistics.median(r):8.3f} images/s ({min(r):.3f} .. {max(r):.3f})"
        if name != "fewshot":
            ratios = sorted(ours / theirs for ours, theirs in zip(rates["fewshot"], r))
            line += f": ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f})"
        print(line)


if __name__ == "__main__":
    main()
