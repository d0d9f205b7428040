"""The PyTorch side of whole.py: python whole_torch.py MODEL.safetensors SIZE DATA THREADS"""

import pathlib
import sys

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transform import image_transform
from PIL import Image
from safetensors import safe_open
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

import model as clip

path, size, data, threads = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])


class Pictures(Dataset):
    def __init__(self, part, transform):
        folders = sorted((data / part).iterdir())
        self.classes = [f.name for f in folders]
        self.items = [(p, label) for label, f in enumerate(folders) for p in sorted(f.iterdir())]
        self.transform = transform

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        p, label = self.items[i]
        return self.transform(Image.open(p).convert("RGB")), label


def visual(read):
    """model.py's encoder with the checkpoint's weights."""
    net = clip.encoder(size)
    names = {}
    for name in net.state_dict():
        ours = name.replace("blocks.", "transformer.resblocks.").replace(".in_proj.",
            ".attn.in_proj_").replace(".out_proj.", ".attn.out_proj.")
        names[name] = "visual." + ours.replace(".c_fc.", ".mlp.c_fc.").replace(".c_proj.", ".mlp.c_proj.")
    net.load_state_dict({name: read(theirs).float() for name, theirs in names.items()})
    return net


def class_features(read, names, texts):
    """Features of texts; the text encoder ends with this function."""
    config = open_clip.get_model_config("ViT-L-14" if "L" in size else "ViT-B-32")["text_cfg"]
    encoder = open_clip.transformer.TextTransformer(width=config["width"], heads=config["heads"],
        layers=config["layers"], output_dim=clip.SIZES[size].embed,
                                                    act_layer=open_clip.transformer.QuickGELU)
    encoder.load_state_dict({name: read(name).float() for name in names if not name.startswith("visual.")
        and name != "logit_scale"})
    with torch.no_grad():
        return F.normalize(encoder.eval()(open_clip.tokenize(texts)), dim=-1), read("logit_scale").float().exp().item()


def accuracy(net, batches, classes):
    right = total = 0
    with torch.inference_mode():
        for images, labels in batches:
            right += (F.normalize(net(images), dim=-1) @ classes.T).argmax(-1).eq(labels).sum().item()
            total += len(labels)
    return 100 * right / total


def main():
    torch.set_num_threads(threads)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    crop = T.Compose([T.RandomResizedCrop(224, (0.08, 1), interpolation=T.InterpolationMode.BICUBIC),
        T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(mean, std)])
    train, tests = Pictures("train", crop), Pictures("test", image_transform(224, is_train=False, mean=mean, std=std))
    tests = DataLoader(tests, 100, num_workers=threads)
    train = DataLoader(train, 32, shuffle=True, drop_last=True, num_workers=threads)
    with safe_open(path, "pt") as f:
        read, names = f.get_tensor, list(f.keys())
        classes, scale = class_features(read, names, [f"a photo of a {name}." for name in tests.dataset.classes])
        net = visual(read)
    print(f"zero-shot {accuracy(net, tests, classes):.2f} %")
    scores = [layer.mask() for b in net.blocks for layer in (b.in_proj, b.out_proj)]
    adam = torch.optim.Adam(scores, lr=3e-4)
    masked = [layer for b in net.blocks for layer in (b.in_proj, b.out_proj)]

    def teacher(images):
        kept = [layer.scores for layer in masked]
        for layer in masked:
            layer.scores = None
        with torch.no_grad():
            z = scale * F.normalize(net(images), dim=-1) @ classes.T
        for layer, s in zip(masked, kept):
            layer.scores = s
        return z.softmax(-1)

    for images, labels in train:
        target = teacher(images)
        z = scale * F.normalize(net(images), dim=-1) @ classes.T
        distill = torch.autograd.grad(F.cross_entropy(z, target), scores, retain_graph=True)
        task = torch.autograd.grad(F.cross_entropy(z, labels), scores)
        for s, a, b in zip(scores, task, distill):
            purity = (1 + a.sign() * (a + b) / (a.abs() + b.abs() + 1e-8)) / 2
            s.grad = a * (purity > torch.rand_like(a))
        adam.step()
    print(f"tuned {accuracy(net, tests, classes):.2f} %")


if __name__ == "__main__":
    main()
