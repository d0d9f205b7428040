#!/usr/bin/env python3
"""Heads on cached features beside what others use for them, 100 classes of 16 images, features of 512 numbers:

  the linear probe's whole search for C (lpclip: seven values, eight rounds of two) beside scikit-learn's, on the same features
  an epoch of Tip-Adapter-F beside PyTorch, written with care: everything in float32 on tensors made once, fused AdamW, eager and
  compiled; and beside an epoch of nothing but its two large products, which it cannot be faster than

    pip install torch numpy scikit-learn
    python tests/peers/heads.py [-rounds 5] [-threads 2] [-only probe,tip]

Rounds go in turn; of each side the median is shown, with the least and the most, in seconds of processor time and by
the clock: on a machine that others use the former says more. For the probe it shows the sum of all minima found and
what was chosen, which must agree.
"""
import argparse, os, pathlib, re, resource, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-rounds", type=int, default=5)
    p.add_argument("-threads", type=int, default=os.cpu_count())
    p.add_argument("-only", default="probe,tip")
    p.add_argument("-avx2", action="store_true", help="both sides without AVX-512")
    return p.parse_args()


def child(command, env):
    """Runs a command; returns its output, its processor time and how long it took."""
    before, t = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    out = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT)
    if out.returncode:
        sys.exit(out.stdout + out.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - t


SKLEARN = r"""
import sys, time, warnings, numpy as np
from sklearn.linear_model import LogisticRegression
warnings.filterwarnings("ignore")
n, v, d, c = 1600, 400, 512, 100
x = np.fromfile(sys.argv[1], np.float32).reshape(-1, d).astype(np.float64)
y, yv = np.arange(n) % c, np.arange(v) % c
train, val = x[:n], x[n:]
objectives, evaluations = 0.0, 0
def fit(C):
    global objectives, evaluations
    m = LogisticRegression(solver="lbfgs", max_iter=1000, C=C).fit(train, y)
    z = train @ m.coef_.T + m.intercept_
    z -= z.max(1, keepdims=True)
    objectives += (np.log(np.exp(z).sum(1)) - z[np.arange(n), y]).mean() + (m.coef_**2).sum() / (2 * C * n)
    evaluations += m.n_iter_[0]
    return int((m.predict(val) == yv).sum())
cpu, wall = time.process_time(), time.monotonic()
grid = [1e6, 1e4, 1e2, 1, 1e-2, 1e-4, 1e-6]
acc = [fit(C) for C in grid]
peak = grid[int(np.argmax(acc))]
left, right = 0.1 * peak, 10 * peak
for _ in range(8):
    a, b = fit(left), fit(right)
    best, correct = (right, b) if a < b else (left, a)
    middle = 10 ** (0.5 * (np.log10(left) + np.log10(right)))
    left, right = (middle, right) if a < b else (left, middle)
print(time.process_time() - cpu, time.monotonic() - wall, evaluations, objectives, np.log10(best), correct)
"""

TORCH = r"""
import sys, time, torch
import torch.nn.functional as F
torch.set_num_threads(int(sys.argv[1]))
compiled, epochs = sys.argv[2] == "compiled", int(sys.argv[3])
n, d, c, batch, alpha, beta = 1600, 512, 100, 256, 1.17, 1.0
g = torch.Generator().manual_seed(1)
f = F.normalize(torch.randn(n, d, generator=g), dim=1)
y = torch.arange(n) % c
T = F.normalize(torch.randn(c, d, generator=g), dim=1)
L = F.one_hot(y, c).float()
K = torch.nn.Parameter(f.clone())
opt = torch.optim.AdamW([K], lr=1e-3, eps=1e-4, fused=True)
def loss_of(x, labels):
    a = x @ K.T
    return F.cross_entropy(100.0 * (x @ T.T) + alpha * (torch.exp(beta * (a - 1)) @ L), labels)
step = torch.compile(loss_of) if compiled else loss_of
def epoch():
    order = torch.randperm(n)
    for b in order.split(batch):
        loss = step(f[b], y[b])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
for _ in range(3): epoch()
cpu, wall = time.process_time(), time.monotonic()
for _ in range(epochs): epoch()
print((time.process_time() - cpu) / epochs, (time.monotonic() - wall) / epochs)
"""


def show(name, runs):
    cpu, wall = sorted(r[0] for r in runs), sorted(r[1] for r in runs)
    print(f"  {name:34s} {statistics.median(cpu):9.4f} s of processors ({cpu[0]:.4f} to {cpu[-1]:.4f}), {statistics.median(wall):9.4f} s by the clock ({wall[0]:.4f} to {wall[-1]:.4f})")
    return statistics.median(cpu), statistics.median(wall)


def bench(binary, name, env, times):
    """A Go benchmark that ran so many times; its processor time is what it reports itself."""
    out, _, _ = child([binary, "-test.run", "XXX", "-test.bench", f"{name}$", "-test.benchtime", f"{times}x"], env)
    line = re.search(rf"Benchmark{name}\S*\s+\d+\s+(.*)", out).group(1)
    return {unit: float(v) for v, unit in re.findall(r"([-+.e\d]+) (\S+/op)", line)}


def probe(a, env, tmp):
    import numpy as np

    rng = np.random.default_rng(7)
    centre = rng.normal(size=(100, 512))
    data = np.concatenate([centre[np.arange(n) % 100] * 0.25 + rng.normal(size=(n, 512)) for n in (1600, 400)]) * 0.45
    path = f"{tmp}/features"
    data.astype(np.float32).tofile(path)
    binary = f"{tmp}/probe.test"
    child(["go", "test", "-c", "-o", binary, "./rmt/probe"], env)
    env = env | {"FEWSHOT_FEATURES": path}
    ours, theirs = [], []
    for _ in range(a.rounds):
        r = bench(binary, "SearchC", env, 1)
        ours.append((r["cpu-s/op"], r["ns/op"] / 1e9, r["evaluations/op"], r["objectives/op"], r["log10C/op"],
            r["correct/op"]))
        out, _, _ = child([sys.executable, "-c", SKLEARN, path], env)
        theirs.append(tuple(map(float, out.split())))
    print("the search for C: evaluations, sum of all minima, log10 of the chosen C, validation images right")
    print("  fewshot      ", *(f"{v:g}" for v in ours[-1][2:]))
    print("  scikit-learn ", *(f"{v:g}" for v in theirs[-1][2:]), "(iterations)")
    us, them = show("fewshot", ours), show("scikit-learn", theirs)
    print(f"  times as fast: {them[0] / us[0]:.2f} by processor time, {them[1] / us[1]:.2f} by the clock\n")


def tip(a, env, tmp):
    binary, epochs = f"{tmp}/adapter.test", 20
    child(["go", "test", "-c", "-o", binary, "./rmt/adapter"], env)
    runs = {"fewshot": [], "its products alone": [], "eager": [], "compiled": []}
    for _ in range(a.rounds):
        for kind, name in (("fewshot", "TipFEpoch"), ("its products alone", "TipFProducts")):
            r = bench(binary, name, env, epochs)
            runs[kind].append((r["cpu-s/op"], r["ns/op"] / 1e9))
        for kind in ("eager", "compiled"):
            out, _, _ = child([sys.executable, "-c", TORCH, str(a.threads), kind, str(epochs)], env)
            runs[kind].append(tuple(map(float, out.split())))
    print("an epoch of Tip-Adapter-F")
    m = {k: show(f"PyTorch, {k}" if k in ("eager", "compiled") else k, v) for k, v in runs.items()}
    best = [min(m["eager"][i], m["compiled"][i]) for i in range(2)]
    for kind in ("fewshot", "its products alone"):
        cpu, wall = (b / ours for b, ours in zip(best, m[kind]))
        print(f"  {kind}, times as fast as the better: {cpu:.2f} by processor time, {wall:.2f} by the clock")
    print()


def main():
    a = arguments()
    env = os.environ | {"OMP_NUM_THREADS": str(a.threads), "OPENBLAS_NUM_THREADS": str(a.threads),
        "GOMAXPROCS": str(a.threads)}
    if a.avx2:
        env |= {"GODEBUG": "cpu.avx512f=off", "OPENBLAS_CORETYPE": "Haswell", "ONEDNN_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    print(f"{model}, {a.threads} threads, {a.rounds} rounds{', without AVX-512' if a.avx2 else ''}\n")
    with tempfile.TemporaryDirectory() as tmp:
        for name in a.only.split(","):
            {"probe": probe, "tip": tip}[name](a, env, tmp)


if __name__ == "__main__":
    main()
