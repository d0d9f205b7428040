"""Makes the cases beside this file: tiny models of CLIP's relatives with seeded random weights, saved by their own
libraries, and their features in float64. The layout is that of TestGoldenVectors' third form; input_ids are made up.

Made with torch 2.15.0, open_clip 3.3.0, timm 1.0.31, transformers 5.24.0, torchvision 0.29.2, Pillow 13.0.0. Run in
this folder.
"""

import json
import pathlib
import shutil

import numpy as np
import safetensors.torch
import timm
import torch
import transformers
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image
from torchvision import transforms as T

HERE = pathlib.Path(__file__).parent
for name in ("cases", "images", "pixels"):
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir()
Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 14, 3), np.uint8)).save(HERE / "images" / "a.png")
IDS = torch.tensor([[38, 5, 7, 39, 1, 1, 1, 1], [38, 9, 3, 2, 30, 31, 4, 39]], dtype=torch.int32)


def seeded(model):
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn(p.shape, generator=g) * (0.6 if p.ndim > 1 else 0.2) + (1 if p.ndim == 1
                and name.endswith("weight") else 0))
        for p in model.parameters():
            p.copy_(p.half().float())
    return model.eval()


def case(name, family, layout, model, save, size, squash=False, timm_overrides=None, ids=IDS, bilinear=False,
        mean=(0.5,) * 3, std=(0.25,) * 3, resize=None):
    folder = HERE / "cases" / name
    save(folder / layout)
    kind = T.InterpolationMode.BILINEAR if bilinear else T.InterpolationMode.BICUBIC
    edge = resize or size
    prepare = T.Compose([T.Resize((edge, edge) if squash else edge, kind), T.CenterCrop(size), T.ToTensor(),
        T.Normalize(mean, std)])
    pixels = prepare(Image.open(HERE / "images" / "a.png"))[None]
    safetensors.torch.save_file({"pixel_values": pixels}, HERE / "pixels" / f"{name}.safetensors")
    model = model.double()
    for m in model.modules():
        if isinstance(m, timm.layers.RotaryEmbeddingCat):  # whose table came of angles in float32
            bands = 10000.0 ** (-torch.arange(m.dim // 4, dtype=torch.float64) / (m.dim // 4))
            (g, _), (ref, _), shift = m.feat_shape, m.ref_feat_shape, m.grid_offset
            places = torch.arange(g * g)
            at = [(places // g + shift).double() / g * ref, (places % g + shift).double() / g * ref]
            first, second = at[::-1] if m.grid_indexing == "xy" else at
            angles = torch.cat([first[:, None] * bands, second[:, None] * bands], 1).repeat_interleave(2, -1)
            table = [angles.sin(), angles.cos()]
            near = (torch.cat(table, -1) - m.pos_embed).abs().max()
            assert m.pos_embed.dtype == torch.float64 and near < 1e-4, near
            m.pos_embed = torch.cat(table, -1)
    with torch.no_grad():
        if layout == "open_clip":
            image, text = model.encode_image(pixels.double(), normalize=False), model.encode_text(ids, normalize=False)
        else:
            image, text = model.get_image_features(pixel_values=pixels.double()), model.get_text_features(input_ids=ids.long())
            image, text = getattr(image, "pooler_output", image), getattr(text, "pooler_output", text)
    unit = lambda x: x / x.norm(dim=-1, keepdim=True)
    out = {"input_ids": ids, "image_features": image, "text_features": text, "image_embeds": unit(image),
        "text_embeds": unit(text)}
    safetensors.torch.save_file({k: (v if k == "input_ids" else v.float()).contiguous() for k, v in out.items()},
        folder / "expected.safetensors")
    about = dict(name=name, family=family, layout=layout, images=["a.png"], texts=[""] * len(ids), tokenizer=None,
        weights_of=None,
                 pixel_values=f"pixels/{name}.safetensors", context_length=8)
    if timm_overrides:
        about["timm_overrides"] = timm_overrides
    (folder / "case.json").write_text(json.dumps(about, indent=1) + "\n")


def one_open_clip(name, family, model_cfg, size, pre, **how):
    over = model_cfg.pop("timm", {})
    create = timm.create_model
    timm.create_model = lambda n, **kw: create(n, **{**kw, **over, "pretrained": False})
    custom = model_cfg.get("custom_text", False)
    kind = CoCa if "multimodal_cfg" in model_cfg else CustomTextCLIP if custom else CLIP
    model = seeded(kind(**{k: v for k, v in model_cfg.items() if k != "custom_text"}))
    timm.create_model = create

    def save(folder):
        folder.mkdir(parents=True)
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg, "preprocess_cfg": pre},
            indent=1) + "\n")
        safetensors.torch.save_file({k: v.half().contiguous() for k, v in model.state_dict().items()},
            folder / "open_clip_model.safetensors")

    case(name, family, "open_clip", model, save, size, timm_overrides=over, **how)


TEXT = dict(context_length=8, vocab_size=40, width=12, heads=2, layers=2)
HALF = dict(mean=[0.5] * 3, std=[0.25] * 3)
one_open_clip("clipa", "CLIPA", dict(
    embed_dim=8, vision_cfg=dict(image_size=8, layers=2, width=18, head_width=6, patch_size=4, no_ln_pre=True,
        pool_type="avg", final_ln_after_pool=True, mlp_ratio=2.6),
    text_cfg=dict(TEXT, pool_type="last", no_causal_mask=True, hf_tokenizer_name="bert-base-uncased")),
    8, dict(HALF, interpolation="bilinear", resize_mode="squash"), squash=True, bilinear=True)
one_open_clip("blocks", "layer scale, tanh GELU, epsilons", dict(
    embed_dim=8, vision_cfg=dict(image_size=8, layers=2, width=12, head_width=6, patch_size=4, ls_init_value=0.1,
        pool_type="avg", act_kwargs=dict(approximate="tanh"),
                                 norm_kwargs=dict(eps=1e-3)),
    text_cfg=dict(TEXT, ls_init_value=0.1, pool_type="first", proj_bias=True, norm_kwargs=dict(eps=1e-4))),
    8, dict(HALF, interpolation="bicubic", resize_mode="shortest"))
one_open_clip("timm", "timm's SigLIP in open_clip", dict(
    embed_dim=24, custom_text=True, timm=dict(embed_dim=24, depth=1, img_size=10, patch_size=4, mlp_ratio=2),
    vision_cfg=dict(image_size=10, timm_model_name="vit_base_patch16_siglip_224", timm_model_pretrained=False,
        timm_pool="map", timm_proj="none"),
    text_cfg=dict(TEXT, pool_type="last", no_causal_mask=True, proj_bias=True, norm_kwargs=dict(eps=1e-6),
        hf_tokenizer_name="x/siglip"), init_logit_bias=-10.0),
    10, dict(HALF, interpolation="bicubic", resize_mode="squash"), squash=True)
one_open_clip("timm-clip", "timm's CLIP in open_clip", dict(
    embed_dim=8, custom_text=True, timm=dict(embed_dim=32, depth=1, img_size=8, patch_size=4, mlp_ratio=1),
    vision_cfg=dict(image_size=8, timm_model_name="vit_large_patch14_clip_224", timm_model_pretrained=False,
        timm_pool="token", timm_proj=None),
    text_cfg=dict(TEXT, no_causal_mask=True)),
    8, dict(HALF, interpolation="bicubic", resize_mode="shortest"))
# A Perception Encoder, with a class token and without; EVA-02, EVA-02's largest with norms behind attention and MLP,
# and EVA-01.
for name, tower, over in (("pe", "vit_pe_core_tiny_patch16_384",
        dict(num_heads=3, embed_dim=24, attn_pool_mlp_ratio=2)),
                          ("pe-gigantic", "vit_pe_core_gigantic_patch14_448",
                              dict(embed_dim=64, attn_pool_mlp_ratio=1)),
                          ("eva02", "eva02_base_patch16_clip_224", dict(embed_dim=48)),
                          ("eva02-post", "eva02_enormous_patch14_clip_224", dict(embed_dim=32)),
                          ("eva01", "eva_giant_patch14_224", dict(embed_dim=32))):
    pe = name.startswith("pe")
    one_open_clip(name, "Perception Encoder" if pe else "EVA-CLIP", dict(
        embed_dim=8, custom_text=True, timm=dict(dict(depth=1, img_size=12, patch_size=4, mlp_ratio=1), **over),
        vision_cfg=dict(image_size=12, timm_model_name=tower, timm_model_pretrained=False,
            timm_pool="map" if pe else "token", timm_proj=None),
        text_cfg=dict(TEXT, layers=1, mlp_ratio=1)),
        12, dict(HALF, interpolation="bilinear" if pe else "bicubic", resize_mode="squash" if pe else "shortest"),
        squash=pe, bilinear=pe)
# With ids that are padding in the middle of a text, and at the end of a full one.
COCA = torch.tensor([[38, 5, 7, 39, 0, 0, 0, 0], [38, 9, 0, 2, 30, 31, 4, 39], [38, 0, 3, 39, 0, 0, 0, 0],
    [38, 9, 3, 2, 30, 31, 4, 0]], dtype=torch.int32)
for name, width in (("coca", 12), ("coca-square", 8)):
    one_open_clip(name, "CoCa", dict(
        embed_dim=8, custom_text=True, multimodal_cfg=dict(context_length=8, width=8, heads=2, layers=1,
            attn_pooler_heads=2, mlp_ratio=1),
        vision_cfg=dict(image_size=8, layers=1, width=width, head_width=4, patch_size=4, mlp_ratio=1,
            attentional_pool=True, attn_pooler_heads=2, attn_pooler_queries=3, output_tokens=True),
        text_cfg=dict(TEXT, mlp_ratio=1, embed_cls=True, output_tokens=True)), 8,
        dict(HALF, interpolation="bicubic", resize_mode="shortest"), ids=COCA)

small = dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2)
siglip = seeded(transformers.SiglipModel(transformers.SiglipConfig(
    text_config=dict(small, vocab_size=40, max_position_embeddings=8, projection_size=16, bos_token_id=None,
        eos_token_id=1, pad_token_id=1),
    vision_config=dict(small, image_size=10, patch_size=4))))


