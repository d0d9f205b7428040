#!/usr/bin/env python3
"""Makes the fixtures of the parity tests from the implementations that people use.

    python tests/testdata/make_parity.py

needs torch, open_clip_torch, transformers and numpy, runs for a minute, and writes into parity/ beside this file:

    openclip.safetensors    a small CLIP built by open_clip's own classes, its state dict in half precision
    huggingface/            another one, written by transformers.CLIPModel.save_pretrained
    openclip.json, huggingface.json
                            what the libraries compute with them: features, logits
    gradients.json          the mask gradients of both losses of R-AMT, by parameter, from torch.autograd
    tuning.json             ten steps each of AMT and R-AMT with torch.optim.Adam

Every number comes from float64. Beside it stands how far the same PyTorch program in float32 is from it ("float32"):
that is the yardstick for our float32.

Random numbers that both sides need (images, gradient dropout) come from the counter-based generator of package tensor,
written here once more, so that nothing but weights needs to be stored.
"""

import json
import math
import pathlib

import numpy as np
import open_clip
import safetensors.torch
import torch
import torch.nn.functional as F
import transformers
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch.func import functional_call

HERE = pathlib.Path(__file__).parent
OUT = HERE / "parity"

# Randomness: Philox4x32-10 (Salmon et al. 2011) and the keys of tensor/random.go.

WORD = np.uint64(0xFFFFFFFF)


def philox(key, counter):
    """Enciphers counters, four arrays of 32-bit words, under a key of two."""
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    c0, c1, c2, c3 = (np.asarray(c, dtype=np.uint64) for c in counter)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & WORD, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & WORD, (k1 + np.uint64(0xBB67AE85)) & WORD
    return c0, c1, c2, c3


