"""CLIP's vision transformer and R-AMT's training step in PyTorch, as a careful user would write them.

Frozen weights carry no gradients. The weights of attention (in_proj_weight, out_proj.weight) are seen through masks,
1 where a score is above the threshold, with the gradient passed straight through. Attention is PyTorch's fused one.
The step runs the teacher under no_grad, the student forwards once and backwards for each loss, drops elements of the
task's gradient by their purity, and leaves the rest to Adam. AMT is the same without teacher and dropping.

    python tests/peers/model.py

checks that every configuration comes to the same gradients.
"""

import math
from typing import NamedTuple, Optional

import torch
import torch._functorch.config
import torch._inductor.config
import torch.nn.functional as F

THRESHOLD = 5e-3
CLASSES = 100


class Size(NamedTuple):
    """A vision transformer for images of 224 pixels a side."""

    patch: int
    width: int
    layers: int
    embed: int

    @property
    def heads(self):
        return self.width // 64


SIZES = {"ViT-B-32": Size(32, 768, 12, 512), "ViT-B-16": Size(16, 768, 12, 512), "ViT-L-14": Size(14, 1024, 24, 768)}


class Mask(torch.autograd.Function):
    """weight where its score is above the threshold, else 0."""

    @staticmethod
    def forward(ctx, weight, scores):
        ctx.save_for_backward(weight)
        return torch.where(scores > THRESHOLD, weight, 0)

    @staticmethod
    def backward(ctx, g):
        return None, g * ctx.saved_tensors[0]


# Weights in oneDNN's own layout, by number: a compiled model takes no such tensors as arguments.
PACKED = []


@torch.library.custom_op("peers::linear", mutates_args=())
def linear(x: torch.Tensor, weight: torch.Tensor, bias: Optional[torch.Tensor], packed: int) -> torch.Tensor:
    """x·weightᵀ + bias by oneDNN's kernels, which float32 layers of PyTorch do not use; by PACKED[packed] unless it is
    -1."""
    return torch.ops.mkldnn._linear_pointwise(x, PACKED[packed] if packed >= 0 else weight, bias, "none", [], "")


@linear.register_fake
def _(x, weight, bias, packed):
    return x.new_empty(*x.shape[:-1], len(weight))


class OneDNN(torch.autograd.Function):
    """A linear layer by oneDNN. A frozen weight has been packed, and after it its transpose for the way back."""

    @staticmethod
    def forward(ctx, x, weight, bias, packed):
        ctx.save_for_backward(x, weight)
        ctx.packed = packed
        return linear(x, weight, bias, packed)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        dx = linear(g, weight.t(), None, ctx.packed if ctx.packed < 0 else ctx.packed
            + 1) if ctx.needs_input_grad[0] else None
        dw = g.flatten(0, -2).t() @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
        return dx, dw, None, None


class Linear(torch.nn.Linear):
    """A frozen layer whose weight may be masked, multiplied by what PyTorch chooses or by oneDNN."""

    def __init__(self, *size):
        super().__init__(*size)
        self.register_parameter("scores", None)
        self.onednn = False

    def mask(self):
        scores = torch.full_like(self.weight, 1e-2)
        scores.view(-1)[::40] = 0
        self.scores = torch.nn.Parameter(scores)
        return self.scores

    def pack(self, rows):
        """Multiply by oneDNN, for as many rows."""
        self.onednn, self.packed = True, -1
        if self.scores is None:
            self.packed = len(PACKED)
            for weight in (self.weight, self.weight.t().contiguous()):
                PACKED.append(torch.ops.mkldnn._reorder_linear_weight(weight, rows))

    def forward(self, x):
        weight = self.weight if self.scores is None else Mask.apply(self.weight, self.scores)
        if self.onednn:
            return OneDNN.apply(x, weight, self.bias, self.packed)
        return F.linear(x, weight, self.bias)


