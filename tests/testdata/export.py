"""Opens what TestExport wrote with the programs for which the formats are: python export.py FOLDER. Prints, a line each,
what was compared and the largest difference, relative to the largest feature. Run by the test."""
import json
import os
import sys

import numpy as np
import torch

folder = sys.argv[1]
at = lambda *names: os.path.join(folder, *names)
want = json.load(open(at("want.json")))
n, k = 3, len(want["texts"])
normal = np.array(want["normal"], np.float32).reshape(n, 3, 64, 64)
pixels = np.array(want["pixels"], np.float32).reshape(n, 3, 64, 64)
image = np.array(want["image"]).reshape(n, -1)
text = np.array(want["text"]).reshape(k, -1)
end = max(max(i) for i in want["ids"])
ids = np.full((k, 24), end, np.int64)  # transformers pads with the end token
for row, i in zip(ids, want["ids"]):
    row[: len(i)] = i
torch.set_grad_enabled(False)


def show(what, got, wanted):
    got = np.asarray(got, np.float64)
    assert got.shape == wanted.shape, (what, got.shape, wanted.shape)
    print(f"{what}: {np.abs(got - wanted).max() / np.abs(wanted).max():.2e}")


unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
logits = want["scale"] * unit(image) @ unit(text).T

import transformers

from PIL import Image

print("version:", "transformers", transformers.__version__)
picture = Image.fromarray(pixels[0].transpose(1, 2, 0).astype(np.uint8))
if os.path.exists(at("transformers")):
    model, info = transformers.CLIPModel.from_pretrained(at("transformers"), output_loading_info=True)
    assert not any(info.values()), info
    assert model.dtype == torch.float32
    show("transformers-image", model.get_image_features(pixel_values=torch.tensor(normal)).pooler_output, image)
    show("transformers-text", model.get_text_features(input_ids=torch.tensor(ids)).pooler_output, text)
    show("transformers-logits", model(input_ids=torch.tensor(ids), pixel_values=torch.tensor(normal)).logits_per_image,
        logits)
    processor = transformers.AutoProcessor.from_pretrained(at("transformers"))
    for tokenizer in processor.tokenizer, transformers.CLIPTokenizer(at("transformers", "vocab.json"),
            at("transformers", "merges.txt")):
        assert tokenizer(want["texts"])["input_ids"] == want["ids"], tokenizer
    assert processor.tokenizer("a photo " * 40, truncation=True)["input_ids"].__len__() == 24
    pil = transformers.AutoProcessor.from_pretrained(at("transformers"), backend="pil")
    show("transformers-pixels", pil(images=picture, return_tensors="pt")["pixel_values"][0], normal[0])
    scores = transformers.pipeline("zero-shot-image-classification", at("transformers"))(picture,
        candidate_labels=want["texts"], hypothesis_template="{}")
    assert len({round(s["score"], 4) for s in scores}) > 1, scores

import open_clip

print("version:", "open_clip", open_clip.__version__)
model, _, transform = open_clip.create_model_and_transforms("local-dir:" + at("open_clip"), require_pretrained=True)
model.eval()
show("open_clip-image", model.encode_image(torch.tensor(normal)), image)
show("open_clip-text", model.encode_text(torch.tensor(ids)), text)
show("open_clip-pixels", transform(picture), normal[0])
tokens = open_clip.get_tokenizer("local-dir:" + at("open_clip"))(want["texts"])
show("open_clip-tokens", model.encode_text(tokens), text)
if os.path.exists(at("openai")):
    state = torch.load(at("openai", "model.pt"))
    assert all(v.dtype == torch.float32 for v in state.values())
    model = open_clip.load_openai_model(at("openai", "model.pt"), precision="fp32", device="cpu")
    rounded = model.encode_image(torch.tensor(normal)).numpy()
    print(f"rounded to float16 on the way, as clip.load does, {np.abs(rounded - image).max() / np.abs(image).max():.2e}")
    model.load_state_dict(state)  # in float32, every key
    show("openai-image", model.encode_image(torch.tensor(normal)), image)
    show("openai-text", model.encode_text(torch.tensor(ids)), text)

import onnx
import onnxruntime

print("version:", "onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
graphs = [p for p in (at("onnx", "onnx", "model.onnx"), at("classifier", "model.onnx")) if os.path.exists(p)]
for path in graphs:
    onnx.checker.check_model(path, full_check=True)
both = len(graphs) > 1 and onnxruntime.InferenceSession(at("onnx", "onnx", "model.onnx"))
length = max(len(i) for i in want["ids"])
for feed in (ids, ids[:, :length]) if both else ():
    got = dict(zip([o.name for o in both.get_outputs()],
                   both.run(None, {"pixel_values": normal[:2], "input_ids": feed,
                       "attention_mask": np.ones_like(feed)})))
    show("onnx-image", got["image_embeds"], unit(image)[:2])
    show("onnx-text", got["text_embeds"], unit(text))
    show("onnx-logits", got["logits_per_image"], logits[:2])
    show("onnx-logits", got["logits_per_text"], logits[:2].T)
one = onnxruntime.InferenceSession(at("classifier", "model.onnx"))
embeds, got, probabilities = one.run(["image_embeds", "logits", "probabilities"], {"pixels": pixels})
show("onnx-classifier-image", embeds, unit(image))
show("onnx-classifier-logits", got, logits)
e = np.exp(logits - logits.max(1, keepdims=True))
show("onnx-classifier-probabilities", probabilities, e / e.sum(1, keepdims=True))
assert json.loads(one.get_modelmeta().custom_metadata_map["classes"]) == want["texts"]
