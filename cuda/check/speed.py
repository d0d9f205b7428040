#!/usr/bin/env python3
"""Speed on this GPU, beside PyTorch in its best configuration, in the same run: a step of R-AMT and of AMT, and the image
encoder's inference, in bf16.

    speed.py FEWSHOT [-batches 32,256] [-rounds 20] [-seconds 240] [-json FILE]

needs PyTorch; FEWSHOT is the program built with -tags cuda. What can be tried where there is no GPU, in minutes, with
cuda/sim's library on LD_LIBRARY_PATH for FEWSHOT and PyTorch on the CPU:

    speed.py FEWSHOT -theirs cpu -model embedded -batches 2 -rounds 1

Both sides do the same work, which is taken from what FEWSHOT says it measured: frozen weights in bf16; masks on the
attention's weights, straight-through; the teacher without gradients; of the last block the class token alone;
gradients of both losses; gradient dropout and Adam in float32. PyTorch's side is what a careful user would write:
scaled_dot_product_attention, two backward passes over one forward pass, fused Adam. It is run with autocast as well
as with bf16 throughout; eagerly, with its blocks compiled, and compiled as a whole; launch by launch, and with the
whole step as a CUDA graph. The fastest counts and is named. Ways are tried in turn over all cases until -seconds are
over.

PyTorch's times are between events around a call, ours by the clock around a call and the wait for it, so that what is
unequal is to our disadvantage; calls of single images are timed in threes on both sides. Ours is measured before
PyTorch, after each of PyTorch's ways, and at the end. Rates are those of medians, ranges are over all rounds. The
floor is the operations of a call at the rate of a large product, by whichever of the two is faster at it. What there
was no time for is said.
"""
import argparse
import gc
import json
import math
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

import torch
import torch._dynamo
import torch._functorch.config
import torch.nn.functional as F

p = argparse.ArgumentParser()
p.add_argument("fewshot")
p.add_argument("-device", default="cuda:0", help="of FEWSHOT")
p.add_argument("-theirs", default="cuda", help="PyTorch's device")
p.add_argument("-model", help="what FEWSHOT measures in place of random weights of ViT-B-16")
p.add_argument("-batches", default="32,256")
p.add_argument("-rounds", type=int, default=20)
p.add_argument("-seconds", type=float, default=240, help="when to stop trying more of PyTorch's configurations")
p.add_argument("-square", type=int, help="side of the product that gives the rate (default 8192, on a CPU 256)")
p.add_argument("-json", help="write all figures into this file, too")
args = p.parse_args()

BEGAN = time.monotonic()
DEV, GPU = args.theirs, args.theirs == "cuda"
SQUARE = args.square or (8192 if GPU else 256)
THRESHOLD, CLASSES = 5e-3, 100
WANTED = {"R-AMT step": 1.3, "AMT step": 1.3, "inference": 1.2}
MOST_FLOOR = {"R-AMT step": 2.0, "AMT step": 2.0}
figures = {"rows": []}


def say(text=""):
    print(text, flush=True)


# Our side.


# The cases that are measured of what FEWSHOT could, and what they are called here.
OURS = {"gemm": {"square": "square"}, "step": {"AMT, ": "AMT step", "R-AMT, .*some weights off": "R-AMT step"},
    "inference": {"batch [0-9]+$": "inference"}}


