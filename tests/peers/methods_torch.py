"""A process of methods.py: a training step of CoOp, CoCoOp or CLIP-LoRA in PyTorch, made once for a start, which takes
longer where something is compiled, and then as often as a line of its input says; answered with the seconds of a
step, the median, those of processors, and the most memory that the process has had.

Careful: prompts cut at the longest end token, scaled_dot_product_attention, no tape under the frozen image encoder,
one product for q, k and v; compiled is a layer of the encoders, which is compiled once for all that are alike: whole
steps take minutes. Released: 77 tokens, as the authors' programs have them, and for CLIP-LoRA a product for each
path.
"""

import json
import math
import resource
import statistics
import sys
import time

import open_clip
import torch
import torch.nn as nn
import torch.nn.functional as F

request = json.loads(sys.argv[1])
what, names, released = request["method"], request["names"], request["released"]
torch.set_num_threads(request["threads"])
torch.manual_seed(1)
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

if request["compiled"]:
    block = torch.compile(block)


def step():
    loss = loss_of(images, labels)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()


step()
print("{}", flush=True)
for line in sys.stdin:
    times, cpu = [], []
    for _ in range(int(line)):
        start, used = time.perf_counter(), time.process_time()
        step()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"seconds": statistics.median(times), "cpu": statistics.median(cpu), "rss_mib": most}), flush=True)
