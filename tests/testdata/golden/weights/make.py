"""Makes the vectors of this folder: methods that train weights of the encoders or behind them, on the model of
../prompts, with PyTorch's gradients and optimizers, in float64; beside each number stands, as "float32", how far the
same lines are off in float32, relative to the root mean square. The forms are those of the sets that the published
programs made; the formulas are their papers'.

Randomness is that of ../../make_parity.py. Made with torch 2.15.0, safetensors 0.8. Run in this folder.
"""

import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
from make_parity import Key, images, sketch  # noqa: E402

MODEL = load_file(HERE.parent / "prompts" / "model.safetensors")
WIDTH, LAYERS, PATCH, SIZE, SOT, EOT = 64, 2, 8, 16, 520, 521
TOKENS = [[SOT, 3, 5, EOT, 0, 0], [SOT, 3, 7, 11, EOT, 0], [SOT, 9, EOT, 0, 0, 0], [SOT, 3, 5, 8, 2, EOT]]
LABELS, BATCH, STEPS, PER = [1, 0, 2, 2, 1, 0, 2, 1], 4, 4, 2
IMAGES = dict(key=61, n=8, size=SIZE)


class Clip:
    """Both encoders over tensors by name; path(name, x) is what stands beside a block's projection of x."""

    def __init__(self, dtype):
        self.p = {k: v.to(dtype) for k, v in MODEL.items()}
        self.x = images(**IMAGES).to(dtype)
        self.path = None

    def ln(self, x, n):
        return F.layer_norm(x, (WIDTH,), self.p[n + ".weight"], self.p[n + ".bias"])

    def block(self, x, b, causal):
        h = self.ln(x, b + "ln_1")
        qkv = [h @ w.T + c for w, c in zip(self.p[b + "attn.in_proj_weight"].chunk(3),
            self.p[b + "attn.in_proj_bias"].chunk(3))]
        if self.path:
            qkv = [y + self.path(f"{b}attn.{k}_proj", h) for k, y in zip("qkv", qkv)]
        s = qkv[0] @ qkv[1].transpose(1, 2) / math.sqrt(WIDTH)
        if causal:
            s = s + torch.full(s.shape[-2:], -torch.inf, dtype=s.dtype).triu(1)
        x = x + s.softmax(-1) @ qkv[2] @ self.p[b + "attn.out_proj.weight"].T + self.p[b + "attn.out_proj.bias"]
        h = self.ln(x, b + "ln_2") @ self.p[b + "mlp.c_fc.weight"].T + self.p[b + "mlp.c_fc.bias"]
        return x + (h * torch.sigmoid(1.702 * h)) @ self.p[b + "mlp.c_proj.weight"].T + self.p[b + "mlp.c_proj.bias"]

    def image(self, x):
        p = self.p
        x = F.conv2d(x, p["visual.conv1.weight"], stride=PATCH).flatten(2).transpose(1, 2)
        x = torch.cat([p["visual.class_embedding"].expand(len(x), 1, WIDTH), x], 1) + p["visual.positional_embedding"]
        x = self.ln(x, "visual.ln_pre")
        for i in range(LAYERS):
            x = self.block(x, f"visual.transformer.resblocks.{i}.", False)
        return self.ln(x[:, 0], "visual.ln_post") @ p["visual.proj"]

    def text(self, tokens=TOKENS):
        p, t = self.p, torch.tensor(tokens)
        end = t.argmax(1)
        t = t[:, : end.max() + 1]
        x = p["token_embedding.weight"][t] + p["positional_embedding"][: t.shape[1]]
        for i in range(LAYERS):
            x = self.block(x, f"transformer.resblocks.{i}.", True)
        return self.ln(x[torch.arange(len(x)), end], "ln_final") @ p["text_projection"]

    def scale(self):
        return self.p["logit_scale"].exp()


def unit(x):
    return F.normalize(x, dim=-1)


def write(name, run, **about):
    """run(dtype) is what there is to say: numbers, tensors, and dicts of them."""
    want, narrow, yard, doc = run(torch.float64), run(torch.float32), {}, dict(about)

    def one(a, b, name):
        a, b = (torch.as_tensor(x, dtype=torch.float64).detach() for x in (a, b))
        rms = a.square().mean().sqrt().item()
        yard[name] = ((a - b).abs().max() / (rms or 1)).item()
        if a.ndim == 0:
            return a.item()
        if a.numel() < 128:
            return a.tolist()
        s = sketch(a)
        return {"shape": list(a.shape), **s}

    for key, v in want.items():
        if isinstance(v, dict):
            doc[key] = {k: one(x, narrow[key][k], f"{key}.{k}") for k, x in v.items()}
        elif isinstance(v, list):
            doc[key] = [one(x, narrow[key][i], f"{key}.{i}") for i, x in enumerate(v)]
        else:
            doc[key] = one(v, narrow[key], key)
    doc["float32"] = yard
    (HERE / name).write_text(json.dumps(doc, separators=(",", ":")) + "\n")


def batch(i):
    lo = i * BATCH % len(LABELS)
    return slice(lo, lo + BATCH), torch.tensor(LABELS[lo : lo + BATCH])


