#!/usr/bin/env python3
"""What others' clients make of fewshot serve: NVIDIA's tritonclient, kserve's, huggingface_hub's InferenceClient.

    python3 -m venv CLIENTS && CLIENTS/bin/pip install -r tests/peers/requirements-serve.txt
    CLIENTS/bin/python tests/peers/serve.py [-fewshot PROGRAM]

needs Go, unless a program is given. A task of the synthetic world is trained for an epoch, served on a port of its
own, and asked by each client in each way that it has; all must say the same as each other, and errors must arrive as
the clients' own exceptions with the server's words.
"""

import argparse
import asyncio
import base64
import importlib.metadata
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
import tritonclient.http as triton
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from tritonclient.utils import InferenceServerException

ROOT = pathlib.Path(__file__).resolve().parents[2]
failed = []


def check(what, ok, seen=""):
    print(f"  {'ok ' if ok else 'BAD'} {what}" + (f": {seen}" if not ok else ""))
    if not ok:
        failed.append(what)


def raises(what, kind, words, f):
    try:
        got = f()
    except kind as e:
        check(what, words in str(e), str(e))
    else:
        check(what, False, f"no exception but {got}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("-fewshot", help="program; built here if not given")
    a = p.parse_args()
    for m in ("tritonclient", "geventhttpclient", "kserve", "huggingface_hub"):
        print(m, importlib.metadata.version(m))
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        program = a.fewshot or str(tmp / "fewshot")
        if not a.fewshot:
            subprocess.run(["go", "build", "-o", program, "./cmd/fewshot"], cwd=ROOT, check=True)
        models = tmp / "models"
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([program, "train", "-dataset", "synth:scenes", "-epochs", "1", "-out", models / "scenes"],
            **quiet)
        subprocess.run([program, "train", "-dataset", "synth:scenes", "-method", "coop", "-epochs", "1", "-out",
            models / "coop"], **quiet)
        subprocess.run([program, "data", "export", "-dataset", "synth:scenes", "-out", tmp / "data"], **quiet)
        images = sorted((tmp / "data").rglob("*.png"))[:3]
        server = subprocess.Popen([program, "serve", "-models", models, "-listen", "127.0.0.1:0", "-control"],
            stdout=subprocess.PIPE, text=True)
        try:
            for line in server.stdout:
                print("  server:", line.strip())
                if line.startswith("serving on "):
                    address = line.split()[-1]
                    break
            ask(address, images)
            server.terminate()
            check("SIGTERM ends it with 0", server.wait(30) == 0, server.returncode)
        finally:
            server.kill()
    if failed:
        sys.exit(f"{len(failed)} failed: {failed}")
    print("all clients agree")


def ask(address, images):
    data = [i.read_bytes() for i in images]
    want = by_triton(address.removeprefix("http://"), data)
    by_kserve(address, data, want)
    by_hugging_face(address, images, data, want)


def by_triton(host, data):
    print("tritonclient")
    c = triton.InferenceServerClient(host)
    check("live, ready, model ready", c.is_server_live() and c.is_server_ready() and c.is_model_ready("scenes")
        and not c.is_model_ready("nobody"))
    check("server metadata", c.get_server_metadata()["name"] == "fewshot", c.get_server_metadata())
    meta = c.get_model_metadata("scenes")
    labels = meta["parameters"]["labels"]
    check("model metadata", meta["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        and len(labels) == 13, meta)
    check("model config", c.get_model_config("scenes")["input"][0]["data_type"] == "TYPE_STRING")
    check("repository index", {m["name"] for m in c.get_model_repository_index()} == {"clip", "scenes", "coop"},
        c.get_model_repository_index())

    def image(values, binary=True):
        t = triton.InferInput("image", [len(values)], "BYTES")
        t.set_data_from_numpy(np.array(values, dtype=object), binary_data=binary)
        return t

    r = c.infer("scenes", [image(data)], request_id="r1")
    want = r.as_numpy("probabilities")
    check("binary, all outputs", want.shape == (3, 13) and np.allclose(want.sum(1),
        1) and r.get_response()["id"] == "r1", want)
    check("label", [x.decode() for x in r.as_numpy("label")] == [labels[i] for i in want.argmax(1)],
        r.as_numpy("label"))
    one = c.infer("scenes", [image(data[1:2])]).as_numpy("probabilities")
    check("alone as among others", np.array_equal(one[0], want[1]), (one, want))
    text = [base64.b64encode(b).decode() for b in data]
    for binary in (False, True):
        o = triton.InferRequestedOutput("probabilities", binary_data=binary)
        got = c.infer("scenes", [image(text, False)], outputs=[o]).as_numpy("probabilities")
        check(f"JSON in, {'binary' if binary else 'JSON'} out", np.array_equal(got.astype(np.float32), want), got)
    for algorithm in ("gzip", "deflate"):
        got = c.infer("scenes", [image(data)], request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm).as_numpy("probabilities")
        check(f"{algorithm}", np.array_equal(got, want))
    o = triton.InferRequestedOutput("probabilities", class_count=2)
    got = c.infer("scenes", [image(data)], outputs=[o]).as_numpy("probabilities")
    best = want[0].argmax()
    check("classification", got.shape == (3, 2) and got[0, 0].decode() == f"{want[0, best]:.6f}:{best}:{labels[best]}",
        got)
    plain = c.infer("scenes", [image(data)], outputs=[triton.InferRequestedOutput("untouched")]).as_numpy("untouched")
    check("the untouched model beside it", plain.shape == (3, 13))
    own = triton.InferInput("candidate_labels", [13], "BYTES")
    own.set_data_from_numpy(np.array(labels, dtype=object))
    template = triton.InferInput("hypothesis_template", [1], "BYTES")
    template.set_data_from_numpy(np.array(["a photo of {}."], dtype=object))
    got = c.infer("clip", [image(data), own, template]).as_numpy("probabilities")
    check("clip with the task's classes is that", np.array_equal(got, plain), (got, plain))
    shape2 = triton.InferInput("image", [3, 1], "BYTES")
    shape2.set_data_from_numpy(np.array(data, dtype=object).reshape(3, 1))
    check("[N, 1]", np.array_equal(c.infer("scenes", [shape2]).as_numpy("probabilities"), want))
    stats = c.get_inference_statistics("scenes")["model_stats"][0]
    counts = {k: v["count"] for k, v in stats["inference_stats"].items()}
    check("statistics",
        stats["name"] == "scenes" and stats["inference_count"] > stats["inference_stats"]["success"]["count"] > 0
        and stats["inference_stats"]["compute_infer"]["ns"] > 0
          and counts["queue"] == counts["success"] and sum(b["compute_infer"]["count"]
              for b in stats["batch_stats"]) == stats["execution_count"] and stats["last_inference"] > 0, stats)
    check("of all", [m["name"] for m in c.get_inference_statistics()["model_stats"]] == ["clip", "coop", "scenes"],
        c.get_inference_statistics())
    got = c.infer("scenes", [image(data)], sequence_id=7, sequence_start=True, sequence_end=True, priority=1,
        timeout=10**6, parameters={"mine": "x"}).as_numpy("probabilities")
    check("parameters that have no effect", np.array_equal(got, want), got)
    raises("parameters that Triton refuses", InferenceServerException, "triton_",
        lambda: c.infer("scenes", [image(data)], parameters={"triton_mine": 1}))
    raises("no image", InferenceServerException, "unknown format", lambda: c.infer("scenes", [image([b"x"])]))
    raises("no task", InferenceServerException, "nobody", lambda: c.infer("nobody", [image(data)]))
    raises("classes where they cannot be", InferenceServerException, "own classes",
        lambda: c.infer("coop", [image(data), own]))
    c.unload_model("coop")
    check("unloaded", not c.is_model_ready("coop"))
    raises("its use", InferenceServerException, "not loaded", lambda: c.infer("coop", [image(data)]))
    raises("files in a request", InferenceServerException, "none are taken from requests",
        lambda: c.load_model("coop", config="{}", files={"file:1/x": b"x"}))
    c.load_model("coop")
    check("loaded again", c.is_model_ready("coop"))
    return want


def by_kserve(address, data, want):
    print("kserve")

    async def run():
        c = InferenceRESTClient(RESTConfig(protocol="v2"))
        check("live, ready, model ready", await c.is_server_live(address) is True
            and await c.is_server_ready(address) is True and await c.is_model_ready(address, "scenes") is True)
        t = InferInput("image", [3], "BYTES")
        t.set_data_from_numpy(np.array(data, dtype=object))
        r = await c.infer(address, InferRequest("scenes", [t]), model_name="scenes")
        got = next(o for o in r.outputs if o.name == "probabilities").as_numpy()
        check("binary in", np.array_equal(got.astype(np.float32).reshape(3, 13), want), got)
        t = InferInput("image", [3], "BYTES", data=[base64.b64encode(b).decode() for b in data])
        r = await c.infer(address, InferRequest("scenes", [t]), model_name="scenes")
        got = next(o for o in r.outputs if o.name == "probabilities").as_numpy()
        check("JSON in", np.array_equal(got.astype(np.float32).reshape(3, 13), want), got)

    asyncio.run(run())


def by_hugging_face(address, images, data, want):
    print("huggingface_hub")
    c = InferenceClient(model=address + "/models/scenes")
    got = c.image_classification(data[0])
    check("image_classification(bytes)", len(got) == 5 and np.float32(got[0].score) == want[0].max(), got)
    check("(path)", c.image_classification(str(images[0])) == got)
    top = c.image_classification(data[0], top_k=2, function_to_apply="softmax")
    check("top_k", top == got[:2], top)
    check("function_to_apply", c.image_classification(data[0], function_to_apply="none")[0].label == got[0].label)
    z = InferenceClient(model=address).zero_shot_image_classification(data[0], candidate_labels=["the sea", "a city"],
        hypothesis_template="a photo of {}.")
    check("zero_shot_image_classification", len(z) == 2 and abs(z[0].score + z[1].score - 1) < 1e-6
        and z[0].score >= z[1].score, z)
    again = InferenceClient(model=address + "/models/clip").zero_shot_image_classification(str(images[0]),
        candidate_labels="the sea,a city", hypothesis_template="a photo of {}.")
    check("labels as a string", again == z, again)
    raises("no image", HfHubHTTPError, "unknown format", lambda: c.image_classification(b"x"))


main()
