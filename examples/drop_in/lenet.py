"""A pooling layer of sapool in a network that is not: LeNet with max pooling, then the same with another layer.

    python examples/drop_in/lenet.py
    python examples/drop_in/lenet.py --pooling ulsam --epochs 5 --output ulsam.tflite

`pooling.create` takes the place of `nn.MaxPool2d`, or of the stride of a convolution, in any network: it needs the channels
and the factor, and the size of the map where that is known. Nothing else of sapool is needed to train. The export needs
to know how the layer is lowered, which `import sapool.lowering` tells it. Trains on scikit-learn's handwritten digits.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import exporters.tflite
import sapool.lowering  # noqa: F401
from firmware_sim import memreport
from firmware_sim.files import write_atomic
from firmware_sim.model import read
from sapool import catalog, pooling
from sapool.errors import SapoolError

EXTENT = 8
TEST = 540
BATCH = 64


def lenet(pool: Callable[[int, int], nn.Module]) -> nn.Sequential:
    """LeNet for one grey image [B, 1, 8, 8]; `pool(channels, extent)` makes a layer that halves the map."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), pool(16, EXTENT),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), pool(32, EXTENT // 2),
        nn.Flatten(), nn.Linear(32 * (EXTENT // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images [1797, 1, 8, 8] in [-1, 1) and labels [1797], in an order that mixes their writers."""
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, EXTENT, EXTENT)
    return (images * (255 / 16)).round()[order] / 128 - 1, torch.tensor(labels)[order]


def train(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(BATCH):
            if len(batch) < BATCH:  # normalisations want whole batches
                continue
            optimiser.zero_grad()
            F.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimiser.step()
    net.eval()


def accuracy(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.inference_mode():
        return (net(images).argmax(1) == labels).float().mean().item()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pooling", default="self_attentive", choices=sorted(catalog.POOLING))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--output", type=Path, help="write the int8 .tflite here")
    options = parser.parse_args(arguments)
    images, labels = digits()
    torch.manual_seed(0)
    try:
        nets = {
            "nn.MaxPool2d": lenet(lambda channels, extent: nn.MaxPool2d(2)),
            options.pooling: lenet(
                lambda channels, extent: pooling.create(
                    options.pooling, channels=channels, stride=2, size=(extent, extent)
                )
            ),
        }
        for name, net in nets.items():
            train(net, images[TEST:], labels[TEST:], options.epochs)
            print(f"{name}: {accuracy(net, images[:TEST], labels[:TEST]):.1%} of {TEST} test images")
        calibration = images[TEST : TEST + 256].permute(0, 2, 3, 1).numpy()
        model = exporters.tflite.export(nets[options.pooling], (1, 1, EXTENT, EXTENT), [calibration])
    except SapoolError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    arena = memreport(read(model.content), profile="host64").arena
    print(f"int8: {len(model.content):,} bytes, arena {arena.total_bytes:,} bytes on a 64-bit host")
    if options.output is not None:
        write_atomic(options.output, model.content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
