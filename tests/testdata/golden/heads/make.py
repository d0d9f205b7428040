#!/usr/bin/env python3
"""Makes the vectors of this folder: heads on features, from the formulas of their papers and released programs, by
numpy, PyTorch and scikit-learn. Each number comes from float64; beside it stands, as "float32", how far the same
lines are off in float32, relative to the root mean square.

    pip install numpy==2.4.6 torch==2.15.0 scikit-learn==1.9.1
    python make.py
"""
import json, math, pathlib, struct, warnings
import numpy as np, torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
D, C, SHOTS, PASSES = 16, 4, 4, 3


def write(name, result, float32=None):
    """result(dtype) is what there is to say; its numbers are compared with those of float32."""
    want = result(torch.float64)
    yard = {}

    def walk(path, a, b):
        if isinstance(a, dict):
            for k in a:
                walk(f"{path}.{k}" if path else k, a[k], b[k])
        elif isinstance(a, torch.Tensor):
            rms = a.square().mean().sqrt().item() or 1
            yard[path] = ((a - b.double()).abs().max() / rms).item()

    walk("", want, result(torch.float32))
    plain = lambda v: {k: plain(x) for k, x in v.items()} if isinstance(v, dict) else v.tolist() if isinstance(v,
        torch.Tensor) else v
    doc = plain(want)
    doc["float32"] = yard
    (HERE / name).write_text(json.dumps(doc, separators=(",", ":")) + "\n")


# Features: classes are clouds, passes are the same images again.
rng = np.random.default_rng(20261129)
centre = rng.normal(size=(C, D))


def cloud(n, wide=0.9):
    y = np.arange(n) % C
    return (centre[y] + wide * rng.normal(size=(n, D))).astype(np.float32), y.astype(np.int32)


train, train_labels = cloud(C * SHOTS)
order = np.argsort(train_labels, kind="stable")
train, train_labels = train[order], train_labels[order]
text = centre + 1.2 * rng.normal(size=(C, D))
data = {
    "train_passes": (train[None] + 0.4 * rng.normal(size=(PASSES, C * SHOTS, D))).astype(np.float32),
    "train_labels": train_labels,
    "text": (text / np.linalg.norm(text, axis=1, keepdims=True)).astype(np.float32),
    "new_text": None,
}
new = rng.normal(size=(3, D)) + 0.5 * centre[:3]
data["new_text"] = (new / np.linalg.norm(new, axis=1, keepdims=True)).astype(np.float32)
for name, n in (("val", 16), ("test", 24), ("probe_train", 44), ("probe_val", 20)):
    data[name], data[name + "_labels"] = cloud(n, 1.2)
blob, head = b"", {}
for k in sorted(data, key=lambda k: (data[k].dtype != np.float32, k)):
    b = data[k].tobytes()
    head[k] = {"dtype": "F32" if data[k].dtype == np.float32 else "I32", "shape": list(data[k].shape),
        "data_offsets": [len(blob), len(blob) + len(b)]}
    blob += b
h = json.dumps(head, separators=(",", ":")).encode()
h += b" " * (-(len(h) + 8) % 64)
(HERE / "features.safetensors").write_bytes(struct.pack("<Q", len(h)) + h + blob)

t = lambda name, dtype: torch.tensor(data[name]).to(dtype)
labels = lambda name: torch.tensor(data[name + "_labels"]).long()
unit = lambda x: x / x.norm(dim=-1, keepdim=True)
right = lambda z, name: int((z.argmax(1) == labels(name)).sum())