class Block(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        w = size.width
        self.heads = size.heads
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(w), torch.nn.LayerNorm(w)
        self.in_proj, self.out_proj = Linear(w, 3 * w), Linear(w, w)
        self.c_fc, self.c_proj = Linear(w, 4 * w), Linear(4 * w, w)

    def forward(self, x):
        n, l, w = x.shape
        q, k, v = (t.view(n, l, self.heads, -1).transpose(1, 2) for t in self.in_proj(self.ln_1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, l, w)
        x = x + self.out_proj(a)
        h = self.c_fc(self.ln_2(x))
        return x + self.c_proj(h * torch.sigmoid(1.702 * h))


class ViT(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        w, tokens = size.width, (224 // size.patch) ** 2 + 1
        self.conv1 = torch.nn.Conv2d(3, w, size.patch, size.patch, bias=False)
        self.class_embedding = torch.nn.Parameter(torch.randn(w) / math.sqrt(w))
        self.positional_embedding = torch.nn.Parameter(torch.randn(tokens, w) / math.sqrt(w))
        self.ln_pre, self.ln_post = torch.nn.LayerNorm(w), torch.nn.LayerNorm(w)
        self.blocks = torch.nn.Sequential(*(Block(size) for _ in range(size.layers)))
        self.proj = torch.nn.Parameter(torch.randn(w, size.embed) / math.sqrt(w))

    def forward(self, images):
        x = self.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.to(x.dtype).expand(len(x), 1, -1), x],
            1) + self.positional_embedding.to(x.dtype)
        x = self.blocks(self.ln_pre(x))
        return self.ln_post(x[:, 0]) @ self.proj


def encoder(model, seed=1):
    torch.manual_seed(seed)
    return ViT(SIZES[model]).eval().requires_grad_(False)


def pack(net, rows):
    for layer in net.modules():
        if isinstance(layer, Linear):
            layer.pack(rows)


def store_bf16(net):
    """Keep frozen weights in the format that autocast multiplies in, instead of converting them for every use."""
    for layer in net.modules():
        if isinstance(layer, Linear) and layer.scores is None:
            layer.weight.data, layer.bias.data = layer.weight.bfloat16(), layer.bias.bfloat16()


def inference(model, batch, bf16=False, compiled=False, onednn=False):
    """A function that encodes a batch of images."""
    net = encoder(model)
    images = torch.randn(batch, 3, 224, 224)
    if bf16:
        store_bf16(net)
    if onednn:
        pack(net, batch * len(net.positional_embedding))
    if compiled:
        torch._inductor.config.freezing = True  # weights are constants, packed once
        net = torch.compile(net)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    def run():
        with torch.no_grad(), autocast:
            return net(images)

    return run


def step(model, batch, amt=False, bf16=False, compiled=False, onednn=False):
    """A function that does a training step."""
    teacher, student = encoder(model), encoder(model)
    scores = [layer.mask() for b in student.blocks for layer in (b.in_proj, b.out_proj)]
    images, labels = torch.randn(batch, 3, 224, 224), torch.arange(batch) % CLASSES
    classes = F.normalize(torch.randn(CLASSES, SIZES[model].embed), dim=-1)
    adam = torch.optim.Adam(scores, lr=0.0)
    for net in (teacher, student):
        if bf16:
            store_bf16(net)
        if onednn:
            pack(net, batch * len(net.positional_embedding))
    if compiled:
        torch._functorch.config.donated_buffer = False  # two backward passes read the same buffers
        teacher, student = torch.compile(teacher), torch.compile(student)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=bf16)

    def logits(net):
        with autocast:
            features = net(images)
        return 100 * F.normalize(features.float(), dim=-1) @ classes.T

    def gradients():
        if amt:
            return torch.autograd.grad(F.cross_entropy(logits(student), labels), scores)
        with torch.no_grad():
            target = logits(teacher).softmax(-1)
        z = logits(student)
        distill = torch.autograd.grad(F.cross_entropy(z, target), scores, retain_graph=True)
        task = torch.autograd.grad(F.cross_entropy(z, labels), scores)
        kept = []
        for a, b in zip(task, distill):
            purity = (1 + a.sign() * (a + b) / (a.abs() + b.abs() + 1e-8)) / 2
            kept.append(a * (purity > torch.rand_like(a)))
        return kept

    def run():
        for s, g in zip(scores, gradients()):
            s.grad = g
        adam.step()

    return run


def check():
    """Compare the gradients of every way to compute them with those of the plainest."""

    def gradients(**options):
        found = []
        adam, torch.optim.Adam.step = torch.optim.Adam.step, lambda self: found.extend(p.grad
            for p in self.param_groups[0]["params"])
        step("ViT-B-32", 2, amt=True, **options)()
        torch.optim.Adam.step = adam
        return found

    plain = gradients()
    for bf16 in (False, True):
        for compiled, onednn in ((False, False), (True, False), (False, True), (True, True)):
            if (bf16 and onednn) or not (bf16 or compiled or onednn):
                continue
            options = {"bf16": bf16, "compiled": compiled, "onednn": onednn}
            error = max(float((g - p).norm() / p.norm()) for g, p in zip(gradients(**options), plain))
            print(f"{options}: relative error {error:.1e}", flush=True)
            # float32 sums in other orders; a number of bfloat16 has 8 bits, and the errors of 12 blocks add up.
            assert error < (12 * 2**-8 if bf16 else 1e-4)


if __name__ == "__main__":
    check()