def copies(d):
    return {k: v.detach().clone() for k, v in d.items()}


def steps(params, optimizer, rates, loss, before_step=lambda i: None):
    """Trains, and says what comes of it: losses, first gradients, parameters after the first step and after the last."""
    losses, first, after1 = [], None, None
    for i, lr in enumerate(rates):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        x = loss(i)
        x.backward()
        before_step(i)
        first = first or copies({k: p.grad if p.grad is not None else torch.zeros_like(p) for k, p in params.items()})
        losses.append(x.item())
        optimizer.step()
        after1 = after1 or copies(params)
    return losses, first, after1, copies(params)


def some(d, keep):
    return {k: v for k, v in d.items() if any(part in k for part in keep)}


# CLIP-Adapter: two layers with ReLU behind the image encoder, SGD with CoOp's schedule.


def adapter(dtype):
    m = Clip(dtype)
    with torch.no_grad():
        f, classes = m.image(m.x), unit(m.text())
    params = {k: ((2 * Key(IMAGES["key"] + 1).name(k).uniform(*s) - 1) / math.sqrt(s[1])).to(dtype)
        for k, s in (("fc.0.weight", (4, 16)), ("fc.2.weight", (16, 4)))}
    init = copies(params)
    for p in params.values():
        p.requires_grad_()

    def logits(f):
        y = F.relu(F.relu(f @ params["fc.0.weight"].T) @ params["fc.2.weight"].T)
        return m.scale() * unit(0.2 * y + 0.8 * f) @ classes.T

    before = logits(f)
    losses, first, after1, after = steps(params, torch.optim.SGD(params.values(), lr=1, momentum=0.9,
        weight_decay=5e-4), ADAPTER_LR,
                                         lambda i: F.cross_entropy(logits(f[batch(i)[0]]), batch(i)[1]))
    return dict(init=init, logits_before=before, losses=losses, first_gradient=first, after_1=after1, after_10=after,
        logits_after=logits(f))


EPOCHS = STEPS // PER
ADAPTER_LR = [1e-5 if i // PER < 1 else 2e-3 * (1 + math.cos(math.pi * (i // PER - 1) / EPOCHS)) / 2
    for i in range(STEPS)]  # torch's scheduler begins behind the warm-up
write("adapter-small.json", adapter, tokens=TOKENS, labels=LABELS, lr=ADAPTER_LR,
    sgd=dict(momentum=0.9, weight_decay=5e-4, nesterov=False, dampening=0),
      ratio=0.2, reduction=4, images=IMAGES, batch=BATCH, epochs=EPOCHS)

# CLIP-LoRA on both encoders, with dropout, AdamW and a cosine by step.
RANK, ALPHA, DROP, A_KEY, DROP_KEY = 2, 1, 0.25, 71, 72
LORA_LR = [1e-6 + (2e-3 - 1e-6) * (1 + math.cos(math.pi * i / STEPS)) / 2 for i in range(STEPS)]


def lora(dtype):
    m = Clip(dtype)
    with torch.no_grad():
        fixed = unit(m.text())
    params = {}
    for tower in ("visual.", ""):
        for i in range(LAYERS):
            for k in "qv":
                name = f"{tower}transformer.resblocks.{i}.attn.{k}_proj.w_lora_"
                params[name + "A"] = ((2 * Key(A_KEY).name(name + "A").uniform(RANK,
                    WIDTH) - 1) / math.sqrt(WIDTH)).to(dtype).requires_grad_()
                params[name + "B"] = torch.zeros(WIDTH, RANK, dtype=dtype).requires_grad_()
    now = dict(step=None, first=0, all=0)

    def path(name, x):
        if name + ".w_lora_A" not in params:
            return 0
        if now["step"] is not None:  # numbers are ordered by token, then by image or class
            n = now["all"] if name.startswith("visual.") else len(TOKENS)
            u = Key(DROP_KEY).name("dropout").fold(now["step"]).name(name + ".dropout").uniform(x.shape[1], n,
                WIDTH).transpose(0, 1)
            x = x * (u[: len(x)] >= DROP).to(dtype) / (1 - DROP)
        return ALPHA / math.sqrt(RANK) * (x @ params[name + ".w_lora_A"].T @ params[name + ".w_lora_B"].T)

    m.path = path

    def logits(x):
        return SCALE * unit(m.image(x)) @ unit(m.text()).T

    def loss(i):
        now.update(step=i, all=BATCH)
        l = F.cross_entropy(logits(m.x[batch(i)[0]]), batch(i)[1])
        now["step"] = None
        return l

    before = SCALE * unit(m.image(m.x)) @ fixed.T
    losses, first, after1, after = steps(params, torch.optim.AdamW(params.values(), lr=1, weight_decay=0.01), LORA_LR,
        loss)
    keep = [".1.attn"]
    return dict(logits_before=before, losses=losses, first_gradient=some(first, [".1.attn.q_proj", ".0.attn.v_proj"]),
        after_1=some(after1, keep), after_10=some(after, keep), logits_after=logits(m.x))