# Tip-Adapter and Tip-Adapter-F
def tip(dtype):
    scale, step, beta0, alpha0, lr, epochs = (7, 3), (40, 10), 1.0, 1.17, 1e-3, 4
    T, y = t("text", dtype), labels("train")
    L = F.one_hot(y, C).to(dtype)
    V, X = unit(t("val", dtype)), unit(t("test", dtype))
    keys = unit(t("train_passes", dtype).mean(0))
    logits = lambda f, k, b, a: 100 * f @ T.T + a * torch.exp(-b * (1 - f @ k.T)) @ L

    def search(k):
        best, all = (0, 0, 0), []
        for i in range(step[0]):
            b = i * (scale[0] - 0.1) / step[0] + 0.1
            for j in range(step[1]):
                a = j * (scale[1] - 0.1) / step[1] + 0.1
                n = right(logits(V, k, b, a), "val")
                all.append(n)
                if n > best[0]:
                    best = (n, b, a)
        return all, best

    grid, best = search(keys)
    f = unit(t("train_passes", dtype)[0])
    batches = [[(7 * i + 3) % 16 for i in range(10)], [(7 * i + 3) % 16 for i in range(10, 16)]]
    K = torch.nn.Parameter(keys.clone())
    opt = torch.optim.AdamW([K], lr=lr, eps=1e-4, weight_decay=0.01)
    cos = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs * 2)
    losses, rates, gradient, after1, kept, top = [], [], None, None, None, -1
    for e in range(epochs):
        for b in batches:
            loss = F.cross_entropy(logits(f[b], K, beta0, alpha0), y[b])
            opt.zero_grad()
            loss.backward()
            losses.append(loss.item())
            rates.append(opt.param_groups[0]["lr"])
            gradient = K.grad.clone() if gradient is None else gradient
            opt.step()
            cos.step()
            after1 = K.detach().clone() if after1 is None else after1
        n = right(logits(X, K.detach(), beta0, alpha0), "test")
        if n > top:
            top, kept, step_kept = n, K.detach().clone(), 2 * (e + 1)
    last = K.detach()
    gridF, bestF = search(kept)
    s = lambda g, b: {"correct": g, "best_beta": torch.tensor(b[1], dtype=dtype),
        "best_alpha": torch.tensor(b[2], dtype=dtype)}
    return {
        "cache_keys": keys, "cache_values_onehot_of": y.tolist(),
        "search": s(grid, best) | {"correct_best": best[0], "float32_differs_at": []},
        "val_logits_first_at_init": logits(V, keys, beta0, alpha0)[:4],
        "test_logits_first_at_best": logits(X, keys, best[1], best[2])[:4],
        "test_correct": {"zero_shot": right(100 * X @ T.T, "test"),
            "tip_at_best": right(logits(X, keys, best[1], best[2]), "test"),
            "tip_at_init": right(logits(X, keys, beta0, alpha0), "test")},
        "F": {"batches": batches, "pass": 0, "losses": {str(i): torch.tensor(v, dtype=dtype)
            for i, v in enumerate(losses)}, "lr": rates,
              "adamw": {"betas": [0.9, 0.999], "eps": 1e-4, "weight_decay": 0.01}, "first_gradient": gradient,
              "keys_after_1": after1, "keys_after_last": last,
              "steps": epochs * 2, **s(gridF, bestF), "kept_keys": kept, "kept_is_step": step_kept,
              "test_logits_first_at_last_keys_init": logits(X, last, beta0, alpha0)[:4], "float32_differs_at": []},
        "settings": {"aug": PASSES, "scale": list(scale), "step": list(step), "lr": lr, "epochs": epochs,
            "init": [beta0, alpha0]},
    }


# Gaussian discriminant analysis, of base classes and of new ones
def gaussians(mu, inv, dtype):
    return inv @ mu.T, -math.log(len(mu)) - torch.einsum("nd,dc,nc->n", mu, inv, mu) / 2


def gda(dtype):
    p = 2
    x, y = unit(t("train_passes", dtype)[:p]).reshape(-1, D), labels("train").repeat(p)
    T = t("text", dtype)
    mu = torch.stack([x[y == c].mean(0) for c in range(C)])
    cov = torch.cat([x[y == c] - mu[c] for c in range(C)]).T.cov()
    inv = D * torch.linalg.pinv((len(x) - 1) * cov + cov.trace() * torch.eye(D, dtype=dtype))
    W, b = gaussians(mu, inv, dtype)
    V, X = unit(t("val", dtype)), unit(t("test", dtype))
    alphas = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
    logits = lambda f, a: 100 * f @ T.T + a * (f @ W + b)
    n = [right(logits(V, a), "val") for a in alphas]
    best = alphas[n.index(max(n))]
    return {"passes": p, "means": mu, "inverse_covariance": inv, "W": W, "b": b, "alpha_grid": alphas, "val_correct": n,
        "best_alpha": best,
            "test_logits_first": logits(X, best)[:4], "test_correct": right(logits(X, best), "test"),
            "val_logits_first_at_alpha_1": logits(V, 1.0)[:4]}


