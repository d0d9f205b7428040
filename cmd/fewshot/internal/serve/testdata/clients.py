#!/usr/bin/env python3
"""Writes clients.json: what clients of the Open Inference Protocol and of Hugging Face send, for clients_test.go.

    python3 clients.py RECORDINGS

RECORDINGS is a folder with tritonclient_http.json (tritonclient 2.73.0 with geventhttpclient 2.6.1),
kserve_rest_client.json (kserve 0.21.0 with httpx 0.28.1) and hf_inference_client.json (huggingface_hub 2.4.0), each a
list of requests that a recording server on 127.0.0.1 received on 2026-11-29 while the client was called in the usual
ways: case, method, path, headers, and the body in base64. Kept are the requests that differ in something the server
looks at; headers that it does not look at are left out.
"""
import json
import pathlib
import sys

KEEP = {
    "tritonclient_http.json": None,  # all
    "kserve_rest_client.json": {"fp32_json", "fp32_binary", "bytes_binary", "bytes_json_text", "requested_binary_out",
        "default_set_data", "is_server_ready", "is_server_live", "is_model_ready"},
    "hf_inference_client.json": {"zs_bytes", "zs_path_str", "zs_label_string", "ic_bytes", "ic_path_png", "ic_topk",
        "ic_fn", "ic_topk_fn", "fe_text"},
}
HEADERS = {"content-type", "content-encoding", "inference-header-content-length"}

folder = pathlib.Path(sys.argv[1])
out = []
for name, keep in KEEP.items():
    recorded = json.loads((folder / name).read_text())
    for r in recorded["requests"]:
        if keep is not None and r["case"] not in keep or "method" not in r:
            continue
        headers = {k: v for k, v in r["headers"] if k.lower() in HEADERS}
        out.append({"client": recorded["client"], "case": r["case"], "method": r["method"], "path": r["path"],
            "headers": headers, "body": r.get("body_b64", "")})
target = pathlib.Path(__file__).with_name("clients.json")
target.write_text("[\n" + ",\n".join(json.dumps(r) for r in out) + "\n]\n")
print(target, len(out), "requests")
