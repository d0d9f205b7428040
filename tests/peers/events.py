#!/usr/bin/env python3
"""What TensorBoard shows of a run that was killed and resumed, by both of its readers, beside result.json.

    pip install tensorboard==2.21.0 "setuptools<81"
    python tests/peers/events.py [-kills 4]

needs Go. Trains the small model in the program with -logdir, kills it (SIGKILL) some times as soon as another epoch
is in the log, resumes it, and asks: EventAccumulator; the server with -load_fast=false; the server with its data
server. Each must show every epoch once, in order, with the numbers of result.json, and the hyper-parameters. The exit
code is 1 if one does not.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = pathlib.Path(__file__).resolve().parents[2]
TAGS = {"train/loss": "loss", "train/accuracy": "train_accuracy", "train/lr": "lr"}


def accumulated(run):
    a = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    a.Reload()
    tags = a.Tags()
    return {t: [(e.step, e.value) for e in a.Scalars(t)] for t in tags["scalars"]}


def served(logs, run, fast, tags):
    """What the page asks the server for."""
    p = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", "0", "--host",
        "127.0.0.1", f"--load_fast={fast}"],
                         stderr=subprocess.PIPE, text=True)
    try:
        for line in p.stderr:
            if "http://" in line:
                base = "http://" + line.split("http://")[1].split()[0].rstrip("/")
                break
        ask = lambda path: json.load(urllib.request.urlopen(f"{base}/data/{path}", timeout=20))
        for _ in range(100):
            if run in ask("plugin/scalars/tags"):
                break
            time.sleep(0.2)
        time.sleep(1)  # the rest of the file
        out = {t: [(step, value) for _, step, value in ask(f"plugin/scalars/scalars?run={run}&tag={t}")] for t in tags}
        request = urllib.request.Request(f"{base}/data/plugin/hparams/experiment", data=b'{"experimentName":""}',
            headers={"Content-Type": "application/json"})
        out["hparams"] = sorted(h["name"] for h in json.load(urllib.request.urlopen(request,
            timeout=20)).get("hparamInfos", []))
        return out
    finally:
        p.terminate()
        p.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-kills", type=int, default=4)
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        program, out, logs = tmp / "fewshot", tmp / "run", tmp / "logs"
        subprocess.run(["go", "build", "-o", program, "./cmd/fewshot"], cwd=ROOT, check=True)
        args = [program, "train", "-dataset", "synth:counts", "-shots", "8", "-epochs", "12", "-lr", "1e-3",
            "-zeroshot=false", "-out", out, "-logdir", logs, "-save-every", "0"]
        size = lambda: sum(f.stat().st_size for f in logs.rglob("*tfevents*"))
        for i in range(o.kills):
            before = size()
            train = subprocess.Popen(args + ["-resume"] * (i > 0), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while train.poll() is None and size() <= before + 150 * (i + 1):
                time.sleep(0.002)
            train.send_signal(signal.SIGKILL)
            train.wait()
            if i == 0:  # a file that ends within a record, as a full disk leaves it
                f = max(logs.rglob("*tfevents*"))
                f.write_bytes(f.read_bytes()[:-9])
        subprocess.run(args + ["-resume"], check=True, stdout=subprocess.DEVNULL)
        epochs = json.loads((out / "result.json").read_text())["epochs"]
        run = next(logs.iterdir())
        files = sorted(f.name for f in run.iterdir())
        print(f"{o.kills} kills, {len(files)} files, {len(epochs)} epochs")
        bad = len(files) < 2
        readers = {"EventAccumulator": accumulated(run)}
        for fast in ("false", "true"):
            readers[f"server, -load_fast={fast}"] = served(logs, run.name, fast, TAGS)
        for name, shown in readers.items():
            for tag, key in TAGS.items():
                want = [(e["epoch"], e[key]) for e in epochs]
                right = len(shown[tag]) == len(want) and all(a == b and abs(x - y) <= 1e-6 * abs(y)
                    for (a, x), (b, y) in zip(shown[tag], want))
                print(f"  {name:26s} {tag:16s} {'as in result.json' if right else 'WRONG: ' + str(shown[tag])}")
                bad |= not right
            if "hparams" in shown:
                print(f"  {name:26s} hyper-parameters {len(shown['hparams'])}")
                bad |= "lr" not in shown["hparams"] or "method" not in shown["hparams"]
        sys.exit(bad)


if __name__ == "__main__":
    main()
