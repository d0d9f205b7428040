#!/usr/bin/env python3
"""Speed on this GPU, beside PyTorch in its best configuration, in the same run: a step of R-AMT and of AMT, and the image
encoder's inference, ViT-B/16 in bf16.

    step.py FEWSHOT [-rounds 20] [-batches 32,256] [-graphs]    needs PyTorch with CUDA; FEWSHOT is built with -tags cuda

The PyTorch side is what a careful user would write: frozen weights, masks on the attention's weights by straight-through,
the teacher under no_grad, one forward of the student and two backward passes over it, gradient dropout, fused Adam; bf16
autocast and scaled_dot_product_attention; run eagerly and compiled, with -graphs also compiled with CUDA graphs, which takes
minutes more; the fastest counts.
Times are medians, PyTorch's by events. The floor is the step's operations at the rate of a large matrix product, measured
here, too. -selftest runs a toy on the CPU, to see that this script is sound.
"""
import argparse
import json
import statistics
import subprocess
import sys

import torch
import torch.nn.functional as F

p = argparse.ArgumentParser()
p.add_argument("fewshot", nargs="?")
p.add_argument("-rounds", type=int, default=20)
p.add_argument("-batches", default="32,256")
p.add_argument("-graphs", action="store_true")
p.add_argument("-selftest", action="store_true")
args = p.parse_args()

GPU = not args.selftest
DEV = "cuda" if GPU else "cpu"
SIZE, PATCH, WIDTH, LAYERS, HEADS, EMBED = (224, 16, 768, 12, 12, 512) if GPU else (32, 16, 64, 2, 2, 32)
ALPHA = 5e-3


