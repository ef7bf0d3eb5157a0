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

from experiment import ROOT, once, open_images, write_csv
from machine import machine

from firmware_sim.files import write_atomic

PLANS = ("1221121", "2221111")
METHODS = ("strided", "average", "self_attentive")
SETTINGS = "width=0.35,placement=before,resolution=32"


def measured(method: str, plan: str, dataset: Any, config: Any, folder: Path) -> dict[str, Any]:
    """Train, export, evaluate and price one network."""
    print(f"{method} {plan}", file=sys.stderr, flush=True)
    from sapool import checkpoint, export
    from sapool.calibration import beside, load
    from sapool.pricing import price
    from sapool.spec import parse
    from sapool.training import evaluate
    from sapool.training.comparison import compare
    from sapool.training.predictors.tflite import TflitePredictor
    from sapool.training.progress import fit_progress, share_bar
    from sapool.training.run import SNAPSHOT, save, train

    spec = parse(f"mobilenet_v2-{method}-{plan}:{SETTINGS}")
    run = train(spec, dataset, config, snapshot=folder / SNAPSHOT, resume=True, progress=fit_progress())
    assert run is not None
    path = save(run, folder)[0]
    loaded = checkpoint.load(path)
    content = export.to_tflite(loaded, load(beside(path))).content
    write_atomic(folder / "model.tflite", content)
    with share_bar("evaluating int8") as progress:
        int8 = evaluate(TflitePredictor(content), dataset.test, dataset.classes, progress=progress)
    cost = price(loaded.spec)
    low, high = run.test.interval
    return {
        "spec": str(loaded.spec),
        "plan": plan,
        "pooling": method,
        "seed": config.seed,
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "train_images": len(dataset.train),
        "test_images": len(dataset.test),
        "best_epoch": run.result.best.epoch,
        "val_accuracy": run.result.best.val_accuracy,
        "float_accuracy": run.test.accuracy,
        "float_low_95": round(low, 4),
        "float_high_95": round(high, 4),
        "int8_accuracy": int8.accuracy,
        "int8_mcnemar_p": round(compare(run.test, int8).p_value, 4),
        "arena_host64_bytes": cost.arena.total_bytes,
        "macs": cost.macs,
        "parameters": cost.parameters,
        "model_bytes": cost.model_bytes,
        "images_per_second": round(run.result.images_per_second, 1),
        "test_data": dataset.test.origin,
        "machine": machine(),
    }


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
