#!/usr/bin/env python3
"""Image encoding side by side with PyTorch: images/s and memory of CLIP's vision transformer, interleaved, medians.

    python tests/peers/forward.py [-model ViT-B-16] [-batch 32] [-threads 2] [-rounds 5] [-bf16] [-plain] [-avx2] [-cpu] [-ordinary]

needs Go and torch, for all configurations of PyTorch a C++ compiler too, and a machine with nothing else to do. Both
programs encode the same number of random images with random weights. PyTorch is first tried in every configuration,
and the fastest counts; beside it stands the fastest of PyTorch as it is installed, if that is another. Batches are of
1 or 32 images, as in `fewshot bench -only inference`. We compute the last block for the class token alone, about 8 %
less work at ViT-B/16; model.py does not.
"""

import peers


def compare(tools, a, configs=None):
    """The result for the flags; configurations of PyTorch are chosen here if none are given."""
    if configs is None:
        configs = peers.choose(tools, a.threads, "inference", a.bf16, model=a.model, batch=a.batch)
    match = "^batch 1, weights packed$" if a.batch == 1 else f"^batch {a.batch}$"  # PyTorch's compiler packs, too
    return peers.compare(tools, configs, "inference", a, match, "image encoder")


def main():
    a = peers.arguments(__doc__).parse_args()
    print(peers.machine())
    compare(peers.Tools(), a, peers.named(a.config)).show()


if __name__ == "__main__":
    main()
