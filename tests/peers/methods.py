#!/usr/bin/env python3
"""Training steps of CoOp, CoCoOp and CLIP-LoRA beside PyTorch: ViT-B/16 with random weights, 100 classes, image features fresh in
every step, 16 contexts for CoOp, 4 for CoCoOp, rank 2 on q, k and v of both towers for CLIP-LoRA; batches of 32, of 1 for CoCoOp.

    pip install torch open_clip_torch pillow
    python tests/peers/methods.py [-rounds 5] [-threads 2] [-only coop,cocoop,clip-lora] [-avx2]

PyTorch is run in two ways. Careful: prompts cut at the longest end token, scaled_dot_product_attention, no tape under the frozen image
encoder, one product for q, k and v; eager and compiled, of which the better counts, each with MKL told that the processor is Intel's
and without. Released: 77 tokens, as the authors' programs have them, and for CLIP-LoRA a product for each path. All in float32.

Every measured thing is a process, and rounds go in turn. Ours is `fewshot train` on 100 images; of its epochs the first, which decodes
them, does not count. Shown are seconds a step, the median with the least and the most, and the most memory that the process had.
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
    "coop": ["-epochs", "4"],
    "cocoop": ["-epochs", "2"],
    "clip-lora": ["-iterations", "12", "-batch-size", "32"],
}
BATCH = {"coop": 32, "cocoop": 1, "clip-lora": 32}

TORCH = r'''
import json, math, sys, time, resource, torch
import torch.nn as nn, torch.nn.functional as F
import open_clip

what, mode, threads, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
names = sys.argv[5].split(",")
torch.set_num_threads(threads)
torch.manual_seed(1)
released = mode == "released"
m = open_clip.create_model("ViT-B-16-quickgelu", precision="fp32").eval()
for p in m.parameters():
    p.requires_grad_(False)
v = m.visual
scale = 100.0
tokenize = open_clip.get_tokenizer("ViT-B-16-quickgelu")
batch = 1 if what == "cocoop" else 32
images, labels = torch.randn(batch, 3, 224, 224), torch.randint(0, len(names), (batch,))

def block(b, x, mask, lora=None):
    n, l, w = x.shape
    a, h = b.attn, b.attn.num_heads
    y = F.layer_norm(x, (w,), b.ln_1.weight, b.ln_1.bias)
    if lora is None:
        q, k, val = F.linear(y, a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
    else:
        q, k, val = lora(y, a)
    q, k, val = (t.view(n, l, h, w // h).transpose(1, 2) for t in (q, k, val))
    o = F.scaled_dot_product_attention(q, k, val, attn_mask=mask).transpose(1, 2).reshape(n, l, w)
    x = x + F.linear(o, a.out_proj.weight, a.out_proj.bias)
    y = F.layer_norm(x, (w,), b.ln_2.weight, b.ln_2.bias)
    y = F.linear(y, b.mlp.c_fc.weight, b.mlp.c_fc.bias)
    y = y * torch.sigmoid(1.702 * y)
    return x + F.linear(y, b.mlp.c_proj.weight, b.mlp.c_proj.bias)

def tower(blocks, x, mask, lora=None):
    for i, b in enumerate(blocks):
        x = block(b, x, mask, None if lora is None else lora[i])
    return x

def encode_image(x, lora=None):
    x = v.conv1(x).flatten(2).transpose(1, 2)
    x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1) + v.positional_embedding
    x = tower(v.transformer.resblocks, v.ln_pre(x), None, lora)
    return F.normalize(v.ln_post(x[:, 0]) @ v.proj, dim=-1)

def encode_text(x, end, lora=None):
    l = x.shape[1]
    mask = m.attn_mask[:l, :l]
    x = tower(m.transformer.resblocks, x + m.positional_embedding[:l], mask, lora)
    return F.normalize(m.ln_final(x[torch.arange(len(x)), end]) @ m.text_projection, dim=-1)

def prompts(context):
    ids = tokenize([" ".join(["X"] * context + [n + "."]) if context else f"a photo of a {n}." for n in names])
    end = ids.argmax(-1)
    if not released:
        ids = ids[:, : end.max() + 1]
    return m.token_embedding(ids), end

class Path(nn.Module):
    """LoRA on q, k and v, alpha/sqrt(r)."""
    def __init__(self, w, r=2):
        super().__init__()
        self.a = nn.Parameter((torch.rand(3, r, w) * 2 - 1) / math.sqrt(w))
        self.b = nn.Parameter(torch.zeros(3, w, r))
        self.s = 1 / math.sqrt(r)
    def forward(self, y, a):
        w = y.shape[-1]
        if released:
            out = []
            for i in range(3):
                W, c = a.in_proj_weight[i * w : (i + 1) * w], a.in_proj_bias[i * w : (i + 1) * w]
                d = F.dropout(y, 0.25, True)
                out.append(F.linear(y, W, c) + d @ self.a[i].T @ self.b[i].T * self.s)
            return out
        q = F.linear(y, a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
        return [q[i] + F.linear(F.linear(F.dropout(y, 0.25, True), self.a[i]), self.b[i]) * self.s for i in range(3)]

if what == "coop":
    e, end = prompts(16)
    ctx = nn.Parameter(torch.randn(16, 512) * 0.02)
    opt = torch.optim.SGD([ctx], lr=2e-3, momentum=0.9, weight_decay=5e-4)
    def loss_of(images, labels):
        with torch.no_grad():
            f = encode_image(images)
        x = torch.cat([e[:, :1], ctx.expand(len(e), -1, -1), e[:, 17:]], 1)
        return F.cross_entropy(scale * f @ encode_text(x, end).T, labels)
elif what == "cocoop":
    e, end = prompts(4)
    ctx = nn.Parameter(torch.randn(4, 512) * 0.02)
    net = nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 512))
    opt = torch.optim.SGD([ctx, *net.parameters()], lr=2e-3, momentum=0.9, weight_decay=5e-4)
    def loss_of(images, labels):
        with torch.no_grad():
            f = encode_image(images)
        c = ctx + net(f)
        x = torch.cat([e[:, :1], c.expand(len(e), -1, -1), e[:, 5:]], 1)
        return F.cross_entropy(scale * f @ encode_text(x, end).T, labels)
else:
    e, end = prompts(0)
    image, text = nn.ModuleList(Path(768) for _ in range(12)), nn.ModuleList(Path(512) for _ in range(12))
    opt = torch.optim.AdamW([*image.parameters(), *text.parameters()], lr=2e-4, weight_decay=1e-2)
    def loss_of(images, labels):
        return F.cross_entropy(scale * encode_image(images, image) @ encode_text(e, end, text).T, labels)

f = torch.compile(loss_of) if mode == "compiled" else loss_of
def step():
    loss = f(images, labels)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
for _ in range(2):
    step()
times = []
for _ in range(steps):
    t = time.monotonic()
    step()
    times.append(time.monotonic() - t)
print(json.dumps({"seconds": sorted(times)[len(times) // 2], "tokens": e.shape[1], "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
'''


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-threads", type=int, default=os.cpu_count())
    p.add_argument("-only", default="coop,cocoop,clip-lora")
    p.add_argument("-avx2", action="store_true", help="both sides without AVX-512")
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
        Image.effect_noise((256, 256), 40 + i).convert("RGB").save(folder / "0.png")
print(pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz")
"""


