"""Vectors of methods that learn prompts: four steps of each in float64, on a tiny CLIP of random numbers.

Written from the published descriptions and programs, with PyTorch's gradients. All text sequences are as long as the
longest, visual prompts stand at the end. Where the sets made by the programs themselves have a method (see
README.md), this agrees with them in form.

    python make.py        (torch 2.15, safetensors 0.8, numpy)
"""
import json, math, re, sys
import numpy as np, torch
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)
G = torch.Generator().manual_seed(7)
W, L, D, PATCH, SIZE, CONTEXT, SCALE = 64, 2, 16, 8, 16, 40, 3.0
MERGES = ["a b", "p h", "ph o", "pho t", "phot o</w>", "o f</w>", "c a", "ca t</w>"]
CLASSES, NEW = ["cat", "sea_lake", "DC-9", "dog"], ["cab", "a lamp"]

# The tokenizer, for ASCII.
def alphabet():
    bs = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    cs, n = bs[:], 0
    for b in range(256):
        if b not in bs:
            bs.append(b); cs.append(256 + n); n += 1
    return [chr(c) for c in cs]
VOCAB = alphabet(); VOCAB = VOCAB + [v + "</w>" for v in VOCAB] + ["".join(m.split()) for m in MERGES]
IDS = {v: i for i, v in enumerate(VOCAB)}
SOT, EOT = len(VOCAB), len(VOCAB) + 1
RANK = {tuple(m.split()): i for i, m in enumerate(MERGES)}
def encode(text):
    out = []
    for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()):
        parts = list(word[:-1]) + [word[-1] + "</w>"]
        while True:
            pairs = [(RANK.get(p, 1 << 30), i) for i, p in enumerate(zip(parts, parts[1:]))]
            if not pairs or min(pairs)[0] == 1 << 30: break
            i = min(pairs)[1]; parts[i:i + 2] = [parts[i] + parts[i + 1]]
        out += [IDS[p] for p in parts]
    return out
def tokens(text): return [SOT] + encode(text) + [EOT]

