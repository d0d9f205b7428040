#!/usr/bin/env python3
"""CLIP checkpoints of random weights in the sizes and forms that people have, to measure opening and memory on.

    python tests/peers/files.py FOLDER [-size ViT-L-14-336] [-dtype float16] [-form safetensors]

Forms are safetensors, bin (torch.save of a state dict) and pt (TorchScript, as OpenAI gave its models out). The
file's path is printed.
"""

import argparse
import pathlib
from typing import NamedTuple


class Size(NamedTuple):
    image: int
    patch: int
    width: int
    layers: int
    embed: int
    words: int  # width of the text encoder


SIZES = {
    "ViT-B-32": Size(224, 32, 768, 12, 512, 512),
    "ViT-B-16": Size(224, 16, 768, 12, 512, 512),
    "ViT-L-14": Size(224, 14, 1024, 24, 768, 768),
    "ViT-L-14-336": Size(336, 14, 1024, 24, 768, 768),
}
FORMS = ("safetensors", "bin", "pt")


def shapes(s):
    """Names and shapes of OpenAI's tensors."""

    def blocks(path, width, layers):
        for i in range(layers):
            b = f"{path}transformer.resblocks.{i}."
            yield from ((b + "attn.in_proj_weight", (3 * width, width)), (b + "attn.in_proj_bias", (3 * width,)))
            for name, out, into in (("attn.out_proj", width, width), ("mlp.c_fc", 4 * width, width),
                    ("mlp.c_proj", width, 4 * width)):
                yield from ((b + name + ".weight", (out, into)), (b + name + ".bias", (out,)))
            yield from norms(b, "ln_1", "ln_2", width=width)

    def norms(path, *names, width):
        for name in names:
            yield from ((path + name + ".weight", (width,)), (path + name + ".bias", (width,)))

    yield "visual.conv1.weight", (s.width, 3, s.patch, s.patch)
    yield "visual.class_embedding", (s.width,)
    yield "visual.positional_embedding", (1 + (s.image // s.patch) ** 2, s.width)
    yield "visual.proj", (s.width, s.embed)
    yield from norms("visual.", "ln_pre", "ln_post", width=s.width)
    yield from blocks("visual.", s.width, s.layers)
    yield "token_embedding.weight", (49408, s.words)
    yield "positional_embedding", (77, s.words)
    yield "text_projection", (s.words, s.embed)
    yield from norms("", "ln_final", width=s.words)
    yield from blocks("", s.words, 12)
    yield "logit_scale", ()


def weights(s, dtype):
    import torch

    torch.manual_seed(1)
    out = {}
    for name, shape in shapes(s):
        if name == "logit_scale":
            t = torch.tensor(4.6052)
        elif "ln_" in name:
            t = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
        elif len(shape) < 2:
            t = torch.randn(shape) * 0.01
        else:
            t = torch.randn(shape) * shape[-1] ** -0.5
        out[name] = t.to(getattr(torch, dtype))
    return out


def scripted(tensors):
    """The tensors as parameters of modules of modules."""
    import torch
    from torch import nn

    class Node(nn.Module):
        def forward(self, x):
            return x

    root = Node()
    for name, t in tensors.items():
        *path, last = name.split(".")
        at = root
        for part in path:
            if part not in dict(at.named_children()):
                at.add_module(part, Node())
            at = getattr(at, part)
        at.register_parameter(last, nn.Parameter(t, requires_grad=False))
    return torch.jit.trace(root, torch.zeros(1), check_trace=False)


def make(folder, size, dtype, form):
    path = pathlib.Path(folder, f"{size}-{dtype}.{form}")
    if path.exists():
        return path
    import torch

    tensors = weights(SIZES[size], dtype)
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file(tensors, path)
    elif form == "bin":
        torch.save(tensors, path)
    else:
        torch.jit.save(scripted(tensors), str(path))
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("-size", choices=SIZES, default="ViT-L-14-336")
    p.add_argument("-dtype", choices=("float16", "float32", "bfloat16"), default="float16")
    p.add_argument("-form", choices=FORMS, default="safetensors")
    a = p.parse_args()
    print(make(a.folder, a.size, a.dtype, a.form))


if __name__ == "__main__":
    main()
