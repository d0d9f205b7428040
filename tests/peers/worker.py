"""A process of peers.py that calls a function of model.py, once for a start and then once for every line of its input,
and answers with the seconds that a call took, the mean over half a second where it is shorter, those of all
processors together, and the most memory that the process has had."""

import json
import resource
import sys
import time

import torch

import model

request = json.loads(sys.argv[1])
torch.set_num_threads(request["threads"])
call = getattr(model, request["kind"])(**request["options"])
call()
print("{}", flush=True)
for _ in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    calls = 0
    while calls == 0 or time.perf_counter() - start < 0.5:
        call()
        calls += 1
    seconds, cpu = (time.perf_counter() - start) / calls, (time.process_time() - cpu) / calls
    print(json.dumps({"seconds": seconds, "cpu": cpu,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}), flush=True)
