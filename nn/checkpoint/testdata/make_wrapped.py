"""Makes vit_old.pt, vit_wrapped.pt and gelu_script.pt beside this file: the model of vit_half.pt as training loops and
torch.jit leave it. Needs torch alone (made with 2.15.0). Run in this folder, after make.py. Storage keys of the old
format are memory addresses: that file differs from run to run.
"""

import inspect
import os

import torch

absolute = inspect.getsourcefile
inspect.getsourcefile = lambda obj: os.path.relpath(absolute(obj)) if absolute(obj) else None

half = torch.load("vit_half.pt")

# The format of before torch 1.6, which is still written on request; one weight transposed, so that strides count.
old = {k: v.t().contiguous().t() if k == "visual.proj" else v for k, v in half.items()}
torch.save(old, "vit_old.pt", _use_new_zipfile_serialization=False)

# What a training loop saves: a compiled model inside DataParallel, parameters with attributes, and all sorts beside it.
def parameter(t):
    p = torch.nn.Parameter(t)
    p.tensor_model_parallel = False
    return p


torch.save(
    {"epoch": 3, "shape": torch.Size([2, 3]), "seen": {1, 2, "a"}, "device": torch.device("cuda", 1),
        "dtype": torch.bfloat16,
     "model_state_dict": {"module._orig_mod." + k: parameter(v) for k, v in half.items()},
     "optimizer_state_dict": {"state": {0: {"step": torch.tensor(7.0)}},
         "param_groups": [{"lr": 1e-3, "params": [0]}]}},
    "vit_wrapped.pt",
)


class Part(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gelu = torch.nn.GELU()
        self.proj = torch.nn.Parameter(torch.ones(2, 3))

    def forward(self, x: torch.Tensor):
        return self.gelu(x)


class Whole(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = Part()

    def forward(self, x: torch.Tensor):
        return self.visual(x)


torch.jit.save(torch.jit.script(Whole()), "gelu_script.pt")  # its version is at .data/version
