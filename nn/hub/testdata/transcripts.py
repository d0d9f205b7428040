"""Shortens recorded exchanges of huggingface_hub with a hub to what a Go client is tested against:
python transcripts.py hub-transcripts.json > transcripts.json

The recording was made with huggingface_hub 2.4.0 against a server on the loopback interface; it holds the requests,
the answers, and the cache afterwards. Left out here: scenarios about Python itself (processes, scan_cache, loaders),
and headers that nobody looks at.
"""
import json
import re
import sys

recorded = json.load(open(sys.argv[1]))
skipped = {
    "two_processes", "flock_holder", "posix_lockf_holder", "loaders", "loaders_offline", "scan_cache",
    "scan_cache_hand", "filenames",
    "repo_ids", "refused_cold", "in_progress_names", "pid_killed_partial", "delete_revision", "shared_store",
    "shared_store_unmarked_dir",
    "snap_local_dir", "snap_local_dir_again", "cut_big", "cut_big_norange", "token_file", "token_file_implicit_off",
    "token_env_empty",
    "token_old_name", "token_spaces", "xet_enabled", "force_download", "no_symlinks_fs", "umask_077", "head_hang_warm",
    "get_stall",
    "plain401", "xet_disabled", "subfolder", "dotdot", "redirect_same_host_absolute", "head_429_twice_http_date",
}
keep = {"x-repo-commit", "etag", "x-linked-etag", "x-linked-size", "location", "content-encoding", "content-range",
    "x-error-code",
        "x-error-message", "x-xet-hash", "retry-after", "ratelimit", "link"}
call = re.compile(r"\b([DS])\('([^']+)'(?:,'([^']*)')?(?:,revision='([^']*)')?(?:,allow_patterns=(\[[^\]]*\]|'[^']*'))?\)")
out = []
for s in recorded["scenarios"]:
    if s["name"] in skipped:
        continue
    calls = []
    for kind, repo, file, revision, allow in call.findall(s["call"]):
        c = {"repo": repo, "revision": revision or "main"}
        if kind == "D":
            c["file"] = file
        else:
            c["allow"] = re.findall(r"'([^']*)'", allow) or ["*"]
        calls.append(c)
    exchanges = []
    for e in s["exchanges"]:
        x = {"request": e["method"] + " " + e["host"] + " " + e["target"], "status": e["status"],
            "length": e["response_body_length"]}
        x["headers"] = {k: v for k, v in e["response_headers"].items() if k.lower() in keep}
        if "authorization" in e["headers"]:
            x["token"] = True
        if "range" in e["headers"]:
            x["range"] = e["headers"]["range"]
        if e.get("response_body"):
            x["body"] = e["response_body"]
        if "cut_after_bytes" in e:
            x["cut"] = e["cut_after_bytes"]
        exchanges.append(x)
    # Modes, locks and the tag are tested apart.
    cache = [re.sub(r" 0[0-7]{3} ", " ", line[len("hub/"):]).replace("\\n'", "\n'") for line in s["cache_after"]
             if "/.locks/" not in line and "CACHEDIR.TAG" not in line and "(empty)" not in line]
    out.append({"name": s["name"], "cache": s["cache"], "environment": s["environment"], "calls": calls,
        "exchanges": exchanges,
                "failed": "\nEXC" in "\n" + s["printed"], "cache_after": cache})
# One scenario a line, for short differences.
print("{\"environments\": [\n" + ",\n".join(json.dumps(e) for e in recorded["environment_variables"])
    + "\n], \"scenarios\": [\n"
      + ",\n".join(json.dumps(s, ensure_ascii=False) for s in out) + "\n]}")
