"""Training throughput of a network with a pooling method beside the same network with strided convolutions.

    python benchmarks/pooling_throughput.py
    python benchmarks/pooling_throughput.py --pooling lip --spec mobilenet_v2-strided-1221121:width=0.35 --batch 64

One step each (forward, backward, SGD) in turn, in channels_last and with two threads: the ratio within a pair is what a
noisy machine leaves standing. A specification names the strided network; the other one differs in its pooling only, at
the same placement. Prints one line a network and writes benchmarks/results/pooling-throughput.json, or --output.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torch.nn.functional as F
from memreport_speed import processor

from firmware_sim.files import write_atomic
from sapool import models
from sapool.spec import ModelSpec, parse

OUTPUT = Path(__file__).resolve().parent / "results" / "pooling-throughput.json"
SPECS = (
    "mobilenet_v2-strided-1221121:width=0.35",
    "mobilenet_v2-strided-1221121:width=0.35,placement=after",
    "mobilenet_v2-strided-1221121:width=0.35,placement=end",
    "mobilenet_v2-strided-2221111:width=0.35",
    "mobilenet_v2-strided-1222121:width=0.35,resolution=96",
)
THREADS = 2
WARM_UP = 3


def step(spec: ModelSpec, batch: int) -> Callable[[], float]:
    """A function that trains the network of `spec` for one step and returns the seconds that it took."""
    torch.manual_seed(0)
    net = models.build(spec).train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(batch, spec.channels, spec.resolution, spec.resolution)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(spec.classes, (batch,))

    def run() -> float:
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(net(images), labels).backward()
        optimiser.step()
        return time.perf_counter() - started

    return run


def compare(strided: ModelSpec, pooling: str, batch: int, pairs: int) -> dict[str, Any]:
    """Throughput of the network with `pooling` over that of the strided one: its median, and those of both alone."""
    pooled = replace(strided, pooling=pooling)
    theirs, ours = step(strided, batch), step(pooled, batch)
    for _ in range(WARM_UP):
        theirs(), ours()
    measured = [(theirs(), ours()) for _ in range(pairs)]
    ratios = sorted(a / b for a, b in measured)
    return {
        "strided": str(strided),
        "pooled": str(pooled),
        "batch": batch,
        "pairs": pairs,
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)[::2]],
        "strided_images_per_s": round(batch / statistics.median(a for a, _ in measured), 1),
        "pooled_images_per_s": round(batch / statistics.median(b for _, b in measured), 1),
    }


def machine() -> str:
    """The kind of machine: how many cores, and whose."""
    return f"{os.cpu_count()} cores, {' '.join(processor().split()[:2])}, torch {torch.__version__}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pooling", default="self_attentive", help="the method that is compared")
    parser.add_argument("--spec", action="append", help="strided network (may be given several times)")
    parser.add_argument("--batch", type=int, default=64, help="images a step; a quarter of it above 64 pixels")
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    rows = []
    for spec in map(parse, options.spec or SPECS):
        batch = options.batch if spec.resolution <= 64 else max(1, options.batch // 4)
        rows.append(compare(spec, options.pooling, batch, options.pairs))
        print(f"{rows[-1]['ratio_median']:.3f}  {rows[-1]['pooled']}", flush=True)
    content = {"machine": machine(), "threads": THREADS, "memory_format": "channels_last", "networks": rows}
    write_atomic(options.output, json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
