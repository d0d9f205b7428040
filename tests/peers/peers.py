"""What the scripts of this folder share: our program, PyTorch in processes of its own, rounds, medians.

Every measured thing is a process. Ours is `fewshot bench`. One of PyTorch's holds a function of model.py, ready to be
called, in an environment that is part of what is measured: that is where PyTorch's memory allocator and thread pool
are tuned. Rounds go from one to the other, so that both see the machine in the same states.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ("ViT-B-32", "ViT-B-16", "ViT-L-14")

# Environment of every process. The variables that are taken out would make OpenBLAS use other kernels than it chooses
# itself.
BARE = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LD_PRELOAD")}

# glibc gives large blocks back to the system and takes them again one page fault at a time; these settings keep them.
# jemalloc, tcmalloc and huge pages were no faster.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(16 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20)}

# Settings of each library, and of Go, that leave the instructions of AVX-512 alone.
AVX2 = {"OPENBLAS_CORETYPE": "Haswell", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
        "GODEBUG": "cpu.avx512f=off"}


class Config(NamedTuple):
    """A way to run PyTorch."""

    name: str
    options: dict = {}  # of the functions in model.py
    env: dict = {}
    intel: bool = False  # MKL is told that the processor is Intel's: on others it does not use AVX-512


CONFIGS = {
    c.name: c
    for c in (
        Config("eager"),
        Config("eager, tuned", env=KEEP_MEMORY),
        Config("eager, tuned, MKL for Intel", env=KEEP_MEMORY, intel=True),
        Config("eager, tuned, oneDNN", {"onednn": True}, KEEP_MEMORY),
        Config("compiled, tuned", {"compiled": True}, KEEP_MEMORY),
        Config("compiled, tuned, MKL for Intel", {"compiled": True}, KEEP_MEMORY, True),
        Config("compiled, tuned, oneDNN", {"compiled": True, "onednn": True}, KEEP_MEMORY),
    )
}


def candidates(bf16):
    """The configurations worth a try. bf16 layers are oneDNN's in any case, and MKL has nothing to do."""
    return [c for c in CONFIGS.values() if not (bf16 and (c.intel or c.options.get("onednn")))]


