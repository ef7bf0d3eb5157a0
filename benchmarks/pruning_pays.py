"""Accuracy at equal arena: pruning by arena beside a narrower network and beside torch-pruning by MACs.

    python benchmarks/pruning_pays.py ../shared/data/cifar10-jpeg.tar.xz --epochs 30
    python benchmarks/pruning_pays.py ../shared/data/cifar10-jpeg.tar.xz --epochs 6 --images 2000 --test-images 500

For each of three arenas (shares of the whole network's): (ours) the trained network, pruned to it and trained on; (uniform)
the widest network of a smaller multiplier that keeps it, trained from the start for as many epochs as ours has seen in all;
(macs) the trained network, pruned by torch-pruning itself, globally by magnitude as its MAC-driven examples do, until it
keeps the arena, and trained on as long as ours. Test accuracy is looked at once for each. What is done already is not done
again, and an interrupted training goes on. Writes benchmarks/results/pruning-pays-STEPS.json (or --output).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch_pruning as tp
from experiment import ROOT, open_images
from machine import machine

from firmware_sim.files import write_atomic
from sapool import checkpoint, models
from sapool.checkpoint import Checkpoint
from sapool.compress import layers
from sapool.compress.budget import Budget, needed_bytes
from sapool.compress.groups import Dependencies
from sapool.compress.pruning import pinned, prune
from sapool.pricing import price
from sapool.spec import ModelSpec, parse
from sapool.training.config import FitConfig
from sapool.training.evaluation import Evaluation, evaluate
from sapool.training.fitting import fit
from sapool.training.predictors.network import NetworkPredictor
from sapool.training.progress import fit_progress
from sapool.training.start import Start

WIDTH_STEP = 0.01
MOST_ROUNDS = 200


class Contest:
    """The networks of one command, each trained once and kept in a folder.

    Args:
        spec: of the whole network.
        dataset: what all learn from.
        options: of the command.
    """

    def __init__(self, spec: ModelSpec, dataset: Any, options: argparse.Namespace) -> None:
        self.spec, self.dataset, self.profile = spec, dataset, options.target
        self.steps, short = options.steps, max(1, max(3, options.epochs // 3) // options.steps)
        self.first = FitConfig(epochs=options.epochs, seed=options.seed)
        # After each step; all of them together for a network that is pruned at once.
        self.fine = FitConfig(epochs=short, seed=options.seed, learning_rate=2e-3)
        name = f"{spec}-seed{options.seed}-{options.epochs}x{len(dataset.train)}-{self.profile}"
        self.folder = options.folder / name.replace(":", "-").replace("=", "").replace(",", "-")

    @property
    def epochs(self) -> int:
        """That a network has seen when it is measured."""
        return self.first.epochs + self.steps * self.fine.epochs

    def whole(self) -> Checkpoint:
        return self._kept("whole", lambda: self._trained("whole", self.spec, self.first))

    def ours(self, limit: int) -> Checkpoint:
        def make() -> Checkpoint:
            budget = Budget(limit)
            found = prune(
                self.whole(), budget, profile=self.profile, steps=self.steps, dataset=self.dataset, config=self.fine
            )
            return found.checkpoint

        return self._kept(f"ours-{limit}-{self.steps}", make)

    def uniform(self, limit: int) -> Checkpoint:
        narrow, config = widest(self.spec, limit, self.profile), replace(self.first, epochs=self.epochs)
        # Two limits may be kept by one width.
        name = f"uniform-{narrow.width}-{self.epochs}"
        return self._kept(name, lambda: self._trained(name, narrow, config))

    def by_macs(self, limit: int) -> Checkpoint:
        config = replace(self.fine, epochs=self.steps * self.fine.epochs)
        start, name = f"macs-{limit}-start", f"macs-{limit}-{config.epochs}"
        pruned = self._kept(start, lambda: global_pruning(self.whole(), limit, self.profile))
        return self._kept(
            name, lambda: self._trained(name, pruned.spec, config, Start(self.folder / f"{start}.safetensors"))
        )

    def _kept(self, name: str, make: Callable[[], Checkpoint]) -> Checkpoint:
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            started = time.perf_counter()
            made = make()
            checkpoint.save(path, made.model, made.spec, labels=self.dataset.classes)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        return checkpoint.load(path)

    def _trained(self, name: str, spec: ModelSpec, config: FitConfig, start: Start | None = None) -> Checkpoint:
        snapshot = self.folder / f"{name}.ckpt"
        result = fit(spec, self.dataset, config, start=start, snapshot=snapshot, resume=True, progress=fit_progress())
        snapshot.unlink(missing_ok=True)
        return Checkpoint(result.model, spec, tuple(self.dataset.classes), {})

    def measured(self, network: Checkpoint) -> Evaluation:
        spec = network.spec
        predictor = NetworkPredictor(
            network.model, self.dataset.classes, resolution=spec.resolution, channels=spec.channels, name=str(spec)
        )
        return evaluate(predictor, self.dataset.test, self.dataset.classes)

    def row(self, network: Checkpoint) -> dict[str, Any]:
        cost, result = price(network.spec, profile=self.profile), self.measured(network)
        low, high = result.interval
        return {
            "spec": str(network.spec),
            "arena_bytes": needed_bytes(cost),
            "macs": cost.macs,
            "parameters": cost.parameters,
            "test_accuracy": round(result.accuracy, 4),
            "low_95": round(low, 4),
            "high_95": round(high, 4),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="images in folders of classes, or an archive of them")
    parser.add_argument("--model", default="mobilenet_v2-max-1221121:width=0.35")
    parser.add_argument("--target", default="cortex-m-cmsis-nn-dsp", help="a profile")
    parser.add_argument(
        "--epochs", type=int, default=30, help="of the first training; fine-tuning has a third in all, at least 3"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.9, 0.8, 0.7])
    parser.add_argument("--steps", type=int, default=3, help="that ours is pruned in, with a fine-tuning after each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, help="train on so many only")
    parser.add_argument("--test-images", type=int, help="test on so many only")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "pruning-pays", help="what is done, for going on"
    )
    parser.add_argument("--output", type=Path, help="by default benchmarks/results/pruning-pays-STEPS.json")
    options = parser.parse_args()
    spec = parse(options.model)
    dataset = open_images(options.data, resolution=spec.resolution, train=options.images, test=options.test_images)
    contest = Contest(spec.with_settings(classes=len(dataset.classes)), dataset, options)
    whole = contest.row(contest.whole())
    rows = []
    for share in options.shares:
        limit = int(share * whole["arena_bytes"])
        row: dict[str, Any] = {"limit_bytes": limit}
        for name, network in (
            ("ours", contest.ours(limit)), ("uniform", contest.uniform(limit)), ("macs", contest.by_macs(limit))
        ):  # fmt: skip
            row[name] = contest.row(network)
        rows.append(row)
        accuracies = ", ".join(f"{name} {row[name]['test_accuracy']:.2%}" for name in ("ours", "uniform", "macs"))
        print(f"{limit:,} bytes: {accuracies}", flush=True)
    result = {
        "machine": machine(),
        "data": dataset.name,
        "train_images": len(dataset.train),
        "test_images": len(dataset.test),
        "seed": options.seed,
        "first_epochs": options.epochs,
        "epochs": contest.epochs,
        "steps": options.steps,
        "profile": options.target,
        "whole": whole,
        "budgets": rows,
    }
    output = options.output or ROOT / "benchmarks" / "results" / f"pruning-pays-{options.steps}.json"
    print(f"wrote {write_atomic(output, json.dumps(result, indent=2) + chr(10))}")
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


if __name__ == "__main__":
    sys.exit(main())