SCALE = 20.0
write("lora-small.json", lora, tokens=TOKENS, labels=LABELS, lr=LORA_LR,
    adamw=dict(betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01),
      trainable=[f"{t}transformer.resblocks.{i}.attn.{k}_proj.w_lora_{x}" for t in ("visual.", "")
          for i in range(LAYERS) for k in "qv" for x in "AB"],
      images=IMAGES, batch=BATCH, r=RANK, alpha=ALPHA, dropout=DROP, params=["q", "v"], encoder="both", A_key=A_KEY,
      dropout_key=DROP_KEY, scale=SCALE)

# Fine-tuning of the whole image encoder by AdamW. The keys' biases have no gradient but rounding: exactly none here.
FINE_LR = [1e-4 * (1 + math.cos(math.pi * (i // PER) / EPOCHS)) / 2 for i in range(STEPS)]


def finetune(dtype):
    m = Clip(dtype)
    with torch.no_grad():
        classes = unit(m.text())
    params = {k: v for k, v in m.p.items() if k.startswith("visual.")}
    for p in params.values():
        p.requires_grad_()

    def quiet(i):
        for k, p in params.items():
            if k.endswith("in_proj_bias"):
                p.grad[WIDTH : 2 * WIDTH] = 0

    logits = lambda x: m.scale() * unit(m.image(x)) @ classes.T
    before = logits(m.x)
    losses, first, after1, after = steps(params, torch.optim.AdamW(params.values(), lr=1, weight_decay=0.01), FINE_LR,
                                         lambda i: F.cross_entropy(logits(m.x[batch(i)[0]]), batch(i)[1]), quiet)
    keep = ["conv1", "class", ".1.attn.in_proj", ".0.mlp.c_proj.weight", "ln_post.bias"]
    return dict(logits_before=before, losses=losses, first_gradient=some(first, keep), after_1=some(after1, keep),
        after_10=some(after, keep), logits_after=logits(m.x))


write("finetune-small.json", finetune, tokens=TOKENS, labels=LABELS, lr=FINE_LR, images=IMAGES, batch=BATCH,
    epochs=EPOCHS,
      adamw=dict(lr=1e-4, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01),
      note="gradients of the keys' biases are exactly 0")

# 2SFS: the blocks' layer norms of both encoders, then the classifier alone.
FIRST, SECOND = 3, 2
cosine = lambda n: [1e-6 + (2e-3 - 1e-6) * (1 + math.cos(math.pi * i / n)) / 2 for i in range(n)]
TWO_LR = cosine(FIRST) + cosine(SECOND)
BASE = TOKENS + [[SOT, 4, 12, EOT, 0, 0]]
NORMS = [f"{t}transformer.resblocks.{i}.ln_{j}.{x}" for t in ("visual.", "") for i in range(LAYERS) for j in (1, 2)
    for x in ("weight", "bias")]


def twostage(dtype):
    m = Clip(dtype)
    params = {k: m.p[k].requires_grad_() for k in NORMS}
    logits = lambda x, w: m.scale() * unit(m.image(x)) @ unit(w).T
    with torch.no_grad():
        before = logits(m.x, m.text(BASE))
    losses, first, after1, after = steps(params, torch.optim.AdamW(params.values(), lr=1, weight_decay=0.01),
        TWO_LR[:FIRST],
                                         lambda i: F.cross_entropy(logits(m.x[batch(i)[0]], m.text(BASE)), batch(i)[1]))
    for p in params.values():
        p.requires_grad_(False)
    w = {"w": unit(m.text(BASE)).detach().requires_grad_()}
    init = w["w"].detach().clone()
    more, grad, one, last = steps(w, torch.optim.AdamW(w.values(), lr=1, weight_decay=0.01), TWO_LR[FIRST:],
                                  lambda i: F.cross_entropy(logits(m.x[batch(FIRST + i)[0]], w["w"]),
                                      batch(FIRST + i)[1]))
    keep = [".0.ln_1", ".1.ln_2.bias"]
    out = logits(m.x, w["w"])
    ACCURACY["acc_test"] = 100 * (out.argmax(1) == torch.tensor(LABELS)).double().mean().item()
    return dict(logits_before=before, losses=losses + more, first_gradient=some(first, keep),
        norms_after_1=some(after1, keep), norms_after_stage_1=some(after, keep),
                classifier_init=init, classifier_first_gradient=grad["w"], classifier_after_1=one["w"],
                classifier_after_stage_2=last["w"],
                logits_test={"c0+c1+c2+c3+c4": out})


ACCURACY = {}
every = NORMS + [f"{n}.{x}" for n in ("visual.ln_pre", "visual.ln_post", "ln_final") for x in ("weight", "bias")]
twostage(torch.float64)
write("twostage-small.json", twostage, tokens=BASE, labels=LABELS, lr=TWO_LR,
    adamw=dict(betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01), stage_1_steps=FIRST,
      stage_2_steps=SECOND, in_optimizer=every, trained=NORMS, without_gradient=[], accuracy=ACCURACY,
      base_labels_new=[], images=IMAGES,
      new_images=dict(key=0, n=0), batch=BATCH)