def gda_new(dtype):
    x, y = unit(t("train_passes", dtype)).reshape(-1, D), labels("train").repeat(PASSES)
    T, N, k, same = t("text", dtype), t("new_text", dtype), 24, 6
    mu = torch.stack([x[y == c].mean(0) for c in range(C)])
    inv = torch.linalg.pinv(torch.stack([x[y == c].T.cov() for c in range(C)]).mean(0))
    W, b = gaussians(mu, inv, dtype)
    near = [x[torch.topk(w @ x.T, k)[1]] for w in N]
    mean = torch.stack([torch.cat([v, w.repeat(same, 1)]).mean(0) for v, w in zip(near, N)])
    covs = [(v - w).T @ (v - w) / (k - 1) for v, w in zip(near, N)]
    invN = torch.stack([D * torch.linalg.pinv((k - 1) * s + s.trace() * torch.eye(D, dtype=dtype))
        for s in covs]).mean(0)
    WN, bN = gaussians(mean, invN, dtype)
    X = unit(t("test", dtype))
    return {"nearest": k, "text_same": same, "alpha": 0.7, "base_inverse": inv,
        "base_logits": 100 * X @ T.T + 0.7 * (X @ W + b),
            "new_means": mean, "new_inverse": invN, "new_logits": 100 * X @ N.T + 0.7 * (X @ WN + bN)}


# LP++
def lpp(dtype):
    x, y, T = unit(t("train_passes", dtype)[0]), labels("train"), t("text", dtype)
    N, one, epochs = len(x), F.one_hot(y, C).to(dtype), 30
    bias0 = [0.1, -0.2, 0.05, 0.15]
    W, b = torch.nn.Parameter(one.T @ x), torch.nn.Parameter(torch.tensor(bias0, dtype=dtype))
    xt = x @ T.T
    lr = 4 * N / torch.linalg.eigvalsh(x.T @ x).max()
    lra = N / (4 * xt.square().sum(0).max())
    a0 = 250 * torch.stack([xt[y == c, c].mean() for c in range(C)]).mean()
    alpha = torch.full((C,), a0.item(), dtype=dtype, requires_grad=True)
    opt = torch.optim.SGD([W, b], lr.item(), momentum=0.9)
    out = {"lr_w": lr, "lr_alpha": lra, "alpha_init": a0, "weight_init": W.detach().clone(), "bias_init": bias0,
        "momentum": 0.9, "losses": {},
           "alpha_gradient_sum_after": {}, "alpha_before_step": {}, "weight_after": {}, "bias_after": {},
           "epochs": epochs}
    V, X, best = unit(t("val", dtype)), unit(t("test", dtype)), -1
    for e in range(1, epochs + 1):
        if e in (1, 10, 20, 30):
            out["alpha_before_step"][str(e)] = alpha.detach().clone()
        loss = F.cross_entropy(x @ W.T + b + alpha * xt, y)
        opt.zero_grad()
        loss.backward()
        out["losses"][str(e - 1)] = loss.detach()
        if e == 1:
            out["first_gradient_weight"], out["first_gradient_bias"] = W.grad.clone(), b.grad.clone()
        opt.step()
        if e % 10 == 0:
            alpha.data -= lra * alpha.grad
        if e in (1, 10, 20, 30):
            out["alpha_gradient_sum_after"][str(e)] = alpha.grad.clone()
            out["weight_after"][str(e)], out["bias_after"][str(e)] = W.detach().clone(), b.detach().clone()
        with torch.no_grad():
            n = right(V @ W.T + b + alpha * (V @ T.T), "val")
            if n >= best:
                best, acc = n, 100 * right(X @ W.T + b + alpha * (X @ T.T), "test") / len(X)
    return out | {"alpha_last": alpha.detach(), "test_accuracy_reported": acc}