class Key:
    def __init__(self, seed=0, words=None):
        self.words = words or (seed & 0xFFFFFFFF, seed >> 32)

    def fold(self, n):
        r = philox(self.words, ([n & 0xFFFFFFFF], [n >> 32], [0x666F6C64], [0]))
        return Key(words=(int(r[0][0]), int(r[1][0])))

    def name(self, word):
        h = 14695981039346656037  # FNV-1a
        for byte in word.encode():
            h = ((h ^ byte) * 1099511628211) % 2**64
        return self.fold(h)

    def uniform(self, *shape):
        """The first numbers of the stream, in [0, 1), exact in float32."""
        n = math.prod(shape)
        block = np.arange((n + 3) // 4, dtype=np.uint64)
        zero = np.zeros_like(block)
        words = np.stack(philox(self.words, (block & WORD, block >> np.uint64(32), zero, zero)), axis=1).reshape(-1)[:n]
        return torch.from_numpy((words >> np.uint64(8)).astype(np.float64) / 2**24).reshape(shape)


assert [int(w[0]) for w in philox((0, 0), ([0], [0], [0], [0]))] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def images(key, n, size):
    """Pixels in [-2, 2), about as wide as CLIP's after normalisation."""
    return 4 * Key(key).name("images").uniform(n, 3, size, size) - 2


# Models


def build(seed, gain, embed, vision, text, quick_gelu=True):
    """A CLIP as open_clip starts it, made less regular: gains and biases are not 1 and 0, matrices larger, so that no
    term can hide. All values are those of float16."""
    torch.manual_seed(seed)
    model = CLIP(embed, CLIPVisionCfg(**vision), CLIPTextCfg(**text), quick_gelu=quick_gelu)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim >= 2:
                p.mul_(gain)
            elif p.ndim == 1:
                p.add_(0.1 * torch.randn(p.shape))
            p.copy_(p.half())
    return model


TEXTS = [[1, 5, 9, 2, 0, 0], [1, 7, 0, 0, 0, 0], [1, 3, 3, 8, 4, 0], [1, 6, 2, 0, 0, 0], [1, 9, 8, 7, 6, 5]]


def tokens(context, vocabulary):
    """Texts of different lengths; the end token is the largest id, the rest zeros."""
    out = torch.zeros(len(TEXTS), context, dtype=torch.long)
    for i, ids in enumerate(TEXTS):
        while ids[-1] == 0:
            ids = ids[:-1]
        ids = [vocabulary - 2] + ids + [vocabulary - 1]
        out[i, : len(ids)] = torch.tensor(ids)
    return out


def outputs(image_features, text_features, scale):
    a, b = F.normalize(image_features, dim=-1), F.normalize(text_features, dim=-1)
    return {"image_features": image_features, "text_features": text_features, "logits": scale * a @ b.T}


def openclip_outputs(model, x, t, dtype):
    model = model.to(dtype).eval()
    with torch.no_grad():
        return outputs(model.encode_image(x.to(dtype)), model.encode_text(t), model.logit_scale.exp())


def both(run):
    """Runs in float64 and float32: the results of the first, and how far the second is off."""
    x, y = run(torch.float64), run(torch.float32)
    return {k: v.tolist() for k, v in x.items()} | {"float32": {k: apart(y[k], x[k]) for k in x}}


def apart(got, want):
    """The largest deviation, in units of the root mean square of what is wanted."""
    return ((got.double() - want).abs().max() / want.pow(2).mean().sqrt()).item()


# Mask tuning, written from the paper's equations


class Binarize(torch.autograd.Function):
    """1 where the score is above the threshold, else 0; the gradient passes straight through."""

    @staticmethod
    def forward(ctx, scores, threshold):
        return (scores > threshold).to(scores.dtype)

    @staticmethod
    def backward(ctx, g):
        return g, None


ATTENTION = ("attn.in_proj_weight", "attn.out_proj.weight")
STEM = ("conv1.weight",)
THRESHOLD = 0.005


class Tuning:
    """A masked image encoder with a frozen classifier."""

    def __init__(self, model, dtype, masked, scores, classes):
        self.encoder = model.visual.to(dtype)
        self.weights = {n: p.detach() for n, p in self.encoder.named_parameters() if n.endswith(masked)}
        self.scores = {n: scores(n, w).to(dtype).requires_grad_() for n, w in self.weights.items()}
        self.scale, self.classes = model.logit_scale.exp().to(dtype), classes.to(dtype)

    def logits(self, x, weights):
        f = functional_call(self.encoder, weights, (x,))
        return self.scale * F.normalize(f, dim=-1) @ self.classes.T

    def losses(self, x, labels, penalty):
        """Cross-entropy, without and with the penalty, and soft cross-entropy to the unmasked encoder."""
        student = self.logits(x, {n: w * Binarize.apply(self.scores[n], THRESHOLD) for n, w in self.weights.items()})
        with torch.no_grad():
            teacher = self.logits(x, self.weights)
        ce = F.cross_entropy(student, labels)
        norms = sum(s.norm() for s in self.scores.values())
        return ce, ce + penalty * norms, F.cross_entropy(student, teacher.softmax(dim=-1))

    def gradients(self, loss):
        return dict(zip(self.scores, torch.autograd.grad(loss, list(self.scores.values()), retain_graph=True)))


def purity(a, b, eps):
    size = a.abs() + b.abs() + eps
    return torch.where(size == 0, 1, (1 + a.sign() * (a + b) / size) / 2)


def sketch(x):
    """What is kept of a large tensor: elements at equal distances, and projections on eight random directions, in which
    an error anywhere shows."""
    flat = x.detach().double().reshape(-1)
    rays = [Key(99).name("projection").fold(i).uniform(flat.numel()) - 0.5 for i in range(8)]
    return {
        "rms": flat.pow(2).mean().sqrt().item(),
        "samples": flat[:: flat.numel() // 32][:32].tolist(),
        "projections": [(flat @ r).item() for r in rays],
    }


def sketch_apart(got, want):
    """As apart, as far as the sketches tell."""
    x, y = sketch(got), sketch(want)
    samples = max(abs(a - b) for a, b in zip(x["samples"], y["samples"]))
    projections = max(abs(a - b) for a, b in zip(x["projections"], y["projections"])) / math.sqrt(want.numel() / 12)
    return max(samples, projections) / y["rms"]


def classes_of(model, t):
    with torch.no_grad():
        return F.normalize(model.double().encode_text(t), dim=-1)


def some_off(name, w):
    """Scores of which a tenth is below the threshold."""
    u = Key(17).name("off").name("visual." + name).uniform(*w.shape)
    return torch.where(u < 0.1, 0.001, torch.full_like(u, 0.01))


def gradient_fixture(model, x, labels, classes, masked):
    def run(dtype):
        t = Tuning(model, dtype, masked, some_off, classes)
        ce, _, kd = t.losses(x.to(dtype), labels, 0)
        return ce.item(), kd.item(), t.gradients(ce), t.gradients(kd)

    ce, kd, a, b = run(torch.float64)
    ce32, kd32, a32, b32 = run(torch.float32)
    return {
        "ce": ce,
        "kd": kd,
        "tensors": {"visual." + n: {"ce": sketch(a[n]), "kd": sketch(b[n])} for n in a},
        "float32": {
            "loss": max(abs(ce32 - ce), abs(kd32 - kd)),
            "gradients": max(sketch_apart(u[n], v[n]) for u, v in ((a32, a), (b32, b)) for n in a),
        },
    }


STEPS, BATCH = 10, 4


def tune(model, dtype, x, labels, classes, masked, lr, seed, leak, eps, penalty):
    """Ten steps, as a careful user writes them. Yields what each saw and did.

    In float64 both gradients are always taken. In float32 the second is left out as long as no weight is off, because
    teacher and student are then the same and all that could come out is rounding noise."""
    t = Tuning(model, dtype, masked, lambda n, w: torch.full(w.shape, 0.01, dtype=torch.float64), classes)
    optimizer = torch.optim.Adam(t.scores.values(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    x = x.to(dtype)
    for step in range(STEPS):
        lo = step * BATCH % len(x)
        off = sum((s <= THRESHOLD).sum().item() for s in t.scores.values())
        ce, task, kd = t.losses(x[lo : lo + BATCH], labels[lo : lo + BATCH], penalty)
        a, b = t.gradients(task), t.gradients(kd)
        if not off and dtype == torch.float32:
            b = {n: torch.zeros_like(g) for n, g in b.items()}
        gap, kept = {}, {}
        for n, s in t.scores.items():
            u = Key(seed).name("rmt").fold(step).name("visual." + n).uniform(*s.shape).to(dtype)
            gap[n] = purity(a[n], b[n], eps) - u
            kept[n] = gap[n] > 0 if leak else torch.ones_like(s, dtype=torch.bool)
            s.grad = torch.where(kept[n], a[n], (1 - leak) * a[n])
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        schedule.step()
        yield {
            "off_before": off, "ce": ce.item(), "kd": kd.item(), "a": a, "b": b, "gap": gap, "kept": kept, "lr": rate,
            "scores": {n: s.detach().clone() for n, s in t.scores.items()}, "weights": t.weights,
        }


SIGMAS = 5


def rounding(narrow, wide, w):
    """The standard deviation of the rounding error of a score's gradient. The gradient of the masked weight has about
    the same error everywhere; that of the score is this times the weight."""
    return w.abs() * ((narrow.double() - wide) / w).pow(2).mean().sqrt()


def tuning_fixture(name, model, x, labels, classes, masked, lr, seed, leak, eps, penalty):
    """A run in float64, with the number of its decisions (drop or keep, on or off) that rounding to float32 may turn,
    step by step and tensor by tensor: those closer to call than SIGMAS standard deviations of the rounding error."""
    args = (x, labels, classes, masked, lr, seed, leak, eps, penalty)
    wide, narrow = list(tune(model, torch.float64, *args)), list(tune(model, torch.float32, *args))
    variance = {n: 0 for n in wide[0]["scores"]}  # of the rounding error of each score so far
    steps = []
    for p, q in zip(wide, narrow):
        differ = p["off_before"] > 0  # student and teacher
        step = {"ce": p["ce"], "kd": p["kd"] if differ else None, "tensors": {}}
        for n, a in p["a"].items():
            b, w, s = p["b"][n], p["weights"][n].double(), p["scores"][n]
            da, db = rounding(q["a"][n], a, w), rounding(q["b"][n], b, w) if differ else 0
            # |∂P/∂a| and |∂P/∂b| are at most 1/(|a|+|b|+eps). Without conflict and eps P is 1, and U is not. At
            # a = 0 it jumps.
            doubtful = p["gap"][n].abs() <= SIGMAS * (da + db) / (a.abs() + b.abs() + eps)
            if eps == 0:
                doubtful &= (a * b < 0) & differ
            doubtful |= (a.abs() <= SIGMAS * da) & differ
            doubtful &= leak > 0
            # Adam moves a score by at most about the rate, and in error by as much of it as the gradient is in error;
            # and the score itself, near 0.01, is rounded to 2⁻³⁰.
            error = torch.where(doubtful, 1, (da / a.abs()).clamp(max=1))
            variance[n] = variance[n] + (p["lr"] * error) ** 2 + 2.0**-60
            edge = (s - THRESHOLD).abs() <= SIGMAS * variance[n].sqrt()
            assert not ((p["kept"][n] != q["kept"][n]) & ~doubtful).any(), "float32 decides what should not be in doubt"
            assert not (((s > THRESHOLD) != (q["scores"][n] > THRESHOLD)) & ~edge).any(), "float32 turns what should be safe"
            step["tensors"]["visual." + n] = {
                "kept": p["kept"][n].sum().item(), "kept_in_doubt": doubtful.sum().item(),
                "off": (s <= THRESHOLD).sum().item(), "off_in_doubt": edge.sum().item(),
                "sum": s.sum().item(),
            }
        steps.append(step)
    doubts = [sum(t[k] for s in steps for t in s["tensors"].values()) for k in ("kept_in_doubt", "off_in_doubt")]
    off = [sum(t["off"] for t in s["tensors"].values()) for s in steps]
    print(f"{name}: {doubts} of {STEPS * sum(v.numel() for v in variance.values())} decisions in doubt; off: {off}")
    assert off[-1] > 1000, "too few weights are off to test anything"
    return {
        "name": name, "stem": masked != ATTENTION, "lr": lr, "seed": seed, "leak": leak, "eps": eps, "penalty": penalty,
        "steps": steps,
        "scores": {"visual." + n: sketch(s) for n, s in wide[-1]["scores"].items()},
        "float32": {
            "loss": max(abs(p[k] - q[k]) for p, q in zip(wide, narrow) for k in ("ce", "kd")),
            "sum": max((abs(q["scores"][n].double().sum() - s.sum()) / s.sum()).item()
                       for p, q in zip(wide, narrow) for n, s in p["scores"].items()),
            "scores": max(sketch_apart(narrow[-1]["scores"][n], s) for n, s in wide[-1]["scores"].items()),
        },
    }


# The vectors of golden.json, computed here once more


def hash_fill(n, k):
    m = 0xFFFFFFFF
    x = ((np.arange(1, n + 1, dtype=np.uint64) * np.uint64(2654435761)) & np.uint64(m)) ^ np.uint64(k * 2246822519 & m)
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(m)
    x ^= x >> np.uint64(16)
    return torch.from_numpy(x.astype(np.float64) / 2**31 - 1)


def check_golden():
    """Holds golden.json, which was computed by another program, against open_clip."""
    golden = json.loads((HERE / "golden.json").read_text())
    model = CLIP(8, CLIPVisionCfg(layers=2, width=128, patch_size=4, image_size=16),
                 CLIPTextCfg(context_length=8, vocab_size=16, width=128, heads=2, layers=2), quick_gelu=True).double()
    state = model.state_dict()
    with torch.no_grad():
        for k, name in enumerate(sorted(state), 1):
            p = state[name]
            s = hash_fill(p.numel(), k).reshape(p.shape)
            if name == "logit_scale":
                s = torch.tensor(math.log(10), dtype=torch.float64)
            elif ".ln_" in "." + name and name.endswith("weight"):
                s = 1 + 0.02 * s
            else:
                s = s * math.sqrt(3 * p.shape[0] / p.numel()) if p.ndim >= 2 else 0.2 * s
            p.copy_(s)
    x = 1.5 * hash_fill(2 * 3 * 16 * 16, 1001).reshape(2, 3, 16, 16)
    t = torch.tensor(golden["tokens"])
    model.eval()
    with torch.no_grad():
        got = outputs(model.encode_image(x), model.encode_text(t), model.logit_scale.exp())
    worst = max(apart(got[k], torch.tensor(golden[k], dtype=torch.float64)) for k in got)

    def scores(name, w):
        i = torch.arange(w.numel())
        return torch.where((7 * i + 3) % 10 < 8, 0.01, torch.full_like(w.flatten(), 0.001)).reshape(w.shape)

    want = golden["mask_step"]
    tuning = Tuning(model, torch.float64, STEM + ATTENTION, scores, F.normalize(got["text_features"], dim=-1))
    ce, task, kd = tuning.losses(x, torch.tensor(golden["labels"]), 1e-4)
    a, b, c = tuning.gradients(ce), tuning.gradients(kd), tuning.gradients(task)

    def relative(got, want):
        return abs(got - want) / abs(want)

    worst = max(worst, relative(ce.item(), want["ce"]), relative(kd.item(), want["kd"]),
        relative((task - ce).item(), want["penalty"]))
    for n, s in tuning.scores.items():
        w = want["tensors"]["visual." + n]
        p = purity(c[n], b[n], 1e-8)
        u = (0.6180339887498949 * torch.arange(1, s.numel() + 1, dtype=torch.float64)).frac().reshape(s.shape)
        keep = p > u
        assert keep.sum().item() == w["kept"], n
        worst = max(worst, relative(a[n].norm().item(), w["ce_norm"]), relative(b[n].norm().item(), w["kd_norm"]),
                    relative(p.mean().item(), w["purity_mean"]))
        for leak, r in w["leak"].items():
            g = torch.where(keep, c[n], (1 - float(leak)) * c[n])
            m = s.detach().clone().requires_grad_()
            m.grad = g
            torch.optim.Adam([m], lr=8e-5).step()
            worst = max(worst, relative(g.norm().item(), r["norm"]), relative(m.sum().item(), r["sum"]))
    print(f"golden.json: largest relative deviation {worst:.1e}")
    assert worst < 1e-10


def write(name, value):
    (OUT / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def main():
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    check_golden()
    versions = {"torch": torch.__version__, "open_clip": open_clip.__version__,
        "transformers": transformers.__version__}

    vision = dict(layers=2, width=128, head_width=64, patch_size=4, image_size=16)
    text = dict(context_length=16, vocab_size=128, width=64, heads=1, layers=2)
    model = build(1, 2, 64, vision, text)
    weights = {n: p.detach().half().contiguous().clone() for n, p in model.state_dict().items()}
    safetensors.torch.save_file(weights, OUT / "openclip.safetensors")
    gelu = build(1, 2, 64, vision, text, quick_gelu=False)
    gelu.load_state_dict(model.state_dict())
    x, t = images(1, 4, 16), tokens(16, 128)
    write("openclip.json", {
        "versions": versions, "images": 4, "tokens": t.tolist(),
        "quickgelu": both(lambda d: openclip_outputs(model, x, t, d)),
        "gelu": both(lambda d: openclip_outputs(gelu, x, t, d)),
    })
    labels = torch.tensor([0, 3, 1, 4])
    classes = classes_of(model, t)
    write("gradients.json", {
        "versions": versions, "images": 4, "labels": labels.tolist(), "classes": classes.tolist(),
        "scale": model.double().logit_scale.exp().item(),
        "paper": gradient_fixture(model, x, labels, classes, ATTENTION),
        "released": gradient_fixture(model, x, labels, classes, STEM + ATTENTION),
    })

    vision = dict(layers=2, width=64, head_width=32, patch_size=4, image_size=16)
    text = dict(context_length=12, vocab_size=64, width=64, heads=2, layers=1)
    small = build(2, 2, 32, vision, text)
    hf = to_huggingface(small, vision, text)
    hf.half().save_pretrained(OUT / "huggingface")
    (OUT / "huggingface" / "README.md").unlink(missing_ok=True)
    x, t = images(2, 4, 16), tokens(12, 64)
    fixture = both(lambda d: huggingface_outputs(hf, x, t, d))
    same = openclip_outputs(small, x, t, torch.float64)
    for k, v in same.items():
        assert apart(torch.tensor(fixture[k], dtype=torch.float64), v) < 1e-12, k
    write("huggingface.json", {"versions": versions, "images": 4, "tokens": t.tolist(), "quickgelu": fixture})

    x, labels = images(3, 3 * BATCH, 16), torch.arange(3 * BATCH) * 7 % 5
    classes = classes_of(small, t)
    fixed = (small, x, labels, classes)
    write("tuning.json", {
        "versions": versions, "images": len(x), "labels": labels.tolist(), "classes": classes.tolist(), "batch": BATCH,
        "scale": small.double().logit_scale.exp().item(),
        "runs": [
            tuning_fixture("amt paper", *fixed, ATTENTION, lr=1.3e-3, seed=1, leak=0, eps=0, penalty=0),
            tuning_fixture("amt released", *fixed, STEM + ATTENTION, lr=1.3e-3, seed=1, leak=0, eps=1e-8, penalty=1e-4),
            tuning_fixture("r-amt paper", *fixed, ATTENTION, lr=1.3e-3, seed=1, leak=1, eps=0, penalty=0),
            tuning_fixture("r-amt released", *fixed, STEM + ATTENTION, lr=1.3e-3, seed=2, leak=0.3, eps=1e-8,
                penalty=1e-4),
        ],
    })
    for f in OUT.rglob("*"):
        f.chmod(0o755 if f.is_dir() else 0o644)  # safetensors files are made for the owner alone
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes")


def to_huggingface(model, vision, text):
    """The same weights in transformers' classes."""
    end = text["vocab_size"] - 1
    config = transformers.CLIPConfig(
        vision_config=dict(hidden_size=vision["width"], intermediate_size=4 * vision["width"],
            num_hidden_layers=vision["layers"],
                           num_attention_heads=vision["width"] // vision["head_width"], image_size=vision["image_size"],
                           patch_size=vision["patch_size"], hidden_act="quick_gelu"),
        text_config=dict(hidden_size=text["width"], intermediate_size=4 * text["width"],
            num_hidden_layers=text["layers"],
                         num_attention_heads=text["heads"], vocab_size=text["vocab_size"], hidden_act="quick_gelu",
                         max_position_embeddings=text["context_length"], bos_token_id=end - 1, eos_token_id=end,
                         pad_token_id=0),
        projection_dim=model.text_projection.shape[1])
    hf = transformers.CLIPModel(config)
    src = {n: p.detach().float() for n, p in model.state_dict().items()}
    dst = {"logit_scale": src["logit_scale"]}

    def tower(ours, theirs, layers):
        for i in range(layers):
            a, b = f"{ours}transformer.resblocks.{i}.", f"{theirs}.encoder.layers.{i}."
            for s in ("weight", "bias"):
                for j, part in enumerate(src[f"{a}attn.in_proj_{s}"].chunk(3)):
                    dst[f"{b}self_attn.{'qkv'[j]}_proj.{s}"] = part
                for u, v in (("attn.out_proj", "self_attn.out_proj"), ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"),
                             ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                    dst[f"{b}{v}.{s}"] = src[f"{a}{u}.{s}"]

    tower("visual.", "vision_model", vision["layers"])
    tower("", "text_model", text["layers"])
    for s in ("weight", "bias"):
        dst[f"vision_model.pre_layrnorm.{s}"] = src[f"visual.ln_pre.{s}"]
        dst[f"vision_model.post_layernorm.{s}"] = src[f"visual.ln_post.{s}"]
        dst[f"text_model.final_layer_norm.{s}"] = src[f"ln_final.{s}"]
    dst |= {
        "vision_model.embeddings.class_embedding": src["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": src["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": src["visual.positional_embedding"],
        "visual_projection.weight": src["visual.proj"].T,
        "text_model.embeddings.token_embedding.weight": src["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": src["positional_embedding"],
        "text_projection.weight": src["text_projection"].T,
    }
    hf.load_state_dict(dst, strict=True)
    return hf


def huggingface_outputs(hf, x, t, dtype):
    hf = hf.to(dtype).eval()
    with torch.no_grad():
        r = hf(input_ids=t, pixel_values=x.to(dtype))
        image = hf.visual_projection(hf.vision_model(pixel_values=x.to(dtype)).pooler_output)
        text = hf.text_projection(hf.text_model(input_ids=t).pooler_output)
    got = outputs(image, text, hf.logit_scale.exp())
    assert torch.allclose(got["logits"], r.logits_per_image, rtol=1e-4, atol=1e-4)
    return got


if __name__ == "__main__":
    main()
