"""Makes the fixtures beside this file: one tiny CLIP in every form that package checkpoint reads.

Needs torch, safetensors, transformers and open_clip. Run in this folder. Values are drawn as
multiples of 1/64 below 2, which float16 and bfloat16 hold exactly, so that all files hold the same
model. expected.json lists its canonical digest, computed here independently, and a few values.

The names come from the real implementations: open_clip's CLIP and CustomTextCLIP, transformers'
CLIPModel and CLIPVisionModel. The TorchScript archives imitate the module tree of OpenAI's.
"""

import collections
import hashlib
import inspect
import json
import os
import shutil
import struct
import warnings

import open_clip.model
import safetensors.torch
import torch
import transformers

warnings.filterwarnings("ignore")
torch.manual_seed(0)

# TorchScript archives record the path of the source they were made from: make it the same everywhere.
absolute = inspect.getsourcefile
inspect.getsourcefile = lambda obj: os.path.relpath(absolute(obj)) if absolute(obj) else None

WIDTH, LAYERS, TEXT_LAYERS, EMBED, PATCH, SIZE, VOCAB, CONTEXT = 8, 2, 1, 4, 4, 8, 16, 5
VISION = dict(layers=LAYERS, width=WIDTH, head_width=WIDTH, patch_size=PATCH, image_size=SIZE)
TEXT = dict(context_length=CONTEXT, vocab_size=VOCAB, width=WIDTH, heads=1, layers=TEXT_LAYERS)


def draw(shape):
    return torch.randint(-127, 128, shape).float() / 64


def digest(state):
    h = hashlib.sha256()
    for name in sorted(state):
        t = state[name].float().contiguous()
        h.update(struct.pack("<Q", len(name)) + name.encode())
        h.update(struct.pack("<Q", t.dim()) + b"".join(struct.pack("<Q", d) for d in t.shape))
        h.update(hashlib.sha256(t.numpy().tobytes()).digest())
    return h.hexdigest()


def openai_half(name, t):
    """The precisions of OpenAI's files: LayerNorm, BatchNorm, embeddings and logit_scale stay float32."""
    if t.is_floating_point() and any(k in name for k in ("attn", "mlp", "conv", "proj", "downsample.0")):
        return t.half()
    return t


class QuickGELU(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return x * torch.sigmoid(1.702 * x)


class Multimodal(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return x


class Part(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return x


def module_tree(state, parameters):
    """Nested modules whose attribute paths are the names of state, as in OpenAI's archives."""
    root = Multimodal()
    for name, t in state.items():
        *path, leaf = name.split(".")
        at = root
        for p in path:
            if not hasattr(at, p):
                at.add_module(p, Part())
            at = getattr(at, p)
        if name in parameters:
            at.register_parameter(leaf, torch.nn.Parameter(t, requires_grad=t.is_floating_point()))
        else:
            at.register_buffer(leaf, t)
        if path and path[-1] == "mlp" and not hasattr(at, "gelu"):
            at.add_module("gelu", QuickGELU())
    for m in list(root.modules()):
        if hasattr(m, "c_fc") and not hasattr(m, "gelu"):
            m.add_module("gelu", QuickGELU())
    return root


def save_script(state, parameters, path):
    torch.jit.save(torch.jit.script(module_tree(state, parameters)), path)


def save_folder(path, weights, **files):
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    for name, content in files.items():
        with open(os.path.join(path, name.replace("__", ".")), "w") as f:
            json.dump(content, f, indent=1)
    for name, state in weights.items():
        if name.endswith(".safetensors"):
            safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(path, name),
                {"format": "pt"})
        else:
            torch.save(state, os.path.join(path, name))


expected = {}

# The model, under OpenAI's names.
clip = open_clip.model.CLIP(EMBED, VISION, TEXT, quick_gelu=True)
vit = {k: draw(v.shape) for k, v in clip.state_dict().items()}
clip.load_state_dict(vit)
expected["vit"] = dict(
    digest=digest(vit),
    shapes={k: list(v.shape) for k, v in sorted(vit.items())},
    values={k: vit[k].flatten().tolist() for k in ("visual.proj", "text_projection", "logit_scale",
        "visual.transformer.resblocks.1.attn.in_proj_weight")},
)
half = {k: openai_half(k, v) for k, v in vit.items()}
scalars = dict(input_resolution=torch.tensor(SIZE), context_length=torch.tensor(CONTEXT),
    vocab_size=torch.tensor(VOCAB))

save_script({**half, **scalars}, set(vit), "vit_script.pt")
torch.save(collections.OrderedDict(half), "vit_half.pt")
torch.save(
    {"epoch": 3, "name": "tiny", "lr": 1e-3, "big": 2**40, "betas": (0.9, 0.98), "schedule": [1, 2], "none": None,
     "state_dict": collections.OrderedDict(("module." + k, torch.nn.Parameter(v.bfloat16())) for k, v in vit.items()),
     "optimizer": {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]}},
    "vit_wrapped_bf16.pt",
)
safetensors.torch.save_file(vit, "vit.safetensors", {"activation": "quickgelu"})

# The same model as transformers has it.
config = transformers.CLIPConfig(
    vision_config=dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH, projection_dim=EMBED, num_hidden_layers=LAYERS,
        num_attention_heads=1, image_size=SIZE, patch_size=PATCH),
    text_config=dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH, projection_dim=EMBED,
        num_hidden_layers=TEXT_LAYERS, num_attention_heads=1, vocab_size=VOCAB, max_position_embeddings=CONTEXT,
        bos_token_id=VOCAB - 2, eos_token_id=VOCAB - 1, pad_token_id=0),
    projection_dim=EMBED,
)


