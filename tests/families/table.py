"""Says what fewshot makes of each of open_clip's configurations and of transformers' CLIP-like classes, and writes the
table into docs/models.md between its two marks.

    python table.py FEWSHOT MERGES

FEWSHOT is the built program, MERGES the merges.txt of a small vocabulary of CLIP's kind; those of other kinds are
text/subword's. Made with the versions in VERSIONS.

Every configuration is kept as it is but for its sizes: two layers, heads eight wide, three by three patches, a small
vocabulary. A model of it gets seeded random weights, is saved by the library itself, and its features of one picture
and two texts, of length 1, are compared with the program's. What the program refuses at the configuration needs no
weights. The ids of texts are open_clip's tokenizer's where a configuration names one of Hugging Face's, and the
program's own otherwise.
"""

import collections
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import open_clip
import safetensors.torch
import timm
import torch
import transformers
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

FEWSHOT, MERGES = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
VERSIONS = f"open_clip {open_clip.__version__}, transformers {transformers.__version__}, timm {timm.__version__}, torch {torch.__version__.split('+')[0]}"
SUBWORD = pathlib.Path(__file__).resolve().parents[2] / "text" / "subword" / "testdata"
TEXTS = ["a photo of a cat.", "the red dog"]
DIR = pathlib.Path(tempfile.mkdtemp())
PICTURE = DIR / "picture.png"
Image.fromarray(np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8)).resize((166, 122)).save(PICTURE)


def fewshot(*args):
    r = subprocess.run([FEWSHOT, *map(str, args)], capture_output=True, text=True)
    return r.returncode, r.stdout, r.stderr.strip()


def refusal(folder):
    """The words of the program, None if it has none."""
    code, _, err = fewshot("info", folder)
    if code == 0:
        return None
    return plain(err)


def plain(err):
    """Without paths, bytes, and what was expected."""
    err = re.sub(r"^fewshot \w+: (checkpoint: )?\S*?: ", "", err)
    return re.sub(r"at byte \d+: |; (expected|CLIP models do load).*", "", err)


def features(folder, *args):
    code, out, err = fewshot("encode", "-model", folder, "-json", *args)
    if code:
        return None, err
    return [json.loads(l) for l in out.splitlines()], ""


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def compare(folder, image, text):
    """image() gives the library's feature of the picture, text(ids) those of texts by their ids."""
    words = refusal(folder)
    if words:
        return words
    got, err = features(folder, PICTURE)
    if got is None:
        return plain(err)
    off = np.abs(unit(got[0]["feature"]) - unit(image())).max()
    outcome = f"loads; images off by {off:.0e}"
    got, err = features(folder, *sum((["-text", t] for t in TEXTS), []))
    if got is None:
        if "no text encoder" in err:
            return outcome
        return outcome + "; texts: " + err
    off = max(np.abs(unit(g["feature"]) - unit(text(g["tokens"]))).max() for g in got)
    return outcome + f", texts by {off:.0e}"


def seeded(model):
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.copy_(torch.randn(p.shape, generator=g) * (2 / p[0].numel()) ** 0.5)
            elif name.endswith("bias") or "embedding" in name:
                p.copy_(torch.randn(p.shape, generator=g) * 0.1)
            elif p.ndim == 1 and p.numel() > 1:
                p.copy_(1 + torch.randn(p.shape, generator=g) * 0.1)
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=g) * 0.1)
    return model.eval()


def shrink(cfg):
    """The configuration with small sizes, and what timm's tower is made smaller by."""
    cfg = json.loads(json.dumps(cfg))
    v, t, over = cfg["vision_cfg"], cfg["text_cfg"], {}
    if "timm_model_name" in v:
        heads = next((h for part, h in {"_tiny_": 3, "_small_": 6, "_base_": 12, "_large_": 16, "_so400m_": 16,
            "_giantopt_": 16, "_giant_": 16, "_gigantic_": 16,
            "_enormous_": 16}.items() if part in v["timm_model_name"]), 4)
        patch = int(re.search(r"patch(\d+)", v["timm_model_name"] + "patch16").group(1))
        v["image_size"], over = 3 * patch, dict(embed_dim=8 * heads, depth=2, img_size=3 * patch)
        cfg["embed_dim"] = 8 * heads
    elif isinstance(v.get("layers", 12), list):
        v.update(layers=[1, 1, 1, 1], width=8, image_size=64)
        cfg["embed_dim"] = 24
    else:
        heads = v.get("width", 768) // v.get("head_width", 64)
        v.update(layers=2, head_width=8, width=8 * heads, image_size=3 * v.get("patch_size", 16))
        cfg["embed_dim"] = 24
    if "hf_model_name" not in t:
        t.update(layers=2, width=8 * t.get("heads", 8), vocab_size=604)
    if t.get("pool_type") == "eos":
        t["eos_id"] = 1  # the small vocabulary's
    return cfg, over