def save_siglip(folder):
    siglip.half().save_pretrained(folder)
    siglip.float()
    image = dict(image_processor_type="SiglipImageProcessor", size=dict(height=10, width=10), resample=3,
        image_mean=[0.5] * 3, image_std=[0.25] * 3, do_convert_rgb=None)
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": image,
        "processor_class": "SiglipProcessor"}, indent=1) + "\n")


case("siglip", "SigLIP", "transformers", siglip, save_siglip, 10, squash=True)

meta = seeded(transformers.MetaClip2Model(transformers.MetaClip2Config(
    text_config=dict(small, vocab_size=40, max_position_embeddings=8, projection_dim=8, bos_token_id=0, eos_token_id=7,
        pad_token_id=1),
    vision_config=dict(small, image_size=8, patch_size=4, projection_dim=8), projection_dim=8)))


def save_meta(folder):
    meta.half().save_pretrained(folder)
    meta.float()
    image = dict(image_processor_type="CLIPImageProcessor", size=dict(shortest_edge=9), crop_size=8,
        image_mean=[0.5] * 3, image_std=[0.25] * 3)
    (folder / "preprocessor_config.json").write_text(json.dumps(image, indent=1) + "\n")


case("metaclip2", "MetaCLIP 2", "transformers", meta, save_meta, 8, resize=9)
