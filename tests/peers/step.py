#!/usr/bin/env python3
"""An R-AMT training step side by side with PyTorch: images/s on the same machine, interleaved, medians.

    python tests/peers/step.py [-model ViT-B-16] [-batch 32] [-threads 2] [-rounds 5] [-bf16] [-amt]

needs Go, torch and open_clip_torch, and a machine with nothing else to do. The PyTorch side is what a careful user would
write: frozen weights without gradients, masks on in_proj_weight and out_proj.weight by straight-through, the teacher under
no_grad, one forward of the student and two backward passes, gradient dropout on the cross-entropy gradient, Adam on the
scores. Ours is `fewshot bench -only step`, whose masks have some weights off, so that teacher and both lanes are computed.
With -amt both sides do plain mask tuning: no teacher, one backward pass.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import open_clip
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALPHA = 5e-3


class Threshold(torch.autograd.Function):
    """1 where the score is above α, gradient passed straight through."""

    @staticmethod
    def forward(ctx, scores):
        return (scores > ALPHA).to(scores.dtype)

    @staticmethod
    def backward(ctx, g):
        return g


class Masked(torch.nn.Module):
    """A parametrization: the weight as its mask lets it through."""

    def __init__(self, weight):
        super().__init__()
        scores = torch.full_like(weight, 1e-2)
        scores.view(-1)[::40] = 0
        self.scores = torch.nn.Parameter(scores)

    def forward(self, weight):
        return weight * Threshold.apply(self.scores)


def build(model):
    """Student with masks, and an untouched teacher sharing nothing but values."""
    torch.manual_seed(1)
    teacher = open_clip.create_model(model + "-quickgelu", pretrained=None).visual.eval().requires_grad_(False)
    student = open_clip.create_model(model + "-quickgelu", pretrained=None).visual.eval().requires_grad_(False)
    student.load_state_dict(teacher.state_dict())
    scores = []
    for block in student.transformer.resblocks:
        for module, name in ((block.attn, "in_proj_weight"), (block.attn.out_proj, "weight")):
            mask = Masked(getattr(module, name))
            torch.nn.utils.parametrize.register_parametrization(module, name, mask)
            scores.append(mask.scores)
    return student, teacher, scores


def stepper(a):
    student, teacher, scores = build(a.model)
    images = torch.randn(a.batch, 3, *student.image_size)
    labels = torch.arange(a.batch) % 100
    classes = F.normalize(torch.randn(100, 512), dim=-1)
    adam = torch.optim.Adam(scores, lr=0.0)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=a.bf16)

    def logits(encoder):
        with autocast:
            f = encoder(images)
        return 100 * F.normalize(f.float(), dim=-1) @ classes.T

    def step():
        if a.amt:
            grads = torch.autograd.grad(F.cross_entropy(logits(student), labels), scores)
        else:
            with torch.no_grad():
                target = logits(teacher).softmax(-1)
            z = logits(student)
            ce = F.cross_entropy(z, labels)
            kd = -(target * z.log_softmax(-1)).sum(-1).mean()
            kds = torch.autograd.grad(kd, scores, retain_graph=True)
            ces = torch.autograd.grad(ce, scores)
            grads = []
            for g, b in zip(ces, kds):
                purity = (1 + g.sign() * (g + b) / (g.abs() + b.abs() + 1e-8)) / 2
                grads.append(g * (purity > torch.rand_like(g)))
        for p, g in zip(scores, grads):
            p.grad = g
        adam.step()

    return step


def ours(binary, a):
    cmd = [binary, "bench", "-only", "step", "-arch", a.model, "-batch", str(a.batch), "-rounds", "1", "-workers", str(a.threads), "-json"]
    if a.bf16:
        cmd += ["-precision", "bf16"]
    out = subprocess.run(cmd, check=True, capture_output=True, text=True, env=os.environ | {"GOMAXPROCS": str(a.threads)}).stdout
    case = json.loads(out.strip().splitlines()[-1])["cases"][0 if a.amt else 1]
    return case["images_per_second"], case["gflops"], case["peak_bytes"] / 2**20


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-model", default="ViT-B-16", help="ViT-B-32, ViT-B-16 or ViT-L-14")
    p.add_argument("-batch", type=int, default=32)
    p.add_argument("-threads", type=int, default=2, help="of either program")
    p.add_argument("-rounds", type=int, default=5, help="of both programs in turn")
    p.add_argument("-bf16", action="store_true", help="autocast to bfloat16, and -precision bf16")
    p.add_argument("-amt", action="store_true", help="plain mask tuning, without the teacher")
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    step = stepper(a)
    with tempfile.TemporaryDirectory() as tmp:
        binary = os.path.join(tmp, "fewshot")
        subprocess.run(["go", "build", "-o", binary, "./cmd/fewshot"], cwd=ROOT, check=True)
        step()
        rates = []
        for i in range(a.rounds):
            start = time.perf_counter()
            step()
            theirs = a.batch / (time.perf_counter() - start)
            mine, gflops, mib = ours(binary, a)
            rates.append((theirs, mine))
            print(f"round {i + 1}: PyTorch {theirs:.3f}, fewshot {mine:.3f} images/s ({gflops:.0f} GFLOP/s)", flush=True)
    theirs, mine = (statistics.median(r) for r in zip(*rates))
    ratios = sorted(m / t for t, m in rates)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"\n{'AMT' if a.amt else 'R-AMT'} step, {a.model}, batch {a.batch}, {'bf16' if a.bf16 else 'float32'}, {a.threads} threads, "
          f"{platform.machine()}, torch {torch.__version__}, python {sys.version.split()[0]}, medians of {a.rounds} rounds")
    print(f"PyTorch eager  {theirs:8.3f} images/s  peak RSS {peak:6.0f} MiB")
    print(f"fewshot        {mine:8.3f} images/s  tensors  {mib:6.0f} MiB")
    print(f"ratio          {statistics.median(ratios):8.2f}  ({ratios[0]:.2f} .. {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