@contextlib.contextmanager
def smaller(over):
    create = timm.create_model
    timm.create_model = lambda name, **kw: create(name, **{**kw, **over, "pretrained": False})
    try:
        yield
    finally:
        timm.create_model = create


def one_open_clip(name):
    tags = open_clip.pretrained.list_pretrained_tags_by_model(name)
    pre = open_clip.get_pretrained_cfg(name, tags[0]) if tags else {}
    pre = {k: pre[k] for k in ("mean", "std", "interpolation", "resize_mode") if k in pre}
    cfg, over = shrink(open_clip.get_model_config(name))
    folder = DIR / "open_clip" / name
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": pre}))
    safetensors.torch.save_file({"visual.proj": torch.zeros(1, 1)}, folder / "open_clip_model.safetensors")
    words = refusal(folder)
    if words and words.startswith('"'):
        return words  # of a key of its configuration
    kw = {k: v for k, v in cfg.items() if k not in ("custom_text", "multimodal_cfg")}
    kw["text_cfg"] = {k: v for k, v in kw["text_cfg"].items()}
    custom = cfg.get("custom_text") or "timm_model_name" in cfg["vision_cfg"]
    with smaller(over):
        model = seeded((CustomTextCLIP if custom else CLIP)(**kw))
    safetensors.torch.save_file({k: v.contiguous() for k, v in model.state_dict().items()},
        folder / "open_clip_model.safetensors")
    tokenizer = None
    length = cfg["text_cfg"].get("context_length", 77)
    if "hf_tokenizer_name" not in cfg["text_cfg"]:
        shutil.copy(MERGES, folder / "merges.txt")
    else:
        kind = cfg["text_cfg"]["hf_tokenizer_name"].lower()
        kind, pad = ("bpe", "<pad>") if "siglip2" in kind else ("wordpiece", "[PAD]") if "bert" in kind else ("unigram",
            "</s>" if "siglip" in kind else "<pad>")
        shutil.copy(SUBWORD / f"{kind}.json", folder / "tokenizer.json")
        about = dict(tokenizer_class="TokenizersBackend", pad_token=pad) | (dict(sep_token="[SEP]")
            if kind == "wordpiece" else {})
        (folder / "tokenizer_config.json").write_text(json.dumps(about))
        tokenizer = open_clip.tokenizer.HFTokenizer(str(folder), context_length=length,
            **cfg["text_cfg"].get("tokenizer_kwargs", {}))
    size = cfg["vision_cfg"]["image_size"]
    prepare = image_transform_v2(PreprocessCfg(**{**pre, "size": size}), is_train=False)

    def image():
        with torch.no_grad():
            return model.encode_image(prepare(Image.open(PICTURE))[None])[0].numpy()

    def text(ids):
        with torch.no_grad():
            own = torch.tensor([ids + [0] * (length - len(ids))]) if tokenizer is None else tokenizer([TEXTS[text.calls % len(TEXTS)]])
            text.calls += 1
            return model.encode_text(own)[0].numpy()

    text.calls = 0

    return compare(folder, image, text)