class Threshold(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        return (scores > ALPHA).to(scores.dtype)

    @staticmethod
    def backward(ctx, g):
        return g


def weights():
    g = torch.Generator(device=DEV).manual_seed(1)
    new = lambda *s: torch.randn(*s, generator=g, device=DEV) * s[-1] ** -0.5
    one, zero = torch.ones(WIDTH, device=DEV), torch.zeros(WIDTH, device=DEV)
    block = lambda: dict(ln1=(one, zero), qkv=new(3 * WIDTH, WIDTH), qkv_b=torch.zeros(3 * WIDTH, device=DEV), out=new(WIDTH, WIDTH), out_b=zero,
                         ln2=(one, zero), fc1=new(4 * WIDTH, WIDTH), fc1_b=torch.zeros(4 * WIDTH, device=DEV), fc2=new(WIDTH, 4 * WIDTH), fc2_b=zero)
    return dict(conv=new(WIDTH, 3, PATCH, PATCH), cls=new(WIDTH), pos=new((SIZE // PATCH) ** 2 + 1, WIDTH), pre=(one, zero), post=(one, zero),
                proj=new(WIDTH, EMBED), blocks=[block() for _ in range(LAYERS)])


def encode(w, images, effective):
    """effective has for each block the weights of qkv and of the output projection."""
    norm = lambda x, n: F.layer_norm(x, (WIDTH,), *n)
    x = F.conv2d(images, w["conv"], stride=PATCH).flatten(2).transpose(1, 2)
    x = torch.cat([w["cls"].expand(len(x), 1, -1).to(x.dtype), x], 1) + w["pos"]
    x = norm(x, w["pre"])
    for b, (qkv, out) in zip(w["blocks"], effective):
        q, k, v = F.linear(norm(x, b["ln1"]), qkv, b["qkv_b"]).view(len(x), -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + F.linear(a, out, b["out_b"])
        h = F.linear(norm(x, b["ln2"]), b["fc1"], b["fc1_b"])
        x = x + F.linear(h * torch.sigmoid(1.702 * h), b["fc2"], b["fc2_b"])
    return norm(x[:, 0], w["post"]) @ w["proj"]


def make_step(batch, distill, mode):
    w = weights()
    images = torch.randn(batch, 3, SIZE, SIZE, device=DEV)
    labels = torch.arange(batch, device=DEV) % 100
    classes = F.normalize(torch.randn(100, EMBED, device=DEV), dim=-1)
    scores = []
    for b in w["blocks"]:
        for name in ("qkv", "out"):
            s = torch.full_like(b[name], 1e-2)
            s.view(-1)[::40] = 0
            scores.append(s.requires_grad_())
    adam = torch.optim.Adam(scores, lr=0.0, fused=GPU)
    plain = [(b["qkv"], b["out"]) for b in w["blocks"]]
    logits = lambda f: 100 * F.normalize(f.float(), dim=-1) @ classes.T

    def losses(images, labels, scores):
        with torch.autocast(DEV, torch.bfloat16):
            masked = [(b["qkv"] * Threshold.apply(scores[2 * i]), b["out"] * Threshold.apply(scores[2 * i + 1])) for i, b in enumerate(w["blocks"])]
            student = logits(encode(w, images, masked))
            a = F.cross_entropy(student, labels)
            if not distill:
                return a, None
            with torch.no_grad():
                teacher = logits(encode(w, images, plain)).softmax(-1)
            return a, F.cross_entropy(student, teacher)

    def drop(ga, gb):
        out = []
        for a, b in zip(ga, gb):
            purity = 0.5 * (1 + a.sign() * (a + b) / (a.abs() + b.abs() + 1e-30))
            out.append(torch.where(purity > torch.rand_like(a), a, torch.zeros_like(a)))
        return out

    if mode != "eager":
        options = dict(mode="reduce-overhead") if mode == "compiled, graphs" else {}
        losses, drop = torch.compile(losses, **options), torch.compile(drop)

    def step():
        a, b = losses(images, labels, scores)
        g = torch.autograd.grad(a, scores, retain_graph=distill)
        if distill:
            g = drop(g, torch.autograd.grad(b, scores))
        for s, d in zip(scores, g):
            s.grad = d
        adam.step()

    return step


def make_inference(batch, mode):
    w = weights()
    images = torch.randn(batch, 3, SIZE, SIZE, device=DEV)
    plain = [(b["qkv"], b["out"]) for b in w["blocks"]]

    def run():
        with torch.no_grad(), torch.autocast(DEV, torch.bfloat16):
            return encode(w, images, plain)

    if mode != "eager":
        run = torch.compile(run, **(dict(mode="reduce-overhead") if mode == "compiled, graphs" else {}))
    return run


def median(f, rounds):
    """Seconds a call."""
    for _ in range(5 if GPU else 1):
        f()
    times = []
    for _ in range(rounds):
        if GPU:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            f()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            import time
            t = time.perf_counter()
            f()
            times.append(time.perf_counter() - t)
    return statistics.median(times), min(times), max(times)


def best(make):
    """The fastest way of PyTorch's, and what happened to the others."""
    found = {}
    for mode in ("eager", "compiled", "compiled, graphs") if args.graphs else ("eager", "compiled"):
        try:
            torch._dynamo.reset()
            found[mode] = median(make(mode), args.rounds)
        except Exception as e:  # two backward passes over one graph are not taken by every mode
            print(f"  PyTorch, {mode}: {type(e).__name__}: {str(e).splitlines()[0][:100]}")
    mode = min(found, key=lambda m: found[m][0])
    return mode, found[mode], ", ".join(f"{m} {1e3 * t[0]:.2f} ms" for m, t in found.items())


def ours(only, batch=32):
    out = subprocess.run([args.fewshot, "bench", "-device", "cuda:0", "-precision", "bf16", "-arch", "ViT-B-16", "-only", only, "-batch", str(batch), "-rounds",
                          str(args.rounds), "-json"], capture_output=True, text=True)
    if out.returncode:
        print(f"  fewshot bench -only {only} -batch {batch}: {out.stderr.strip().splitlines()[-1]}")
        return []
    return json.loads(out.stdout.splitlines()[-1])["cases"]


def line(what, case, make, rate, want):
    mode, (t, lo, hi), all_modes = best(make)
    n = case["images"]
    mine, theirs = n / case["median_seconds"], n / t
    print(f"{what:24} {1e3 * case['median_seconds']:9.2f} ms [{1e3 * case['min_seconds']:.2f}, {1e3 * case['max_seconds']:.2f}]  PyTorch {mode} {1e3 * t:.2f} ms "
          f"[{1e3 * lo:.2f}, {1e3 * hi:.2f}]  {mine:8.0f} and {theirs:8.0f} images/s: {mine / theirs:.2f}×, wanted {want}×;  {case['median_seconds'] / (case['flop'] / rate):.2f} × floor")
    print(f"  {all_modes}", flush=True)


if args.selftest:
    for distill in (True, False):
        make_step(4, distill, "eager")()
    print("self test:", median(make_inference(2, "eager"), 2))
    sys.exit()

torch._functorch.config.donated_buffer = False  # two backward passes read the same buffers
torch.backends.cuda.matmul.allow_tf32 = True
a, b = (torch.randn(8192, 8192, device=DEV, dtype=torch.bfloat16) for _ in range(2))
rate = 2 * 8192**3 / median(lambda: a @ b, 20)[0]
del a, b
print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}: bf16 matrix product {rate / 1e12:.0f} TFLOP/s")
for batch in map(int, args.batches.split(",")):
    cases = {c["name"].split(",")[0]: c for c in ours("step", batch)}  # of R-AMT, the one with weights off comes last
    for name, case in cases.items():
        line(f"{name} step, batch {batch}", case, lambda mode: make_step(batch, name == "R-AMT", mode), rate, 1.3)
for c in ours("inference"):
    line(f"inference {c['name']}", c, lambda mode: make_inference(c["images"], mode), rate, 1.2)