# lpclip
def probe():
    tr, trl, va, val = data["probe_train"].astype(np.float64), data["probe_train_labels"], data["probe_val"].astype(np.float64), data["probe_val_labels"]
    te, tel = data["test"].astype(np.float64), data["test_labels"]
    grid, runs = [1e6, 1e4, 1e2, 1, 1e-2, 1e-4, 1e-6], []
    fit = lambda c, x, y, **k: LogisticRegression(solver="lbfgs", max_iter=k.pop("max_iter", 1000), C=c, **k).fit(x, y)
    for shots in (1, 4):
        for seed in (1, 2):
            np.random.seed(seed)
            at = [int(i) for c in range(C) for i in np.random.choice(np.where(trl == c)[0], shots, replace=False)]
            av = [int(i) for c in range(C) for i in np.random.choice(np.where(val == c)[0], min(shots, 4),
                replace=False)]
            score = lambda m, x, y: int((m.predict(x) == y).sum())
            coarse = [score(fit(c, tr[at], trl[at]), va[av], val[av]) for c in grid]
            left, right_, rounds = 0.1 * grid[int(np.argmax(coarse))], 10 * grid[int(np.argmax(coarse))], []
            for _ in range(8):
                a, b = fit(left, tr[at], trl[at]), fit(right_, tr[at], trl[at])
                na, nb = score(a, va[av], val[av]), score(b, va[av], val[av])
                r = {"C_left": left, "C_right": right_, "val_correct_left": na, "val_correct_right": nb,
                    "C_final": right_ if na < nb else left, "test_correct": score(b if na < nb else a, te, tel)}
                rounds.append(r)
                middle = 0.5 * (np.log10(right_) + np.log10(left))
                left, right_ = (10**middle, 10 ** np.log10(right_)) if na < nb else (10 ** np.log10(left), 10**middle)
            runs.append({"shots": shots, "seed": seed, "train_index": at, "val_index": av, "coarse_C": grid,
                "coarse_val_correct": coarse, "rounds": rounds})
    x, y = tr[runs[-1]["train_index"]], trl[runs[-1]["train_index"]]

    def loss(m):
        p = m.predict_proba(x)
        return -np.log(p[np.arange(len(y)), y]).sum()

    fits = []
    for c in (1, 1e-2, 1e-4):
        m = fit(c, x, y, tol=1e-12, max_iter=100000)
        other = LogisticRegression(solver="newton-cg", C=c, tol=1e-12, max_iter=10000).fit(x, y)
        quick = fit(c, x, y)
        rms = np.sqrt((m.coef_**2).mean())
        fits.append({"C": c, "objective_half_w2_plus_C_sum_loss": 0.5 * (m.coef_**2).sum() + c * loss(m),
            "loss_sum": loss(m), "w2": (m.coef_**2).sum(), "coef": m.coef_.tolist(),
                     "intercept_minus_mean": (m.intercept_ - m.intercept_.mean()).tolist(),
                     "newton_apart": np.abs(m.coef_ - other.coef_).max() / rms,
                     "sklearn_default_tolerance_apart": np.abs(quick.coef_ - m.coef_).max() / rms,
                     "sklearn_default_iterations": int(quick.n_iter_[0])})
    two = []
    for c in (1.0, 1e-2):
        m = fit(c, x[y < 2], y[y < 2], tol=1e-12, max_iter=100000)
        two.append({"C": c, "coef_shape": list(m.coef_.shape), "coef": m.coef_.tolist(),
            "intercept": m.intercept_.tolist()})
    doc = {"sklearn": __import__("sklearn").__version__, "runs": runs,
        "optima": {"of_run": {"shots": 4, "seed": 2}, "fits": fits},
        "two_classes": {"note": "labels 0 and 1 of the same run", "fits": two}, "numpy_choice_is_fisher_yates": True}
    (HERE / "probe.json").write_text(json.dumps(doc, separators=(",", ":")) + "\n")


def lists(name):
    """Some fields are lists in the public vectors."""
    doc = json.loads((HERE / name).read_text())
    for of in (doc, doc.get("F", {})):
        if isinstance(of.get("losses"), dict):
            of["losses"] = list(of["losses"].values())
    (HERE / name).write_text(json.dumps(doc, separators=(",", ":")) + "\n")


write("tip.json", tip)
write("gda.json", gda)
write("gda-new.json", gda_new)
write("lpplus.json", lpp)
lists("tip.json")
lists("lpplus.json")
probe()
