"""What the presets for small devices tell, beside the network that they are smaller than.

    python benchmarks/preset_accuracy.py ../shared/data/flowers128.tar
    python benchmarks/preset_accuracy.py ../shared/data/flowers128.tar --presets tiny --epochs 1 --images 300

The presets nano, tiny, small and medium, and MobileNetV2-1.0 at 128 pixels, each trained from random weights by one recipe
for the same number of epochs, exported in int8 and evaluated on the test images. Trainings are short: the figures compare
with each other, and are not the best that these networks can do. `loss_points` is MobileNetV2's accuracy less the preset's,
both in int8, in points, and `arena_ratio` MobileNetV2's arena over the preset's. What is done already is not done again,
and an interrupted training goes on. Writes benchmarks/results/preset-accuracy.csv (or --output).
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from experiment import ROOT, once, open_images, trained, write_csv

PRESETS = ("tiny", "nano", "small", "medium")
STOCK = "mobilenet_v2-strided:resolution=128"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="images in folders of classes, or an archive of them")
    parser.add_argument("--presets", nargs="+", default=PRESETS, choices=PRESETS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, help="train on so many only")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "preset-accuracy", help="what is done, to go on"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "preset-accuracy.csv")
    arguments = parser.parse_args()

    from sapool.spec import parse
    from sapool.training import recipe_files

    changes = {"epochs": arguments.epochs, "batch_size": arguments.batch_size, "seed": arguments.seed}
    config = recipe_files.load("scratch", changes)
    rows = []
    for name, model in (*((preset, preset) for preset in arguments.presets), ("MobileNetV2-1.0", STOCK)):
        dataset = open_images(arguments.data, resolution=parse(model).resolution, train=arguments.images)
        print(name, file=sys.stderr, flush=True)
        folder = arguments.folder / f"{name}-seed{config.seed}-{config.epochs}x{len(dataset.train)}"
        row = once(folder / "row.json", partial(trained, model, dataset, config, folder))
        rows.append({"network": name, **row})
        print(f"{name}: float {row['float_accuracy']:.2%}, int8 {row['int8_accuracy']:.2%}", flush=True)
    stock = rows[-1]
    for row in rows:
        row["loss_points"] = round(100 * (stock["int8_accuracy"] - row["int8_accuracy"]), 2)
        row["arena_ratio"] = round(stock["arena_host64_bytes"] / row["arena_host64_bytes"], 2)
    print(f"wrote {write_csv(arguments.output, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
