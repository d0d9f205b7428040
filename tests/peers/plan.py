#!/usr/bin/env python3
"""What a plan saves: a table of all methods that learn behind a frozen image encoder, 16 shots of drawn tasks with the
embedded model, by one `fewshot run` and by a `fewshot train` for each run, which leave the same bytes.

    python tests/peers/plan.py [-tasks things,scenes] [-seeds 1,2,3] [-epochs 12] [-zeroshot]

Epochs are cut, as in docs/embedded.md; -epochs 0 leaves those that are published, 200 of new crops in clip-adapter
and taskres. The single runs do not evaluate the untouched model, as train would unless told: a plan has one run for
that, and so has this. -zeroshot has them do it.

It shows seconds of processor time and by the clock, and the most memory that a process had. The exit code is 1 if
bytes differ.
"""
import argparse, json, os, pathlib, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = ["tip-adapter-f", "tip-adapter-f-test-selected", "clip-adapter", "taskres"]
METHODS = ["linear-probe", "lp++", "gda", "tip-adapter", *STEPS]


class Sum:
    cpu = wall = memory = 0

    def run(self, *command):
        """Runs a command to its end, and adds what it took."""
        t = time.monotonic()
        with tempfile.TemporaryFile() as said:
            p = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            if status:
                said.seek(0)
                sys.exit(" ".join(map(str, command)) + "\n" + said.read().decode())
        self.cpu += used.ru_utime + used.ru_stime
        self.wall += time.monotonic() - t
        self.memory = max(self.memory, used.ru_maxrss)

    def show(self, name):
        print(f"{name:22s} {self.cpu:8.1f} s of processors {self.wall:8.1f} s by the clock {self.memory / 1024:6.0f} MiB", flush=True)


def result(folder):
    return json.loads((folder / "result.json").read_text())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-tasks", default="compounds,textures,counts,places,letters,scenes,parts,digits")
    p.add_argument("-seeds", default="1,2,3")
    p.add_argument("-epochs", type=int, default=12)
    p.add_argument("-zeroshot", action="store_true")
    p.add_argument("-binary", help="fewshot, built before")
    a = p.parse_args()
    tasks, seeds = a.tasks.split(","), a.seeds.split(",")
    with tempfile.TemporaryDirectory() as name:
        tmp = pathlib.Path(name)
        fewshot = a.binary or tmp / "fewshot"
        if not a.binary:
            subprocess.run(["go", "build", "-o", fewshot, "./cmd/fewshot"], cwd=ROOT, check=True)
        epochs = {m: ["-epochs", str(a.epochs)] if m in STEPS and a.epochs else [] for m in METHODS}

        together = Sum()
        sets = [w for m in METHODS if epochs[m] for w in ("-set", f"{m}:epochs={a.epochs}")]
        together.run(fewshot, "plan", "-methods", ",".join(["zero-shot", *METHODS]), "-datasets",
            ",".join("synth:" + t for t in tasks),
                     "-seeds", a.seeds, *sets, "-out", tmp / "plan.jsonl")
        together.run(fewshot, "run", tmp / "plan.jsonl")
        planned = {}
        for r in (tmp / "plan-runs").iterdir():
            d = result(r)
            planned[d["method"], d["dataset"], d["seed"]] = r
        together.show("fewshot plan, run")

        apart, differ = Sum(), []
        for t in tasks:
            apart.run(fewshot, "zeroshot", "-dataset", "synth:" + t)
            for s in seeds:
                for m in METHODS:
                    out = tmp / "alone" / f"{m}-{t}-{s}"
                    apart.run(fewshot, "train", "-method", m, "-dataset", "synth:" + t, "-seed", s, *epochs[m],
                        f"-zeroshot={str(a.zeroshot).lower()}", "-out", out)
                    was = planned[m, "synth:" + t, int(s)]
                    if (out / "tuned.safetensors").read_bytes() != (was / "tuned.safetensors").read_bytes() or result(out)["test"] != result(was)["test"]:
                        differ.append(out.name)
        apart.show(f"{len(tasks)} zeroshot, {len(tasks) * len(seeds) * len(METHODS)} train")
    print(f"times as fast: {apart.cpu / together.cpu:.2f} by processor time, {apart.wall / together.wall:.2f} by the clock; memory of {together.memory / apart.memory:.2f} of the largest run")
    print("bytes of what was learned, and accuracies: " + ("equal" if not differ else "DIFFERENT in "
        + ", ".join(differ)))
    sys.exit(bool(differ))


main()
