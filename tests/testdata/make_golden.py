#!/usr/bin/env python3
"""Makes the fixtures of the image encoders in golden/images from open_clip's own classes.

    python tests/testdata/make_golden.py

needs torch, open_clip_torch, numpy and safetensors, runs for some seconds, and writes into golden/images beside this
file:

    rn.safetensors      a small CLIP with a modified ResNet, its state dict as OpenAI's archives have it: half precision, norms and positions single,
                        counters of batches int64
    resnet.json         what open_clip computes with it: maps, features, logits, and gradients of sum(features * weights)
    vit.safetensors     positions of a vision transformer, and its patch embedding, alone
    positions.json      the positions on other grids, by open_clip's resize_pos_embed

Every number comes from float64. "float32" says how far the same program in float32 is from it. Random numbers that
both sides need, and sketches of large tensors, are those of make_parity.py.
"""

import json
import pathlib

import numpy as np
import open_clip
import safetensors.torch
import torch
import torch.nn.functional as F
from make_parity import Key, apart, images, sketch, tokens
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, resize_pos_embed

OUT = pathlib.Path(__file__).parent / "golden" / "images"
SIZE, EMBED, IMAGES_KEY, WEIGHTS_KEY = 64, 12, 41, 42
SINGLE = ("bn", "downsample.1", "positional_embedding", "ln_", "token_embedding", "logit_scale")


def build():
    """Gains, biases and statistics are not 1 and 0, so that no term can hide. All values are those of their file's
    format."""
    torch.manual_seed(5)
    vision = CLIPVisionCfg(layers=[1, 2, 1, 1], width=2, head_width=64, image_size=SIZE)
    model = CLIP(EMBED, vision, CLIPTextCfg(context_length=8, vocab_size=20, width=64, heads=1, layers=1),
        quick_gelu=True)
    with torch.no_grad():
        for name, p in list(model.named_parameters()) + list(model.named_buffers()):
            if name.endswith("running_var"):
                p.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                p.normal_(0, 0.2)
            elif p.ndim == 1 and p.is_floating_point():
                if "bn" in name or "downsample.1" in name:  # the last of a block starts at 0
                    p.copy_(torch.randn(p.shape) * 0.2 + (1 if name.endswith("weight") else 0))
                else:
                    p.add_(0.1 * torch.randn(p.shape))
            elif name.endswith("num_batches_tracked"):
                p.fill_(7)
            if p.is_floating_point() and not any(s in name for s in SINGLE):
                p.copy_(p.half())
    return model.eval()


def number(x):
    """As golden files have numbers: lists, or a sketch of what is large."""
    x = x.detach().double()
    return x.tolist() if x.numel() < 64 else {"shape": list(x.shape)} | sketch(x)


def run(dtype):
    model = build().to(dtype)
    x = images(IMAGES_KEY, 2, SIZE).to(dtype).requires_grad_()
    maps = {}

    def keep(name):
        # ReLU works in place: what a norm leaves is kept as it is after it, as hooks on OpenAI's class would.
        return lambda module, args, out: maps.__setitem__("outputs." + name, out.clone() if name == "conv1" else out)

    visual = model.visual
    hooks = {"conv1": visual.conv1, "bn1": visual.bn1, "stem": visual.avgpool, "layer2.0": visual.layer2[0]}
    hooks |= {f"layer{i}": getattr(visual, f"layer{i}") for i in range(1, 5)}
    for name, module in hooks.items():
        module.register_forward_hook(keep(name))
    features = visual(x)
    text = F.normalize(model.encode_text(tokens(8, 20)), dim=-1)
    logits = model.logit_scale.exp() * F.normalize(features, dim=-1) @ text.T
    weights = (2 * Key(WEIGHTS_KEY).name("weights").uniform(2, EMBED) - 1).to(dtype)
    scalar = (features * weights).sum()
    params = {"visual." + n: p for n, p in visual.named_parameters()
        if n != "attnpool.k_proj.bias"}  # its gradient is 0 but for rounding
    grads = torch.autograd.grad(scalar, [x, *params.values()])
    out = {k: v.detach() for k, v in maps.items()}
    out |= {"attention_pool": features, "logits_per_image": logits, "scalar": scalar, "image_gradient": grads[0]}
    return out | {"gradients." + n: g for n, g in zip(params, grads[1:])}


def resnet():
    x, y = run(torch.float64), run(torch.float32)
    out = {"outputs": {}, "gradients": {}}
    for name, v in x.items():
        group, _, rest = name.partition(".")
        if group in out and rest:
            out[group][rest] = number(v)
        else:
            out[name] = number(v)
    out |= {"tokens": tokens(8, 20).tolist(), "images": {"key": IMAGES_KEY, "n": 2, "size": SIZE},
        "scalar_weights_key": WEIGHTS_KEY}
    return out | {"float32": {k: apart(y[k], x[k]) for k in x}}


def positions():
    """A grid of 4×4 and its class token, 8 wide."""
    rows = torch.randn(17, 8, generator=torch.Generator().manual_seed(3))
    to = {}
    for grid in (2, 3, 5, 7):
        for antialias in (True, False):

            class Model:
                class visual:
                    grid_size = (grid, grid)

            state = {"visual.positional_embedding": rows.double()}
            resize_pos_embed(state, Model, antialias=antialias)
            to[str(grid) + ("" if antialias else ", no antialias")] = number(state["visual.positional_embedding"])
    return rows, {"from_grid": 4, "to": to}


def write(name, value):
    (OUT / name).write_text(json.dumps(value, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    state = build().state_dict()
    for name, v in state.items():
        if v.is_floating_point() and not any(s in name for s in SINGLE):
            state[name] = v.half()
    state.pop("attn_mask", None)
    versions = {"torch": torch.__version__, "open_clip": open_clip.__version__, "numpy": np.__version__}
    safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, OUT / "rn.safetensors", versions)
    write("resnet.json", resnet())
    rows, resized = positions()
    # What says how large a patch is, and that the first position is no patch's.
    others = {"visual.conv1.weight": torch.zeros(8, 3, 4, 4, dtype=torch.float16),
        "visual.class_embedding": torch.zeros(8)}
    safetensors.torch.save_file({"visual.positional_embedding": rows} | others, OUT / "vit.safetensors", versions)
    write("positions.json", resized)