def ours(only, batch, rounds):
    what = ["-model", args.model] if args.model else ["-arch", "ViT-B-16"]
    match = "^(" + "|".join(OURS[only]) + ")"
    command = [args.fewshot, "bench", "-device", args.device, "-precision", "bf16", *what, "-only", only, "-match",
        match, "-batch", str(batch), "-rounds", str(rounds), "-json"]
    if only == "gemm":
        command += ["-square", str(SQUARE)]
    out = subprocess.run(command, capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(" ".join(command[1:]) + ": " + (out.stderr.strip().splitlines() or ["no message"])[-1])
    return json.loads(out.stdout.splitlines()[-1])


# PyTorch's side.


class Mask(torch.autograd.Function):
    """Weights where their score is above the threshold; the gradient goes to the scores as if it were everywhere."""

    @staticmethod
    def forward(ctx, scores, weight):
        ctx.save_for_backward(weight)
        return torch.where(scores > THRESHOLD, weight, torch.zeros_like(weight))

    @staticmethod
    def backward(ctx, g):
        return g.float() * ctx.saved_tensors[0].float(), None


class Model:
    """A CLIP image encoder of FEWSHOT's sizes with random weights, frozen."""

    def __init__(self, sizes, narrow):
        self.size, self.patch, self.width, self.layers = sizes["ImageSize"], sizes["Patch"], sizes["Width"], sizes["Layers"]
        self.heads, self.embed = sizes["Heads"], sizes["Embed"]
        kind = torch.bfloat16 if narrow else torch.float32
        g = torch.Generator(device=DEV).manual_seed(1)
        new = lambda *s: (torch.randn(*s, generator=g, device=DEV) * math.prod(s[1:] or s) ** -0.5).to(kind)
        one, zero = torch.ones(self.width, device=DEV, dtype=kind), torch.zeros(self.width, device=DEV, dtype=kind)
        w = self.width
        self.conv, self.cls, self.pos = new(w, 3 * self.patch**2), new(w), new((self.size // self.patch) ** 2 + 1, w)
        self.pre, self.post, self.proj = (one, zero), (one, zero), new(self.embed, w)
        self.blocks = [dict(ln1=(one, zero), qkv=new(3 * w, w), qkv_b=new(3 * w), out=new(w, w), out_b=new(w),
            ln2=(one, zero), fc1=new(4 * w, w),
                            fc1_b=new(4 * w), fc2=new(w, 4 * w), fc2_b=new(w)) for _ in range(self.layers)]
        self.plain = [(b["qkv"], b["out"]) for b in self.blocks]

    def compile(self, how):
        """Blocks are alike, so that compiling one compiles all."""
        if how == "blocks":
            self.block, self.last = torch.compile(self.block, dynamic=False), torch.compile(self.last, dynamic=False)

    def norm(self, x, n):
        return F.layer_norm(x, (self.width,), *n)

    def split(self, x):
        return x.view(len(x), -1, self.heads, self.width // self.heads).transpose(1, 2)

    def mlp(self, b, x):
        h = F.linear(self.norm(x, b["ln2"]), b["fc1"], b["fc1_b"])
        return x + F.linear(h * torch.sigmoid(1.702 * h), b["fc2"], b["fc2_b"])

    def block(self, b, x, qkv, out):
        q, k, v = map(self.split, F.linear(self.norm(x, b["ln1"]), qkv, b["qkv_b"]).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.mlp(b, x + F.linear(a, out, b["out_b"]))

    def last(self, b, x, qkv, out):
        """The class token alone, as query."""
        w, n = self.width, self.norm(x, b["ln1"])
        q = self.split(F.linear(n[:, :1], qkv[:w], b["qkv_b"][:w]))
        k, v = map(self.split, F.linear(n, qkv[w:], b["qkv_b"][w:]).chunk(2, -1))
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.mlp(b, x[:, :1] + F.linear(a, out, b["out_b"]))

    def encode(self, images, effective):
        n, grid, patch = len(images), self.size // self.patch, self.patch
        rows = images.view(n, 3, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5).reshape(n, grid * grid,
            3 * patch**2)
        x = F.linear(rows, self.conv)
        x = torch.cat([self.cls.expand(n, 1, -1).to(x.dtype), x], 1) + self.pos
        x = self.norm(x, self.pre)
        for b, e in zip(self.blocks[:-1], effective):
            x = self.block(b, x, *e)
        x = self.last(self.blocks[-1], x, *effective[-1])
        return F.linear(self.norm(x[:, 0], self.post), self.proj)


def precision(narrow):
    """bf16 throughout needs no autocast."""
    return torch.autocast(DEV, torch.bfloat16, enabled=not narrow)


def make_step(sizes, batch, distill, narrow, compiled):
    m = Model(sizes, narrow)
    images = torch.randn(batch, 3, m.size, m.size, device=DEV).to(torch.bfloat16 if narrow else torch.float32)
    labels = torch.arange(batch, device=DEV) % CLASSES
    classes = F.normalize(torch.randn(CLASSES, m.embed, device=DEV), dim=-1)
    scores = []
    for w in (w for pair in m.plain for w in pair):
        s = torch.full(w.shape, 1e-2, device=DEV)
        s.view(-1)[::40] = 0
        scores.append(s.requires_grad_())
    adam = torch.optim.Adam(scores, lr=0.0, fused=GPU, capturable=GPU)

    def logits(f):
        with torch.autocast(DEV, enabled=False):
            return 100 * F.linear(F.normalize(f.float(), dim=-1), classes)

    def losses(images, labels, scores):
        with precision(narrow):
            masked = [(Mask.apply(scores[2 * i], b["qkv"]), Mask.apply(scores[2 * i + 1], b["out"]))
                for i, b in enumerate(m.blocks)]
            student = logits(m.encode(images, masked))
            if not distill:
                return F.cross_entropy(student, labels), None
            with torch.no_grad():
                teacher = logits(m.encode(images, m.plain)).softmax(-1)
            return F.cross_entropy(student, labels), F.cross_entropy(student, teacher)

    def drop(ga, gb):
        out = []
        for a, b in zip(ga, gb):
            purity = 0.5 * (1 + a.sign() * (a + b) / (a.abs() + b.abs() + 1e-30))
            out.append(torch.where(purity > torch.rand_like(a), a, torch.zeros_like(a)))
        return out

    m.compile(compiled)
    if compiled == "whole":
        losses = torch.compile(losses, dynamic=False)
    if compiled:
        drop = torch.compile(drop, dynamic=False)

    def step():
        a, b = losses(images, labels, scores)
        g = torch.autograd.grad(a, scores, retain_graph=distill)
        if distill:
            g = drop(g, torch.autograd.grad(b, scores))
        for s, d in zip(scores, g):
            s.grad = d
        adam.step()

    return step


def make_inference(sizes, batch, narrow, compiled):
    m = Model(sizes, narrow)
    images = torch.randn(batch, 3, m.size, m.size, device=DEV).to(torch.bfloat16 if narrow else torch.float32)

    def encode(images):
        with torch.no_grad(), precision(narrow):
            return m.encode(images, m.plain)

    m.compile(compiled)
    if compiled == "whole":
        encode = torch.compile(encode, dynamic=False)
    return lambda: encode(images)


def graphed(f):
    """The whole of f as one CUDA graph, after some calls on another stream, as PyTorch's manual asks for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            f()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        f()
    return graph.replay


def measure(f, rounds, calls=1):
    """Seconds a call, of so many in a timing."""
    for _ in range(5 if GPU else 1):
        f()
    times = []
    for _ in range(rounds):
        if GPU:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(calls):
                f()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3 / calls)
        else:
            began = time.perf_counter()
            for _ in range(calls):
                f()
            times.append((time.perf_counter() - began) / calls)
    return times


def release():
    """Gives PyTorch's memory back to the GPU."""
    gc.collect()
    if GPU:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


# How PyTorch is run: bf16 throughout, what is compiled.
WAYS = {"bf16": (True, ""), "bf16, blocks compiled": (True, "blocks"), "autocast": (False, ""),
    "bf16, compiled": (True, "whole")}


class OutOfTime(BaseException):
    """No Exception, which a compiler would take for its own."""


def out_of_time(number, _):
    """Whoever terminates this will kill it soon: then only the table is made."""
    figures["stopped"] = number == signal.SIGTERM
    raise OutOfTime


def in_time():
    """The signal alone would not do: a library that it interrupts may make another exception of it."""
    if time.monotonic() > BEGAN + args.seconds:
        raise OutOfTime


class Case:
    """Something that both sides do."""

    def __init__(self, kind, batch, sizes, first, make):
        self.kind, self.batch, self.sizes, self.make = kind, batch, sizes, make
        self.name, self.cases, self.found, self.tried = f"{kind}, batch {batch}", [first], {}, []
        self.calls = 3 if kind == "inference" and batch == 1 else 1  # in a timing, as FEWSHOT has it

    def theirs(self, way):
        """Measures PyTorch in one way, launch by launch and as a graph."""
        in_time()
        torch._dynamo.reset()
        try:
            f = self.make(self.sizes, self.batch, *WAYS[way])
            for name, wrap in ((way, lambda f: f), (way + ", graph", graphed)) if GPU else ((way, lambda f: f),):
                self.found[name] = sorted(measure(wrap(f), args.rounds, self.calls))
                say(f"    {self.name}: PyTorch, {name}: {1e3 * statistics.median(self.found[name]):.2f} ms")
        except Exception as e:  # one way that PyTorch does not take must not end the comparison
            say(f"    {self.name}: PyTorch, {way}: {type(e).__name__}: {(str(e).splitlines() or ['no message'])[0][:160]}")
        self.tried.append(way)
        f = None
        release()

    def report(self):
        n, flop = self.cases[0]["images"], self.cases[0]["flop"]
        mine = statistics.mean(c["median_seconds"] for c in self.cases)
        lo, hi = min(c["min_seconds"] for c in self.cases), max(c["max_seconds"] for c in self.cases)
        floor = flop / figures["rate"]
        row = {"case": self.name, "images": n, "flop": flop, "ours": [mine, lo, hi], "floor": floor,
            "pytorch": self.found, "tried": self.tried, "peak_bytes": self.cases[0]["peak_bytes"]}
        figures["rows"].append(row)
        text = f"| {self.name:21} | {1e3 * mine:.2f} [{1e3 * lo:.2f}, {1e3 * hi:.2f}] | {n / mine:.0f} | {mine / floor:.2f}{judge(mine / floor, most=MOST_FLOOR.get(self.kind))} |"
        if not self.found:
            say(text + " not run | |")
            return
        way = min(self.found, key=lambda k: statistics.median(self.found[k]))
        t = statistics.median(self.found[way])
        row["best"], row["ratio"] = way, t / mine
        untried = "; ".join(w for w in WAYS if w not in self.tried)
        untried = f" (no time for: {untried})" if untried else ""
        say(text + f" {1e3 * t:.2f} [{1e3 * self.found[way][0]:.2f}, {1e3 * self.found[way][-1]:.2f}] {way}{untried} | {t / mine:.2f}{judge(t / mine, least=WANTED[self.kind])} |")


def judge(value, least=None, most=None):
    """What was wanted, where something was."""
    if least is not None and value < least:
        return f" (wanted {least})"
    if most is not None and value > most:
        return f" (wanted {most:.0f})"
    return ""


class Clocks:
    """The GPU's clock and power while something runs."""

    def __enter__(self):
        query = ["nvidia-smi", "--query-gpu=clocks.sm,power.draw,temperature.gpu", "--format=csv,noheader,nounits",
            "-lms", "500"]
        self.watch = None
        if GPU and shutil.which(query[0]):
            self.watch = subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __exit__(self, *_):
        if not self.watch:
            return
        self.watch.terminate()
        rows = [r for r in (line.split(", ") for line in self.watch.communicate()[0].splitlines()) if len(r) == 3]
        for what, column in (("clock, MHz", 0), ("power, W", 1), ("temperature, °C", 2)):
            try:
                v = sorted(float(r[column]) for r in rows)
                figures[what] = [v[0], statistics.median(v), v[-1]]
                say(f"| {what}: median {statistics.median(v):.0f} [{v[0]:.0f}, {v[-1]:.0f}] over {len(v)} readings |")
            except (ValueError, IndexError):
                say(f"    {what}: not read")


def attempt(only, batch):
    """What FEWSHOT measured, or nothing."""
    try:
        return ours(only, batch, args.rounds)
    except RuntimeError as e:
        say(f"    {e}")
        figures["failed"] = True
        return {"cases": []}


def rates():
    """How fast a large product is, on both sides."""
    a, b = (torch.randn(SQUARE, SQUARE, device=DEV, dtype=torch.bfloat16) for _ in range(2))
    figures["pytorch_rate"] = 2 * SQUARE**3 / statistics.median(measure(lambda: a @ b, args.rounds))
    result = attempt("gemm", 1)
    figures["device"] = result.get("device", "")
    figures["our_rate"] = max([0] + [1e9 * c["gflops"] for c in result["cases"]])
    figures["rate"] = max(figures["pytorch_rate"], figures["our_rate"])
    say(f"{figures['device']}")
    say(f"| bf16 product {SQUARE}×{SQUARE}×{SQUARE}: ours {figures['our_rate'] / 1e12:.4g}, PyTorch {figures['pytorch_rate'] / 1e12:.4g} TFLOP/s |")


def measured(batches):
    """What FEWSHOT says of each case, by kind and batch."""
    found = {}
    for only, batch in [("step", b) for b in batches] + [("inference", batches[-1])]:
        result = attempt(only, batch)
        for c in result["cases"]:
            kind = next(k for pattern, k in OURS[only].items() if re.match(pattern, c["name"]))
            found[kind, c["images"]] = result["sizes"], c
    return found


def main():
    for s in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(s, out_of_time)
    signal.alarm(max(1, int(args.seconds - (time.monotonic() - BEGAN))))
    try:
        with Clocks():
            compare()
    except OutOfTime:
        say("    there was no time to measure FEWSHOT")
        figures["failed"] = True
    finally:
        if args.json:
            with open(args.json, "w") as f:
                json.dump(figures, f)
    sys.exit(1 if figures.get("failed") else 0)


def compare():
    if hasattr(torch._functorch.config, "donated_buffer"):  # since 2.6
        torch._functorch.config.donated_buffer = False  # two backward passes read the same buffers
    batches = sorted(map(int, args.batches.split(",")))
    say(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name() if GPU else 'the CPU'}")
    rates()
    makers = {"R-AMT step": lambda *a: make_step(*a[:2], True, *a[2:]),
        "AMT step": lambda *a: make_step(*a[:2], False, *a[2:]), "inference": make_inference}
    first = measured(batches)
    cases = {key: Case(*key, *first[key], makers[key[0]]) for kind in makers for key in first if key[0] == kind}

    def again():
        for key, (_, c) in measured(batches).items():
            if key in cases:
                cases[key].cases.append(c)

    try:
        for way in WAYS:
            for case in cases.values():
                case.theirs(way)
            in_time()
            again()
    except OutOfTime:
        say("    there was no time for more of PyTorch's ways")
    signal.alarm(0)
    try:
        if not figures.get("stopped"):
            release()
            again()
    except (OutOfTime, RuntimeError) as e:  # what is known by now must be shown
        say(f"    FEWSHOT was not measured a last time: {type(e).__name__} {e}")
    say("| case | ours, ms [range] | images/s | × floor | PyTorch, ms [range], way | × PyTorch |")
    for case in cases.values():
        case.report()


main()