class Tools:
    """Our program, and what the configurations load before PyTorch, built into a folder that ends with the script."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.fewshot = os.path.join(self.folder.name, "fewshot")
        subprocess.run(["go", "build", "-o", self.fewshot, "./cmd/fewshot"], cwd=ROOT, check=True)
        self.intel = None
        if shutil.which("gcc"):
            self.intel = os.path.join(self.folder.name, "intel.so")
            source = "int mkl_serv_intel_cpu_true(void) { return 1; }"
            subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", self.intel], input=source, text=True,
                check=True)

    def bench(self, threads, *flags, env={}):
        """The result of a run of fewshot bench."""
        cmd = [self.fewshot, "bench", "-json", "-workers", str(threads), *flags]
        out = subprocess.run(cmd, env=BARE | {"GOMAXPROCS": str(threads)} | env, stdout=subprocess.PIPE, text=True)
        if out.returncode:
            raise SystemExit(f"{' '.join(cmd[1:])}: exit code {out.returncode}")
        return json.loads(out.stdout.splitlines()[-1])


class Worker:
    """A process that has got something ready and does it on demand."""

    def __init__(self, script, request, env):
        self.process = subprocess.Popen([sys.executable, str(ROOT / "tests/peers" / script), json.dumps(request)],
            env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def answer(self):
        """The next line of the process, decoded; RuntimeError with the last line of its errors if it is dead."""
        line = self.process.stdout.readline()
        if not line:
            errors = self.process.communicate()[1].strip().splitlines()
            raise RuntimeError(errors[-1] if errors else f"exit code {self.process.returncode}")
        return json.loads(line)

    def ask(self, what=""):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.kill()
        self.process.communicate()


def named(names):
    """The configurations with these names, or None for none."""
    return [CONFIGS[name] for name in names] if names else None


def start(tools, config, threads, kind, env={}, **options):
    """PyTorch with a function of model.py, called once already."""
    env = BARE | {"OMP_NUM_THREADS": str(threads)} | env | config.env
    if config.intel:
        if not tools.intel:
            raise RuntimeError("needs gcc")
        env["LD_PRELOAD"] = tools.intel
    w = Worker("worker.py", {"kind": kind, "threads": threads, "options": options | config.options}, env)
    try:
        w.answer()
    except RuntimeError:
        w.close()
        raise
    return w


def choose(tools, threads, kind, bf16, tries=2, **options):
    """The fastest configuration by the best of a few calls of each, which are printed: first that of PyTorch as it is
    installed, and then that of all, if it is another."""
    found = {}
    for c in candidates(bf16):
        try:
            w = start(tools, c, threads, kind, bf16=bf16, **options)
        except RuntimeError as e:
            print(f"  {c.name:34} fails: {e}")
            continue
        answers = [w.ask() for _ in range(tries)]
        w.close()
        found[c.name] = min(a["seconds"] for a in answers)
        print(f"  {c.name:34} {options['batch'] / found[c.name]:8.3f} images/s  peak RSS {answers[-1]['rss_mib']:6.0f} MiB", flush=True)
    if not found:
        raise SystemExit("PyTorch does not run here in any configuration")
    best = min(found, key=found.get)
    installed = min((name for name in found if not CONFIGS[name].intel), key=found.get, default=best)
    return [CONFIGS[name] for name in dict.fromkeys((installed, best))]


class Side(NamedTuple):
    """One program over all rounds."""

    name: str
    rates: list
    rss_mib: float

    def line(self, unit="images/s"):
        r = self.rates
        return f"{self.name:44} {statistics.median(r):9.3f} {unit} ({min(r):.3f} .. {max(r):.3f})  peak RSS {self.rss_mib:6.0f} MiB"


class Result(NamedTuple):
    title: str
    ours: Side
    theirs: list  # sides, the best last
    note: str

    def ratios(self, side):
        """Ours over theirs, round by round, sorted."""
        return sorted(m / t for t, m in zip(side.rates, self.ours.rates))

    def show(self):
        print(f"\n{self.title}\n{self.ours.line()}{self.note}")
        for side in self.theirs:
            r = self.ratios(side)
            print(f"{side.line()}: ratio {statistics.median(r):.2f} ({r[0]:.2f} .. {r[-1]:.2f}), memory {self.ours.rss_mib / side.rss_mib:.2f}", flush=True)


def compare(tools, configs, kind, a, match, title, micro=None, **options):
    """Our case whose name matches and PyTorch in configurations in turn, the last of which counts, and as it comes too
    if that is asked for."""
    if a.plain and CONFIGS["eager"] not in configs:
        configs = [CONFIGS["eager"], *configs]
    workers = [start(tools, c, a.threads, kind, AVX2 if a.avx2 else {}, bf16=a.bf16, batch=a.batch, model=a.model,
        **options) for c in configs]
    flags = ["-only", kind, "-arch", a.model, "-batch", str(a.batch), "-rounds", "1", "-match", match]
    if a.bf16:
        flags += ["-precision", "bf16"]
    if a.ordinary:
        flags += ["-strassen=false"]
    if micro is not None:
        flags += ["-micro-batch", str(micro)]
    seconds, rate = ("cpu", lambda c: a.batch / c["cpu_seconds"]) if a.cpu else ("seconds",
        lambda c: c["images_per_second"])
    theirs, ours = [[] for _ in workers], []
    for i in range(a.rounds):
        for w, answers in zip(workers, theirs):
            answers.append(w.ask())
        result = tools.bench(a.threads, *flags, env=AVX2 if a.avx2 else {})
        ours.append(result["cases"][0])
        rates = ", ".join(f"{a.batch / answers[-1][seconds]:.3f}" for answers in theirs)
        apart = f", processors {result['round_trip']['median_ns']:.0f} ns apart" if result["round_trip"]["median_ns"] else ""
        print(f"  round {i + 1}: PyTorch {rates}, fewshot {rate(ours[-1]):.3f} images/s{apart}", flush=True)
    for w in workers:
        w.close()
    last, share = ours[-1], statistics.median(c.get("share_of_peak", 0) for c in ours)
    return Result(
        f"{title}, {a.model}, batch {a.batch}, {'bf16' if a.bf16 else 'float32'}, {a.threads} threads, "
        f"{'AVX2, ' if a.avx2 else ''}{'by time of processors, ' if a.cpu else ''}{a.rounds} rounds",
        Side("fewshot", [rate(c) for c in ours], max(c.get("peak_rss_bytes", 0) for c in ours) / 2**20),
        [Side(f"PyTorch ({c.name})", [a.batch / t[seconds] for t in answers], max(t["rss_mib"] for t in answers))
            for c, answers in zip(configs, theirs)],
        f", tensors {last['peak_bytes'] / 2**20:.0f} MiB, {100 * share:.0f} % of the peak, {last['mallocs']:.0f} allocations",
    )


def machine():
    """What must stand beside figures, and a warning where they will not mean much."""
    try:
        beside = f"torch {importlib.metadata.version('torch')}"  # loaded here it would count as memory of what is started
    except importlib.metadata.PackageNotFoundError:
        beside = "no torch"
    cpu = platform.machine()
    try:
        cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the load is {load:.1f}; something else is running, and these figures will not mean much")
    return f"{cpu}, {os.cpu_count()} processors, {beside}, python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"


def has_bf16():
    """Whether the processor multiplies bfloat16."""
    try:
        return "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def arguments(doc, batch=32, only=("model", "batch", "threads", "rounds", "bf16", "config", "plain", "ordinary", "avx2",
        "cpu")):
    """The flags that the scripts share."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, options in {
        "model": {"default": "ViT-B-16", "choices": MODELS},
        "batch": {"type": int, "default": batch},
        "threads": {"type": int, "default": os.cpu_count(), "help": "of either program"},
        "rounds": {"type": int, "default": 5, "help": "of both programs in turn"},
        "bf16": {"action": "store_true", "help": "autocast to bfloat16, and -precision bf16"},
        "plain": {"action": "store_true", "help": "measure PyTorch as it comes, too"},
        "ordinary": {"action": "store_true", "help": "fewshot without Strassen's algorithm"},
        "avx2": {"action": "store_true", "help": "everybody as on a processor without AVX-512"},
        "cpu": {"action": "store_true",
            "help": "compare time of processors, which other programs on the machine disturb less: with -threads 1"},
        "config": {"action": "append", "choices": list(CONFIGS),
            "help": "how to run PyTorch; more than once for several (default: try all, take "
                   "the fastest of PyTorch as it is installed, and of all)"},
    }.items():
        if name in only:
            p.add_argument("-" + name, **options)
    return p