def prepare(tmp):
    """Writes random weights, CLIP's vocabulary and an image a class; returns the flags that name them."""
    p = subprocess.run([sys.executable, "-c", PREPARE, str(tmp), ",".join(NAMES)], capture_output=True, text=True)
    if p.returncode:
        sys.exit(p.stderr)
    vocabulary = p.stdout.splitlines()[-1]
    return ["-model", str(tmp / "model.pt"), "-activation", "quickgelu", "-vocab", vocabulary, "-dataset", str(tmp / "data"), "-shots", "1", "-zeroshot=false"]


def ours(binary, flags, what, threads, tmp, env):
    """Seconds a step and MiB of a run's epochs after the first."""
    out = tmp / f"run-{time.monotonic_ns()}"
    command = [binary, "train", "-json", "-method", what, "-out", str(out), "-workers", str(threads), *flags, *ARGS[what]]
    with tempfile.TemporaryFile("w+") as errors:
        p = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors, text=True)
        ends = []
        for line in p.stdout:
            event = json.loads(line)
            if event.get("kind") == "epoch":
                ends.append((time.monotonic(), event["images"]))
        _, status, usage = os.wait4(p.pid, 0)
        if status or len(ends) < 2:
            errors.seek(0)
            sys.exit(errors.read())
    steps = [(b - a) / (n / BATCH[what]) for (a, _), (b, n) in zip(ends, ends[1:])]
    return statistics.median(steps), usage.ru_maxrss / 1024


def theirs(what, mode, threads, env):
    steps = 20 if what == "cocoop" else 3
    p = subprocess.run([sys.executable, "-c", TORCH, what, mode, str(threads), str(steps), ",".join(n.replace("_", " ") for n in NAMES)],
                       env=env, capture_output=True, text=True)
    if p.returncode:
        sys.exit(p.stderr)
    r = json.loads(p.stdout.splitlines()[-1])
    return r["seconds"], r["mib"]


def main():
    a = arguments()
    env = peers.BARE | {"OMP_NUM_THREADS": str(a.threads)} | (peers.AVX2 if a.avx2 else {})
    print(f"{peers.machine()}, {a.threads} threads, {a.rounds} rounds{', without AVX-512' if a.avx2 else ''}\n")
    tools = peers.Tools()
    sides = {k: (k, env | peers.KEEP_MEMORY) for k in ("eager", "compiled", "released")}
    if tools.intel:
        for k in ("eager", "compiled"):
            sides[k + ", MKL for Intel"] = (k, env | peers.KEEP_MEMORY | {"LD_PRELOAD": tools.intel})
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        flags = prepare(tmp)
        for what in a.only.split(","):
            runs = {"fewshot": []} | {k: [] for k in sides}
            for _ in range(a.rounds):
                runs["fewshot"].append(ours(tools.fewshot, flags, what, a.threads, tmp, env))
                for k, (mode, e) in sides.items():
                    runs[k].append(theirs(what, mode, a.threads, e))
            print(f"a step of {what}, batch {BATCH[what]}")
            middle = {}
            for k, r in runs.items():
                t = sorted(s for s, _ in r)
                middle[k] = statistics.median(t)
                print(f"  {k:28s} {middle[k]:7.3f} s ({t[0]:.3f} to {t[-1]:.3f}), {max(mib for _, mib in r):6.0f} MiB")
            careful = min(v for k, v in middle.items() if k not in ("fewshot", "released"))
            print(f"  times as fast: {careful / middle['fewshot']:.2f} as careful, {middle['released'] / middle['fewshot']:.2f} as released\n", flush=True)


if __name__ == "__main__":
    main()
