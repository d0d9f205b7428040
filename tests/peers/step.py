#!/usr/bin/env python3
"""A training step side by side with PyTorch: images/s and memory on the same machine, interleaved, medians.

    python tests/peers/step.py [-model ViT-B-16] [-batch 32] [-threads 2] [-rounds 5] [-bf16] [-plain] [-avx2] [-cpu] [-amt]
                                [-micro N] [-ordinary]

needs Go and torch, for all configurations of PyTorch a C++ compiler too, and a machine with nothing else to do.
PyTorch's side is in model.py, and first tried in every configuration with a batch of 8 at most; the fastest counts,
and beside it stands the fastest of PyTorch as it is installed, if that is another. Ours is `fewshot bench -only
step`, whose masks have some weights off, so that teacher and both losses are computed. With -amt both sides do plain
mask tuning: no teacher, one loss. With -micro we compute so many images of the batch at a time, all if 0, and without
as many as fewshot chooses.
"""

import peers


def compare(tools, a, configs=None, micro=None):
    """The result for the flags; configurations of PyTorch are chosen here if none are given."""
    method, match = ("AMT", "^AMT") if a.amt else ("R-AMT", "^R-AMT.*off$")
    if configs is None:
        configs = peers.choose(tools, a.threads, "step", a.bf16, model=a.model, batch=min(a.batch, 8), amt=a.amt)
    return peers.compare(tools, configs, "step", a, match, f"{method} step", micro, amt=a.amt)


def main():
    p = peers.arguments(__doc__)
    p.add_argument("-amt", action="store_true", help="plain mask tuning, without the teacher")
    p.add_argument("-micro", type=int, help="fewshot's -micro-batch")
    a = p.parse_args()
    print(peers.machine())
    compare(peers.Tools(), a, peers.named(a.config), a.micro).show()


if __name__ == "__main__":
    main()