def to_transformers(state):
    out = {}
    tops = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "logit_scale": "logit_scale",
    }
    for k, v in state.items():
        if k in tops:
            out[tops[k]] = v
        elif k in ("visual.proj", "text_projection"):
            out["visual_projection.weight" if k == "visual.proj" else "text_projection.weight"] = v.t()
        else:
            side = "vision_model." if k.startswith("visual.") else "text_model."
            k = k.removeprefix("visual.")
            for a, b in (("transformer.resblocks", "encoder.layers"), ("ln_pre", "pre_layrnorm"),
                    ("ln_post", "post_layernorm"), ("ln_final", "final_layer_norm"),
                         ("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"),
                         ("mlp.c_proj", "mlp.fc2"), ("attn.", "self_attn.")):
                k = k.replace(a, b)
            if "in_proj_" in k:
                for part, rows in zip("qkv", v.chunk(3)):
                    out[side + k.replace("in_proj_", part + "_proj.")] = rows
            else:
                out[side + k] = v
    return out


hf = to_transformers(vit)
model = transformers.CLIPModel(config)
model.load_state_dict(hf)  # strict: the names are transformers' own
shutil.rmtree("hf", ignore_errors=True)
model.save_pretrained("hf")
transformers.CLIPImageProcessor(size={"shortest_edge": SIZE},
    crop_size={"height": SIZE, "width": SIZE}).save_pretrained("hf")
with open("hf/merges.txt", "w") as f:
    f.write("#version: 0.2\ni n\n")
with open("hf/vocab.json", "w") as f:
    json.dump({"in": 0}, f)

shutil.rmtree("hf_sharded", ignore_errors=True)
model.save_pretrained("hf_sharded", max_shard_size="5KB")

vision = transformers.CLIPVisionModel(config.vision_config)
vision_state = {k.removeprefix("vision_model."): v for k, v in hf.items() if k.startswith("vision_model.")}
vision.load_state_dict({k if k in vision.state_dict() else "vision_model." + k: v for k, v in vision_state.items()})
shutil.rmtree("hf_vision", ignore_errors=True)
vision.save_pretrained("hf_vision")
expected["hf_vision"] = dict(digest=digest({k: v for k, v in vit.items() if k.startswith("visual.")
    and k != "visual.proj"}))

# The same model as open_clip has it: CustomTextCLIP in a folder, with pickled weights.
custom = open_clip.model.CustomTextCLIP(EMBED, VISION, TEXT, quick_gelu=True)
text_top = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")
renamed = {("text." + k if k.startswith(text_top) else k): v for k, v in vit.items()}
custom.load_state_dict(renamed)  # strict
save_folder(
    "open_clip",
    {"open_clip_model.safetensors": {k: v.half() for k, v in renamed.items()}},
    open_clip_config__json={
        "model_cfg": {"embed_dim": EMBED, "quick_gelu": True, "custom_text": True, "vision_cfg": VISION,
            "text_cfg": TEXT},
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic",
            "resize_mode": "shortest"},
    },
)

# A ResNet.
resnet = open_clip.model.CLIP(EMBED, dict(layers=[1, 1, 1, 1], width=2, head_width=64, image_size=32), TEXT,
    quick_gelu=True)
rn = {k: draw(v.shape) if v.is_floating_point() else v for k, v in resnet.state_dict().items()}
resnet.load_state_dict(rn)
expected["rn"] = dict(digest=digest({k: v for k, v in rn.items() if "num_batches_tracked" not in k}))
torch.save({k: openai_half(k, v) for k, v in rn.items()}, "rn_half.pt")

# Two small archives for tests that flip every bit.
base = torch.arange(12.0).reshape(3, 4)
torch.save({"whole": base, "transposed": base.t(), "column": base[:, 1], "empty": torch.zeros(0, 2),
    "long": torch.tensor([1, 2])}, "views.pt")
save_script({"visual.proj": draw((2, 3)), "logit_scale": torch.tensor(1.5).half()}, {"visual.proj", "logit_scale"},
    "small_script.pt")

# A file from before torch 1.6. Its storage keys are memory addresses: it alone differs from run to run.
torch.save({"a": torch.zeros(2)}, "legacy.pt", _use_new_zipfile_serialization=False)
# A whole module, which is code.
torch.save(torch.nn.Linear(2, 2), "module.pt")

with open("expected.json", "w") as f:
    json.dump(expected, f, indent=1)

for folder, _, files in os.walk("."):
    for name in sorted(files):
        path = os.path.join(folder, name)
        if not path.endswith(".py"):
            print(os.path.getsize(path), path)
