"""Accuracy at equal arena: pruning by arena beside a narrower network and beside torch-pruning by MACs.

    python benchmarks/pruning_pays.py --data ../shared/data/cifar10-jpeg.tar.xz --epochs 30
    python benchmarks/pruning_pays.py --data digits --model mobilenet_v1-max-22111:width=0.25 --epochs 6

For each of three arenas (shares of the whole network's): (ours) the trained network, pruned to it and trained on; (uniform)
the widest network of a smaller multiplier that keeps it, trained from the start for as many epochs as ours has seen in all;
(macs) the trained network, pruned by torch-pruning itself, globally by magnitude as its MAC-driven examples do, until it
keeps the arena, and trained on as long as ours. Test accuracy is looked at once for each. Writes
benchmarks/results/pruning-pays.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch_pruning as tp

from firmware_sim.files import write_atomic
from sapool import checkpoint, data, models
from sapool.checkpoint import Checkpoint
from sapool.compress import layers
from sapool.compress.budget import Budget, needed_bytes
from sapool.compress.groups import Dependencies
from sapool.compress.pruning import pinned, prune
from sapool.pricing import price
from sapool.spec import parse
from sapool.training.config import FitConfig
from sapool.training.evaluation import evaluate
from sapool.training.fitting import fit
from sapool.training.predictors.network import NetworkPredictor
from sapool.training.start import Start

RESULT = Path(__file__).resolve().parent / "results" / "pruning-pays.json"
STEPS = 3
WIDTH_STEP = 0.01
MOST_ROUNDS = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="mobilenet_v2-max-1221121:width=0.35")
    parser.add_argument("--target", default="cortex-m-cmsis-nn-dsp", help="a profile")
    parser.add_argument("--epochs", type=int, default=30, help="of the first training; each fine-tuning has a third")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.9, 0.8, 0.7])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    spec = parse(options.model)
    dataset = data.open(options.data, resolution=spec.resolution, channels=spec.channels)
    spec = spec.with_settings(classes=len(dataset.classes))
    short = max(1, options.epochs // 3 // STEPS)
    first = FitConfig(epochs=options.epochs, seed=options.seed)
    fine = FitConfig(epochs=short, seed=options.seed, learning_rate=2e-3)
    whole = Checkpoint(fit(spec, dataset, first).model, spec, tuple(dataset.classes), {})
    cost = needed_bytes(price(spec, profile=options.target))
    rows = []
    for share in options.shares:
        limit = int(share * cost)
        ours = prune(whole, Budget(limit), profile=options.target, steps=STEPS, dataset=dataset, config=fine).checkpoint
        narrow = widest(spec, limit, options.target)
        together = replace(first, epochs=options.epochs + STEPS * short)
        uniform = Checkpoint(fit(narrow, dataset, together).model, narrow, whole.labels, {})
        by_macs = trained_on(global_pruning(whole, limit, options.target), dataset, replace(fine, epochs=STEPS * short))
        row = {"limit_bytes": limit}
        for name, network in (("ours", ours), ("uniform", uniform), ("macs", by_macs)):
            row[name] = {
                "spec": str(network.spec),
                "arena_bytes": needed_bytes(price(network.spec, profile=options.target)),
                "macs": price(network.spec).macs,
                "test_accuracy": round(accuracy(network, dataset), 4),
            }
        rows.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    result = {
        "command": f"python benchmarks/pruning_pays.py {' '.join(sys.argv[1:])}",
        "data": dataset.name,
        "test_images": len(dataset.test),
        "model": str(spec),
        "profile": options.target,
        "arena_bytes": cost,
        "test_accuracy": round(accuracy(whole, dataset), 4),
        "budgets": rows,
    }
    write_atomic(RESULT, json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


def widest(spec, limit, profile):
    """The network of the largest multiplier below that of `spec` whose arena keeps the limit."""
    width = spec.width
    while width > WIDTH_STEP:
        width = round(width - WIDTH_STEP, 2)
        narrow = spec.with_settings(width=width)
        if needed_bytes(price(narrow, profile=profile)) <= limit:
            return narrow
    raise SystemExit(f"no width keeps {limit:,} bytes")


def global_pruning(source, limit, profile):
    """torch-pruning's own choice of channels, round by round, until the arena keeps the limit."""
    network = models.build(source.spec)
    network.load_state_dict(source.model.state_dict())
    own = {type(m): known for m in layers.own_layers(network) if (known := layers.pruner(m)) is not None}
    start = pinned(network)
    example = torch.zeros(1, source.spec.channels, source.spec.resolution, source.spec.resolution)
    pruner = tp.pruner.BasePruner(
        network, example, importance=tp.importance.GroupMagnitudeImportance(p=2), global_pruning=True,
        pruning_ratio=0.95, iterative_steps=MOST_ROUNDS, ignored_layers=[network.classifier], customized_pruners=own,
    )  # fmt: skip
    for _ in range(MOST_ROUNDS):
        pruner.step()
        groups = Dependencies(network.eval()).groups()
        widths = {name: group.layer.out_channels for group in groups for name in group.names}
        spec = start.with_settings(pruned={**start.pruned, **widths})
        if needed_bytes(price(spec, profile=profile)) <= limit:
            narrow = models.build(spec).eval()
            narrow.load_state_dict(network.state_dict())
            return replace(source, model=narrow, spec=spec)
    raise SystemExit(f"torch-pruning does not reach {limit:,} bytes")


def trained_on(source, dataset, config):
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint.save(Path(folder) / "start.safetensors", source.model, source.spec, labels=source.labels)
        return replace(source, model=fit(source.spec, dataset, config, start=Start(path)).model)


def accuracy(network, dataset):
    spec = network.spec
    predictor = NetworkPredictor(
        network.model, dataset.classes, resolution=spec.resolution, channels=spec.channels, name=str(spec)
    )
    return evaluate(predictor, dataset.test, dataset.classes).accuracy


if __name__ == "__main__":
    sys.exit(main())
