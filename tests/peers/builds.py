#!/usr/bin/env python3
"""Two builds of fewshot side by side: the one of another commit, and this one.

    python tests/peers/builds.py COMMIT [-only step] [-match '^R-AMT.*off$'] [-model ViT-B-32] [-batch 32] [-threads 2]
                                 [-rounds 5] [-avx2] [-cpu] [-flags '-strassen=false']

needs Go and git. Each round runs `fewshot bench` of both, with their own defaults, one after the other, and printed
are, case by case, the medians and ranges of the times, and the ratio: how many times as fast as the other build this
one is. With -avx2 both do without AVX-512. With -cpu it is the processors' time of a case that counts, which other
programs on the machine disturb less: that of a process which measures three rounds, less that of one which measures
one. -flags are for both.
"""

import contextlib
import json
import os
import pathlib
import resource
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile

import peers


@contextlib.contextmanager
def programs(commit):
    """The two programs by name, the other build first."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder, "tree")
        git = ["git", "-C", str(peers.ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            built = {}
            for name, source in {commit: tree, "this": peers.ROOT}.items():
                built[name] = str(pathlib.Path(folder, f"fewshot-{name.replace('/', '-')}"))
                subprocess.run(["go", "build", "-o", built[name], "./cmd/fewshot"], cwd=source, check=True)
            yield built
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def bench(program, a, rounds, match):
    """The result of a run, and the processors' time that it took."""
    cmd = [program, "bench", "-json", "-only", a.only, "-match", match, "-arch", a.model, "-batch", str(a.batch),
        "-workers", str(a.threads),
           "-rounds", str(rounds), *shlex.split(a.flags)]
    env = peers.BARE | {"GOMAXPROCS": str(a.threads)} | (peers.AVX2 if a.avx2 else {})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(cmd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if out.returncode:
        raise SystemExit(f"{' '.join(cmd)}: exit code {out.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(out.stdout.splitlines()[-1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(program, a, match):
    """Seconds of each case whose name matches."""
    if not a.cpu:
        return {c["name"]: c["median_seconds"] for c in bench(program, a, 1, match)[0]["cases"]}
    (result, long), (_, short) = bench(program, a, 3, match), bench(program, a, 1, match)
    names = [c["name"] for c in result["cases"]]
    if len(names) != 1:
        raise SystemExit(f"with -cpu a process has one case, -match has {len(names)}: {', '.join(names)}")
    return {names[0]: (long - short) / 2}


def main():
    p = peers.arguments(__doc__, only=("model", "batch", "threads", "rounds"))
    p.add_argument("commit")
    p.add_argument("-only", default="step", help="kinds of cases, as of fewshot bench")
    p.add_argument("-match", default="^R-AMT.*off$", help="cases whose names match")
    p.add_argument("-avx2", action="store_true", help="as on a processor without AVX-512")
    p.add_argument("-cpu", action="store_true", help="time of processors, of one case")
    p.add_argument("-flags", default="", help="more flags of fewshot bench")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the other build's worktree goes in any case
    print(peers.machine())
    with programs(a.commit) as built:
        times = {}
        for i in range(a.rounds):
            for name, program in built.items():
                for case, seconds in measure(program, a, a.match).items():
                    times.setdefault(case, {}).setdefault(name, []).append(seconds)
            print(f"  round {i + 1}: " + ", ".join(f"{case}: " + " and ".join(f"{1e3 * t[-1]:.1f}" for t in by.values())
                for case, by in times.items()), flush=True)
    what = "of processors, " if a.cpu else ""
    print(f"\n{a.model}, batch {a.batch}, {a.threads} threads, {'AVX2, ' if a.avx2 else ''}milliseconds {what}median (range)")
    ratios = []
    for case, by in times.items():
        other, this = by[a.commit], by["this"]
        rounds = sorted(o / t for o, t in zip(other, this))
        ratios.append(statistics.median(other) / statistics.median(this))
        cells = "  ".join(f"{n} {1e3 * statistics.median(t):.1f} ({1e3 * min(t):.1f} .. {1e3 * max(t):.1f})"
            for n, t in by.items())
        print(f"{case:36} {cells}  ratio {ratios[-1]:.2f}, of least times {min(other) / min(this):.2f}, by round {rounds[0]:.2f} .. {rounds[-1]:.2f}")
    if len(ratios) > 1:
        print(f"geometric mean of the ratios {statistics.geometric_mean(ratios):.3f}, least {min(ratios):.3f}")


if __name__ == "__main__":
    main()