def one_transformers(name):
    folder = DIR / "transformers" / name
    cls = getattr(transformers, name)
    small = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    vision, words = dict(small, image_size=48, patch_size=16), dict(small, vocab_size=604, max_position_embeddings=77,
        eos_token_id=603, bos_token_id=602)
    if name in ("CLIPModel", "MetaClip2Model"):
        if name == "MetaClip2Model":
            words["eos_token_id"] = 1
        config = cls.config_class(text_config=dict(words, projection_dim=24),
            vision_config=dict(vision, projection_dim=24), projection_dim=24)
    elif name == "SiglipModel":
        config = cls.config_class(text_config=dict(words, projection_size=32, max_position_embeddings=16),
            vision_config=vision)
    elif name in ("CLIPVisionModel", "CLIPVisionModelWithProjection"):
        config = cls.config_class(**vision, projection_dim=24)
    else:
        folder.mkdir(parents=True)
        cls.config_class().save_pretrained(folder)
        safetensors.torch.save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
        return refusal(folder)
    model = seeded(cls(config))
    model.save_pretrained(folder)
    size = {"height": 48, "width": 48} if name == "SiglipModel" else {"shortest_edge": 48}
    kind = transformers.SiglipImageProcessor if name == "SiglipModel" else transformers.CLIPImageProcessor
    processor = kind(size=size) if name == "SiglipModel" else kind(size=size, crop_size={"height": 48, "width": 48})
    processor.save_pretrained(folder)
    if name == "SiglipModel":
        shutil.copy(SUBWORD / "unigram.model", folder / "spiece.model")
    elif name == "MetaClip2Model":
        shutil.copy(SUBWORD / "unigram.json", folder / "tokenizer.json")
    else:
        shutil.copy(MERGES, folder / "merges.txt")
    # The pixels of Pillow, by torchvision: the processors' own ways differ by a level here and there.
    from torchvision import transforms as T
    steps = [T.Resize((48, 48) if name == "SiglipModel" else 48, T.InterpolationMode.BICUBIC), T.CenterCrop(48),
        T.ToTensor(), T.Normalize(processor.image_mean, processor.image_std)]
    pixels = T.Compose(steps)(Image.open(PICTURE))[None]

    def image():
        with torch.no_grad():
            f = model.get_image_features(pixel_values=pixels) if hasattr(model,
                "get_image_features") else model(pixel_values=pixels).image_embeds
            return getattr(f, "pooler_output", f)[0].numpy()

    def text(ids):
        with torch.no_grad():
            if name == "SiglipModel":
                ids = ids + [1] * (16 - len(ids))
            f = model.get_text_features(input_ids=torch.tensor([ids]))
            return getattr(f, "pooler_output", f)[0].numpy()

    return compare(folder, image, text)


def outcomes(names, one):
    by = collections.OrderedDict()
    for name in names:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                outcome = one(name)
            except Exception as e:  # the library's own fault is part of the answer
                outcome = f"the library fails: {type(e).__name__}: {str(e)[:120]}"
        print(name, "|", outcome, file=sys.stderr)
        by.setdefault(outcome, []).append(name)
    return by


def merged(by):
    """Rows of the table: models that load are one row for each kind of outcome, with the largest error."""
    rows = collections.OrderedDict()
    for outcome, names in by.items():
        kind = re.sub(r"\d\.?\d*e-\d+", "#", outcome)
        errors = [float(x) for x in re.findall(r"\d\.?\d*e-\d+", outcome)] if "#" in kind else []
        old = rows.setdefault(kind, ([], [0.0] * len(errors)))
        old[0].extend(names)
        old[1][:] = [max(a, b) for a, b in zip(old[1], errors)]
    for kind, (names, errors) in rows.items():
        for e in errors:
            kind = kind.replace("#", f"{e:.0e}", 1)
        yield names, kind


def main():
    text = [f"{VERSIONS}; errors are the largest of a unit feature's elements.\n"]
    likes = ["CLIPModel", "CLIPVisionModelWithProjection", "CLIPVisionModel", "SiglipModel", "MetaClip2Model",
        "Siglip2Model", "AltCLIPModel", "ChineseCLIPModel",
             "CLIPSegModel", "CLIPTextModelWithProjection", "XCLIPModel", "OwlViTModel", "AlignModel", "GroupViTModel",
             "FlavaModel", "BlipModel", "ViTModel", "Dinov2Model"]
    for title, names, one in (("open_clip configurations", open_clip.list_models(), one_open_clip),
            ("transformers classes", likes, one_transformers)):
        text.append(f"| {title} | what comes |\n|---|---|")
        for names, outcome in merged(outcomes(names, one)):
            text.append(f"| {', '.join(names)} | {outcome.replace('|', '/')} |")
        text.append("")
    docs = pathlib.Path(__file__).parents[2] / "docs" / "models.md"
    begin, end = "<!-- made by tests/families/table.py -->", "<!-- end -->"
    old = docs.read_text()
    docs.write_text(old[:old.index(begin) + len(begin)] + "\n" + "\n".join(text) + old[old.index(end):])


main()
