"""Pooling methods beside each other: accuracy, int8 accuracy, arena and multiply-accumulates after equal training.

    python benchmarks/first_numbers.py ../shared/data/cifar10-jpeg.tar.xz
    python benchmarks/first_numbers.py ../shared/data/cifar10-jpeg.tar.xz --epochs 2 --images 1000

MobileNetV2 of width 0.35 at 32 pixels, plans 1221121 and 2221111, placement before, one seed, one recipe for all. The data
is a JPEG copy of CIFAR-10: its figures compare with each other and never with published ones. What is done already is not
done again, and an interrupted training goes on. Writes, below benchmarks/results/first-numbers/ (or --output): a log of each
training by epoch, and results.csv with a row for each network.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from experiment import ROOT, once, open_images, trained, write_csv

from firmware_sim.files import write_atomic

PLANS = ("1221121", "2221111")
METHODS = ("strided", "average", "self_attentive")
SETTINGS = "width=0.35,placement=before,resolution=32"


def measured(method: str, plan: str, dataset: Any, config: Any, folder: Path) -> dict[str, Any]:
    """Train, export, evaluate and price one network."""
    print(f"{method} {plan}", file=sys.stderr, flush=True)
    row = trained(f"mobilenet_v2-{method}-{plan}:{SETTINGS}", dataset, config, folder)
    return {"spec": row.pop("spec"), "plan": plan, "pooling": method, **row}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the JPEG copy of CIFAR-10, an archive or a folder")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, help="train on so many only")
    parser.add_argument("--test-images", type=int, help="test on so many only")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "first-numbers")
    arguments = parser.parse_args()

    from sapool.training import recipe_files

    changes = {"epochs": arguments.epochs, "batch_size": arguments.batch_size, "seed": arguments.seed}
    config = recipe_files.load("scratch", changes)
    dataset = open_images(arguments.data, train=arguments.images, test=arguments.test_images)

    rows = []
    for plan in PLANS:
        for method in METHODS:
            name = f"{method}-{plan}-seed{config.seed}-{config.epochs}x{len(dataset.train)}"
            folder = ROOT / "build" / "first-numbers" / name
            row = once(folder / "row.json", partial(measured, method, plan, dataset, config, folder))
            log = (folder / "metrics.csv").read_text("utf-8")
            write_atomic(arguments.output / f"{name}.csv", log)
            rows.append(row)
            print(
                f"{row['spec']}: float {row['float_accuracy']:.2%}, int8 {row['int8_accuracy']:.2%}, "
                f"arena {row['arena_host64_bytes']:,} bytes, {row['macs']:,} MACs",
                flush=True,
            )
    print(f"wrote {write_csv(arguments.output / 'results.csv', rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
