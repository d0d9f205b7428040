#!/usr/bin/env python3
"""CLIP's RN50 beside PyTorch: inference on 32 images, and steps of R-PMT on 8 with the teacher.

    python tests/peers/resnet.py [-rounds 5] [-threads N] [-op inference|step]

Ours is BenchmarkRN50 of ../resnet_bench_test.go. PyTorch's network is what a careful user would write: activations
and weights in channels_last, norms folded into the convolutions before them (the gradients of masks do not change by
that), attention for the mean alone, frozen weights without gradients; eager, and compiled with frozen weights. Rounds
go from one program to the other, so that both see the machine in the same states.

    python tests/peers/resnet.py check

compares the network with open_clip's.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch._functorch.config
import torch._inductor.config
import torch.nn.functional as F
from peers import BARE, KEEP_MEMORY, ROOT, machine

THRESHOLD, CLASSES, WIDTH, LAYERS = 5e-3, 100, 64, (3, 4, 6, 3)


class Mask(torch.autograd.Function):
    """weight where its score is above the threshold, else 0."""

    @staticmethod
    def forward(ctx, weight, scores):
        ctx.save_for_backward(weight)
        return torch.where(scores > THRESHOLD, weight, 0)

    @staticmethod
    def backward(ctx, g):
        return None, g * ctx.saved_tensors[0]


class Masked(torch.nn.Module):
    """A frozen weight and bias that may be seen through a mask."""

    def __init__(self, *shape):
        super().__init__()
        fan = torch.Size(shape[1:]).numel()
        self.weight = torch.nn.Parameter(torch.randn(shape) / fan**0.5)
        self.bias = torch.nn.Parameter(torch.zeros(shape[0]))
        self.register_parameter("scores", None)

    def mask(self):
        scores = torch.full(self.weight.shape, 1e-2)
        scores.view(-1)[::40] = 0
        self.scores = torch.nn.Parameter(torch.empty_like(self.weight).copy_(scores))  # in the weight's memory format
        return self.scores

    def seen(self):
        return self.weight if self.scores is None else Mask.apply(self.weight, self.scores)


class Conv(Masked):
    """A convolution with the norm behind it folded in."""

    def __init__(self, i, o, size, stride=1):
        super().__init__(o, i, size, size)
        self.stride, self.pad = stride, size // 2

    def forward(self, x):
        return F.conv2d(x, self.seen(), self.bias, self.stride, self.pad)


class Linear(Masked):
    def forward(self, x):
        return F.linear(x, self.seen(), self.bias)


class Block(torch.nn.Module):
    def __init__(self, i, inside, stride):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Conv(i, inside, 1), Conv(inside, inside, 3), Conv(inside, 4 * inside, 1)
        self.stride = stride
        self.downsample = Conv(i, 4 * inside, 1) if stride > 1 or i != 4 * inside else None

    def forward(self, x):
        y = F.relu(self.conv2(F.relu(self.conv1(x))))
        if self.stride > 1:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return F.relu(self.conv3(y) + (x if self.downsample is None else self.downsample(x)))


class ResNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Conv(3, 32, 3, 2), Conv(32, 32, 3), Conv(32, WIDTH, 3)
        blocks, i = [], WIDTH
        for stage, n in enumerate(LAYERS):
            for b in range(n):
                blocks.append(Block(i, WIDTH << stage, 2 if stage and not b else 1))
                i = 4 * WIDTH << stage
        self.blocks = torch.nn.Sequential(*blocks)
        self.positions = torch.nn.Parameter(torch.randn(50, i) / i**0.5)
        self.q, self.k, self.v, self.c = Linear(i, i), Linear(i, i), Linear(i, i), Linear(1024, i)
        self.heads = i // 64

    def forward(self, x):
        x = F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))
        x = self.blocks(F.avg_pool2d(x, 2)).flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.positions
        n, l, w = x.shape
        q, k, v = (p(t).view(n, -1, self.heads, 64).transpose(1, 2)
            for p, t in ((self.q, x[:, :1]), (self.k, x), (self.v, x)))
        return self.c(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, w))


def net():
    torch.manual_seed(1)
    return ResNet().eval().requires_grad_(False).to(memory_format=torch.channels_last)


def pictures(batch):
    return torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)


def inference(batch, compiled):
    model, x = net(), pictures(batch)
    if compiled:
        torch._inductor.config.freezing = True
        model = torch.compile(model)

    def run():
        with torch.no_grad():
            return model(x)

    return run


def step(batch, compiled):
    teacher, student = net(), net()
    scores = [m.mask() for m in student.modules() if isinstance(m, Masked)]
    x, labels = pictures(batch), torch.zeros(batch, dtype=torch.long)
    classes = F.normalize(torch.randn(CLASSES, 1024), dim=-1)
    adam = torch.optim.Adam(scores, lr=0.0)
    if compiled:
        torch._functorch.config.donated_buffer = False
        teacher, student = torch.compile(teacher), torch.compile(student)
    logits = lambda m: 100 * F.normalize(m(x), dim=-1) @ classes.T

    def run():
        with torch.no_grad():
            target = logits(teacher).softmax(-1)
        z = logits(student)
        distill = torch.autograd.grad(F.cross_entropy(z, target), scores, retain_graph=True)
        task = torch.autograd.grad(F.cross_entropy(z, labels), scores)
        for s, a, b in zip(scores, task, distill):
            purity = (1 + a.sign() * (a + b) / (a.abs() + b.abs() + 1e-8)) / 2
            s.grad = a * (purity > torch.rand_like(a))
        adam.step()

    return run


def serve(request):
    torch.set_num_threads(request["threads"])
    run = {"inference": inference, "step": step}[request["op"]](request["batch"], request["compiled"])
    run()
    print("{}", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}),
            flush=True)


class Peer:
    def __init__(self, threads, op, batch, compiled):
        request = {"threads": threads, "op": op, "batch": batch, "compiled": compiled}
        self.name = f"PyTorch, {'compiled' if compiled else 'eager'}"
        self.process = subprocess.Popen([sys.executable, __file__, "serve", json.dumps(request)],
            env=BARE | {"OMP_NUM_THREADS": str(threads)} | KEEP_MEMORY,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def ours(binary, threads, op, batch):
    """Seconds of the second call, and the most memory of the process."""
    name = f"RN50/op={op}/batch={batch}" + ("/norms=folded" if op == "inference" else "")
    cmd = [binary, "-test.run", "^$", "-test.bench", name.replace("/", "$/^") + "$", "-test.benchtime", "1x"]
    p = subprocess.Popen(cmd, env=BARE | {"GOMAXPROCS": str(threads)}, cwd=ROOT / "tests", stdout=subprocess.PIPE,
        text=True)
    out = p.stdout.read()
    _, _, usage = os.wait4(p.pid, 0)
    found = re.search(r"(\d+) ns/op", out)
    if not found:
        raise SystemExit(out)
    return {"seconds": int(found[1]) / 1e9, "rss_mib": usage.ru_maxrss / 2**10}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-threads", type=int, default=os.cpu_count())
    p.add_argument("-op", action="append", choices=("inference", "step"))
    a = p.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "tests.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./tests"], cwd=ROOT, check=True)
        for op in a.op or ("inference", "step"):
            batch = 32 if op == "inference" else 8
            peers = [Peer(a.threads, op, batch, compiled) for compiled in (False, True)]
            rows = []
            for i in range(a.rounds):
                rows.append([ours(binary, a.threads, op, batch)] + [peer.ask() for peer in peers])
                print(f"  round {i + 1}: " + ", ".join(f"{batch / r['seconds']:.2f}" for r in rows[-1]) + " images/s",
                    flush=True)
            for peer in peers:
                peer.process.kill()
                peer.process.wait()
            print(f"{op}, RN50, batch {batch}, {a.threads} threads, {a.rounds} rounds")
            for k, name in enumerate(["fewshot"] + [peer.name for peer in peers]):
                rates = [batch / r[k]["seconds"] for r in rows]
                ratios = sorted(r[k]["seconds"] / r[0]["seconds"] for r in rows)
                print(f"  {name:20} {statistics.median(rates):8.2f} images/s ({min(rates):.2f} .. {max(rates):.2f}), peak RSS {rows[-1][k]['rss_mib']:.0f} MiB" +
                      (f": ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f}), memory {rows[-1][0]['rss_mib'] / rows[-1][k]['rss_mib']:.2f}" if k else ""))


def check():
    """The network is open_clip's, with norms of gain √(1 + eps) and statistics 0 and 1."""
    from open_clip.modified_resnet import ModifiedResNet

    theirs, model = ModifiedResNet(LAYERS, 1024, 32, 224, WIDTH).eval(), net()
    with torch.no_grad():
        norms = [m for m in theirs.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for m in norms:
            m.weight.fill_((1 + m.eps) ** 0.5)
        convs = [m for m in theirs.modules() if isinstance(m, torch.nn.Conv2d)]
        # A block's downsampling comes last in either.
        for mine, other in zip([m for m in model.modules() if isinstance(m, Conv)], convs, strict=True):
            mine.weight.copy_(other.weight)
        pool = theirs.attnpool
        model.positions.copy_(pool.positional_embedding)
        for mine, other in ((model.q, pool.q_proj), (model.k, pool.k_proj), (model.v, pool.v_proj),
                (model.c, pool.c_proj)):
            mine.weight.copy_(other.weight)
            mine.bias.copy_(other.bias)
        x = torch.randn(2, 3, 224, 224)
        want = theirs(x)
        print(f"relative error {float((model(x) - want).norm() / want.norm()):.1e}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(json.loads(sys.argv[2]))
    elif sys.argv[1:] == ["check"]:
        check()
    else:
        main()