def rnd(*shape, scale=1.0): return (torch.randn(*shape, generator=G) * scale).half().double()
P = {"token_embedding.weight": rnd(len(VOCAB) + 2, W, scale=.3), "positional_embedding": rnd(CONTEXT, W, scale=.1),
    "text_projection": rnd(W, D, scale=.2),
     "logit_scale": torch.tensor(SCALE), "visual.class_embedding": rnd(W, scale=.3),
     "visual.positional_embedding": rnd(1 + (SIZE // PATCH) ** 2, W, scale=.3),
     "visual.conv1.weight": rnd(W, 3, PATCH, PATCH, scale=.1), "visual.proj": rnd(W, D, scale=.2)}
def norm(name): P[name + ".weight"], P[name + ".bias"] = 1 + rnd(W, scale=.1), rnd(W, scale=.1)
for n in ("ln_final", "visual.ln_pre", "visual.ln_post"): norm(n)
for t in ("", "visual."):
    for i in range(L):
        b = f"{t}transformer.resblocks.{i}."
        norm(b + "ln_1"); norm(b + "ln_2")
        for n, s in (("attn.in_proj", (3 * W, W)), ("attn.out_proj.", (W, W)), ("mlp.c_fc.", (4 * W, W)),
                ("mlp.c_proj.", (W, 4 * W))):
            sep = "_" if n.endswith("proj") else ""
            P[b + n + sep + "weight"], P[b + n + sep + "bias"] = rnd(*s, scale=s[1] ** -.5), rnd(s[0], scale=.1)
P = {k: v.half().double() for k, v in P.items()}

def ln(x, n): return torch.nn.functional.layer_norm(x, (x.shape[-1],), P[n + ".weight"], P[n + ".bias"])
def block(x, b, causal):
    h = ln(x, b + "ln_1"); q, k, v = (h @ P[b + "attn.in_proj_weight"].T + P[b + "attn.in_proj_bias"]).chunk(3, -1)
    s = q @ k.transpose(-1, -2) / math.sqrt(W)
    if causal: s = s + torch.full(s.shape[-2:], -torch.inf).triu(1)
    x = x + s.softmax(-1) @ v @ P[b + "attn.out_proj.weight"].T + P[b + "attn.out_proj.bias"]
    h = ln(x, b + "ln_2") @ P[b + "mlp.c_fc.weight"].T + P[b + "mlp.c_fc.bias"]
    return x + (h * torch.sigmoid(1.702 * h)) @ P[b + "mlp.c_proj.weight"].T + P[b + "mlp.c_proj.bias"]
def image(x, first=None, deep=None, raw=None, every=False):
    x = torch.nn.functional.conv2d(x, P["visual.conv1.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    n = len(x); x = torch.cat([P["visual.class_embedding"].expand(n, 1, W), x],
        1) + P["visual.positional_embedding"]; keep = x.shape[1]
    add = lambda x, p: torch.cat([x[:, :keep], p.expand(n, *p.shape)], 1)
    if first is not None: x = add(x, first)
    x = ln(x, "visual.ln_pre")
    for i in range(L):
        if raw is not None and i < len(raw): x = add(x, raw[i])
        if deep is not None and 1 <= i <= len(deep): x = add(x, deep[i - 1])
        x = block(x, f"visual.transformer.resblocks.{i}.", False)
    x = x[:, :keep] if every else x[:, 0]
    return ln(x, "visual.ln_post") @ P["visual.proj"]
def text(seqs, deep=None, n=0):
    end = torch.tensor([len(s) - 1 for s in seqs]); m = max(len(s) for s in seqs)
    x = torch.stack([torch.cat([s, s[-1:].expand(m - len(s), W)]) for s in seqs]) + P["positional_embedding"][:m]
    for i in range(L):
        if deep is not None and 1 <= i <= len(deep): x = torch.cat([x[:, :1], deep[i - 1].expand(len(x), n, W),
                x[:, 1 + n:]], 1)
        x = block(x, f"transformer.resblocks.{i}.", True)
    return ln(x[torch.arange(len(x)), end], "ln_final") @ P["text_projection"]
E = lambda ids: P["token_embedding.weight"][ids]
unit = lambda x: x / x.norm(dim=-1, keepdim=True)
name = lambda c: c.replace("_", " ")
def prompts(classes, prefix, ctx, position="end"):
    out = []
    for c in classes:
        ids, k, n = tokens(f"{prefix} {name(c)}."), len(encode(name(c))), len(ctx)
        e, rest = E(ids[:1]), E(ids[1 + n:])
        out.append(torch.cat({"end": [e, ctx, rest], "middle": [e, ctx[:n // 2], rest[:k], ctx[n // 2:], rest[k:]],
            "front": [e, rest[:k], ctx, rest[k:]]}[position]))
    return out
def zeroshot(classes, template): return text([E(tokens(template.replace("{}", name(c)))) for c in classes])
scale = math.exp(SCALE)
ce = torch.nn.functional.cross_entropy
X = lambda n: " ".join("X" * n)

train, held, labels = rnd(6, 3, SIZE, SIZE), rnd(3, 3, SIZE, SIZE), torch.tensor([0, 3, 1, 2, 0, 1])
tensors, cases = {}, {}
def param(*shape, s=.02): return rnd(*shape, scale=s)
def linear(i, o): return param(o, i, s=i ** -.5), param(o, s=i ** -.5)

def case(key, method, params, logits, extra=None, loss=None, new=True, **fields):
    """logits(params, images, classes); loss(params, images, labels, logits) is the cross-entropy unless given."""
    params = {k: v.half().double() for k, v in params.items()}
    p = {k: v.clone().requires_grad_() for k, v in params.items()}
    v = {k: None for k in p}
    c = {"method": method, "batch": 3, "optim": {"NAME": "sgd", "LR": .01, "MOMENTUM": .9, "WEIGHT_DECAY": 5e-4,
        "MAX_EPOCH": 5, "WARMUP_EPOCH": 1, "WARMUP_TYPE": "constant", "WARMUP_CONS_LR": 1e-5},
         "parameters": {k: list(x.shape) for k, x in p.items()}, "lr": [], "loss": [], "tensors": {k: {} for k in p},
         **fields}
    def put(k, what, x):
        x = x.detach().numpy()
        if x.size > 2000 and what != "init":  # a summary of a large one
            every = max(1, x.size // 64)
            c["tensors"][k][what] = {"summary": True, "shape": list(x.shape), "l2": float(f"{np.linalg.norm(x):.12g}"),
                "sum": float(f"{x.sum():.12g}"), "stride": every,
                                     "every": [float(f"{v:.12g}") for v in x.ravel()[::every][:64]]}
            return
        tensors[f"{key}/{what}/{k}"] = x.astype(np.float16 if what == "init" else np.float32).copy()
        c["tensors"][k][what] = f"{key}/{what}/{k}"
    ev = lambda classes: [[float(f"{z:.12g}") for z in row] for row in logits(p, held, classes).detach().tolist()]
    for k, x in p.items(): put(k, "init", x)
    c["eval_before"] = ev(CLASSES)
    for step in range(4):
        e = step // 2; lr = 1e-5 if e < 1 else .01 * (1 + math.cos(math.pi * (e - 1) / 5)) / 2
        lo = step % 2 * 3; xb, yb = train[lo:lo + 3], labels[lo:lo + 3]
        z = logits(p, xb, CLASSES); l = ce(z, yb) if loss is None else loss(p, xb, yb, z)
        grads = torch.autograd.grad(l, list(p.values()), allow_unused=True)
        c["lr"].append(lr); c["loss"].append(float(f"{l.item():.12g}"))
        for (k, x), g in zip(p.items(), grads):
            g = torch.zeros_like(x) if g is None else g
            if step == 0: put(k, "grad1", g)
            g = g + 5e-4 * x.detach(); v[k] = g if v[k] is None else .9 * v[k] + g
            with torch.no_grad(): x -= lr * v[k]
            if step == 0: put(k, "delta1", x.detach() - params[k])
    c["eval_after"] = ev(CLASSES)
    if new: c["eval_new_after"] = ev(NEW)
    cases[key] = c

head = lambda f, g: scale * unit(f) @ unit(g).T
for pos in ("end", "middle", "front"):
    case(f"coop_{pos}", "coop", {"ctx": param(5, W)}, lambda p, x, c,
        pos=pos: head(image(x), text(prompts(c, X(5), p["ctx"], pos))), n_ctx=5, position=pos, csc=False, ctx_words="")
words = lambda s, n: E(encode(s)[:n]).clone()
case("kgcoop", "kgcoop", {"ctx": words("a photo of", 3)}, lambda p, x,
    c: head(image(x), text(prompts(c, "a photo of", p["ctx"]))),
     loss=lambda p, x, y, z: ce(z, y) + 8 * (1 - (unit(text(prompts(CLASSES, "a photo of",
         p["ctx"]))) * unit(zeroshot(CLASSES, "a {} of."))).sum(-1).mean()),
     n_ctx=3, position="end", ctx_words="a photo of", template="a {} of.", weight=8)
def cocoop(p, x, c):
    v = unit(image(x)); bias = torch.relu(v @ p["meta_net.linear1.weight"].T
        + p["meta_net.linear1.bias"]) @ p["meta_net.linear2.weight"].T + p["meta_net.linear2.bias"]
    return torch.stack([scale * v[i] @ unit(text(prompts(c, X(3), p["ctx"] + bias[i]))).T for i in range(len(x))])
w1, b1 = linear(D, D // 16); w2, b2 = linear(D // 16, W)
case("cocoop", "cocoop", {"ctx": param(3, W), "meta_net.linear1.weight": w1, "meta_net.linear1.bias": abs(b1) + 1,
    "meta_net.linear2.weight": w2, "meta_net.linear2.bias": b2}, cocoop, n_ctx=3, ctx_words="")
case("vpt_maple_deep", "vpt_maple", {"image_encoder.VPT": param(2, W),
    "image_encoder.transformer.resblocks.1.VPT_shallow": param(2, W)},
     lambda p, x, c: head(image(x, p["image_encoder.VPT"], [p["image_encoder.transformer.resblocks.1.VPT_shallow"]]),
         zeroshot(c, "a photo of a {}.")), n=2, depth=2)
case("vpt_kmnp_deep", "vpt_kmnp", {"vpt_embeddings": param(1, 2, W), "vpt_embeddings_deep": param(L - 1, 2, W)},
     lambda p, x, c: head(image(x, raw=torch.cat([p["vpt_embeddings"], p["vpt_embeddings_deep"]])),
         zeroshot(c, "a photo of a {}.")), n=2, deep=True)
def attend(q, k, v, mix): return (q @ k.T / math.sqrt(q.shape[-1])).softmax(-1) @ v if mix else v
for mix in (False, True):
    d = {"uni_ctx": param(1, 4, W), "self_attn.in_proj_weight": param(3 * W, W, s=.1),
        "self_attn.in_proj_bias": param(3 * W), "self_attn.out_proj.weight": param(W, W, s=.1),
        "self_attn.out_proj.bias": param(W)}
    for n in ("norm1", "norm2"): d[n + ".weight"], d[n + ".bias"] = 1 + param(W, s=.1), param(W)
    for n in ("linear1", "linear2", "mlp"): d[n + ".weight"], d[n + ".bias"] = linear(W, W)
    def upt(p, x, c, mix=mix):
        f = lambda n, x: x @ p[n + ".weight"].T + p[n + ".bias"]
        l = lambda n, x: torch.nn.functional.layer_norm(x, (W,), p[n + ".weight"], p[n + ".bias"])
        u = p["uni_ctx"][0]; q, k, v = (u @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"]).chunk(3, -1)
        y = l("norm1", u + f("self_attn.out_proj", attend(q, k, v, mix))); z = y + f("linear2",
            torch.relu(f("linear1", l("norm2", y))))
        return head(image(x, f("mlp", z[2:])), text(prompts(c, X(2), z[:2])))
    case("upt_mixing" if mix else "upt", "upt", d, upt, position="end", dropout=False, mix=mix)
    m, b = 32, "mvlpt_proj.resblocks.0."
    d = {"ctx": param(2, W), "vpt_embeddings": param(1, 2, W)}
    for n, i, o in (("coop_pre", W, m), ("coop_post", m, W), ("vpt_pre", W, m),
            ("vpt_post", m, W)): d[f"mvlpt_proj_ctx_{n}.weight"], d[f"mvlpt_proj_ctx_{n}.bias"] = linear(i, o)
    for n in ("ln_1", "ln_2"): d[b + n + ".weight"], d[b + n + ".bias"] = 1 + param(m, s=.1), param(m)
    d[b + "attn.in_proj_weight"], d[b + "attn.in_proj_bias"] = linear(m, 3 * m)
    for n, i, o in (("attn.out_proj", m, m), ("mlp.c_fc", m, 4 * m), ("mlp.c_proj", 4 * m, m)): d[b + n
            + ".weight"], d[b + n + ".bias"] = linear(i, o)
    def mvlpt(p, x, c, mix=mix):
        f = lambda n, x: x @ p[n + ".weight"].T + p[n + ".bias"]
        l = lambda n, x: torch.nn.functional.layer_norm(x, (m,), p[b + n + ".weight"], p[b + n + ".bias"])
        u = torch.cat([f("mvlpt_proj_ctx_coop_pre", p["ctx"]), f("mvlpt_proj_ctx_vpt_pre", p["vpt_embeddings"][0])])
        q, k, v = (l("ln_1", u) @ p[b + "attn.in_proj_weight"].T + p[b + "attn.in_proj_bias"]).chunk(3, -1)
        u = u + f(b + "attn.out_proj", attend(q, k, v, mix)); h = f(b + "mlp.c_fc",
            l("ln_2", u)); u = u + f(b + "mlp.c_proj", h * torch.sigmoid(1.702 * h))
        return head(image(x, raw=f("mvlpt_proj_ctx_vpt_post", u[2:])[None]),
            text(prompts(c, X(2), f("mvlpt_proj_ctx_coop_post", u[:2]), "middle")))
    case("mvlpt_mixing" if mix else "mvlpt", "upt_mvlpt", d, mvlpt, position="middle", n_ctx=2, n=2, proj_dim=m,
        mix=mix)
pw, pb = linear(W, W); cw, cb = linear(W, W)
case("maple", "maple", {"ctx": words("a photo of", 2), "proj.weight": pw, "proj.bias": pb,
    "compound_prompts_text.0": param(2, W), "compound_prompt_projections.0.weight": cw,
    "compound_prompt_projections.0.bias": cb},
     lambda p, x, c: head(image(x, p["ctx"] @ p["proj.weight"].T + p["proj.bias"],
         [p["compound_prompts_text.0"] @ p["compound_prompt_projections.0.weight"].T
             + p["compound_prompt_projections.0.bias"]]),
                          text(prompts(c, "a photo of", p["ctx"]), [p["compound_prompts_text.0"]], 2)), n_ctx=2,
                          ctx_words="a photo of", depth=2)
T, I = "text_encoder.transformer.resblocks.1.VPT_shallow", "image_encoder.transformer.resblocks.1.VPT_shallow"
templates = ["a photo of a {}.", "a {} of", "of the {}."]
def src(p, x, c): return unit(image(x, p["image_encoder.VPT"], [p[I]])), unit(text(prompts(c, "a photo", p["ctx"]),
        [p[T]], 2))
def srcloss(p, x, y, z):
    f, g = src(p, x, CLASSES); f0, g0 = unit(image(x)), unit(sum(zeroshot(CLASSES, t) for t in templates) / 3)
    kl = torch.nn.functional.kl_div(z.log_softmax(1), (scale * f0 @ g0.T).log_softmax(1), reduction="sum",
        log_target=True) / z.numel()
    return ce(z, y) + 25 * (g - g0).abs().mean() + 10 * (f - f0).abs().mean() + kl
case("promptsrc", "promptsrc", {"ctx": words("a photo", 2), T: param(2, W), "image_encoder.VPT": param(3, W),
    I: param(3, W)},
     lambda p, x, c: (lambda a: scale * a[0] @ a[1].T)(src(p, x, c)), loss=srcloss, n_ctx=2, ctx_words="a photo", n=3,
     templates=templates)
def plot(p, x, c):
    f = image(x, every=True)[:, 1:]; g = torch.stack([text(prompts(c, X(3), k)) for k in p["ctx"]])
    s = torch.einsum("bmd,ncd->bcmn", unit(f), unit(g)); B, C, M, N = s.shape; t = torch.zeros_like(s)
    for i in range(B):
        for j in range(C):
            k = torch.exp((s[i, j].detach() - 1) / .1); r, q = torch.ones(M), torch.ones(N)
            for _ in range(100):
                r0 = r; r = 1 / M / (k @ q); q = 1 / N / (k.T @ r)
                if (r - r0).abs().mean() < .01: break
            t[i, j] = r[:, None] * k * q
    return scale * (t * s).sum((2, 3))
case("plot_by_pair", "plot", {"ctx": param(2, 3, W)}, plot, n_ctx=3, position="end", csc=False, ctx_words="", N=2,
    eps=.1, max_iter=100, thresh=.01, add_pooled=False, backbone="vit", stop="pair")

half = lambda d: {k: np.ascontiguousarray(v.numpy().astype(np.float16)) for k, v in d.items()}
save_file(half(P), "model.safetensors")
save_file({**half({"train_images": train, "eval_images": held}), "train_labels": labels.numpy()}, "inputs.safetensors")
save_file(tensors, "golden.safetensors")
open("merges.txt", "w").write("#version: 0.2\n" + "\n".join(MERGES) + "\n")
json.dump({"classes": CLASSES, "new_classes": NEW, "cases": cases}, open("golden.json", "w"), separators=(",", ":"))
