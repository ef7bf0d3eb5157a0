"""What int8 costs in accuracy: after training (each way to find ranges) and with quantisation-aware training.

    python benchmarks/int8_accuracy.py ../shared/data/cifar10-jpeg.tar.xz
    python benchmarks/int8_accuracy.py ../shared/data/cifar10-jpeg.tar.xz --epochs 1 --images 600 --seeds 1 --test-images 200

MobileNetV2 of width 0.35 at 32 pixels, plan 1221121, pooling strided, self-attentive and by Subspace Attention. Each is
trained in float, then exported in int8 as it is (post-training quantisation), and then trained for a few epochs more as the
export computes (quantisation-aware), and exported again. Every int8 file classifies all test images in LiteRT's reference
kernels, whose bytes are those of TensorFlow Lite Micro. The data is a JPEG copy of CIFAR-10: its figures compare with each
other and never with published ones. Trainings run on a GPU if there is one: about 45 minutes instead of six hours on one
core. What is done already is not done again, and an interrupted training goes on.

Accuracies are shares of 1, differences are in points: int8 less float, so a loss is negative. The goals are a loss of at
most 0.5 points for quantisation after training, and of 0.2 for quantisation-aware training. The latter is held against the
float network that it started from and against its own weights in float, and the larger loss counts: so neither the further
epochs nor weights that have got used to rounding make it look better than it is. `*_chance` is half the width of the 95%
interval that the images which only one of the two has right leave for the difference.

Writes benchmarks/results/int8-accuracy.csv (or --output), a row for each network and seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from experiment import ROOT, array_once, chance, once, open_images, points, share, write_csv
from machine import machine
from numpy.typing import NDArray

METHODS = ("strided", "self_attentive", "subspace_attention")
SPEC = "mobilenet_v2-{}-1221121:width=0.35,placement=before,resolution=32"
GOALS = {"ptq": 0.5, "qat": 0.2}
"""Largest loss in points."""
VALIDATION = 2_000
# Images a second on one core: training in float, the same with rounding, LiteRT's reference kernels.
RATES = {"train": 300.0, "qat": 200.0, "int8": 300.0}

Predictions = NDArray[np.int64]


class Network:
    """One network and seed: its training, its files and their answers, each kept in a folder of its own.

    Args:
        method: of pooling.
        seed: of the training.
        dataset: what it is trained and tested on.
        arguments: of the command.
    """

    def __init__(self, method: str, seed: int, dataset: Any, arguments: argparse.Namespace) -> None:
        from sapool.spec import parse

        self.method, self.seed, self.dataset, self.arguments = method, seed, dataset, arguments
        self.spec = parse(SPEC.format(method))
        name = f"{method}-seed{seed}-{arguments.epochs}x{len(dataset.train)}-test{len(dataset.test)}"
        self.folder = arguments.folder / name
        self.qat_folder = self.folder / f"qat{arguments.qat_epochs}"

    def left(self) -> float:
        """Seconds that this network will still take at `RATES`; epochs of an interrupted training count as not done."""
        from exporters.quantize.estimators import methods

        seconds = 0.0
        for folder, epochs, kind in (
            (self.folder, self.arguments.epochs, "train"),
            (self.qat_folder, self.arguments.qat_epochs, "qat"),
        ):
            if not (folder / "model.safetensors").exists():
                seconds += epochs * len(self.dataset.train) / RATES[kind]
        files = [self.folder / f"{name}.npy" for name in methods()] + [self.qat_folder / f"{methods()[0]}.npy"]
        return seconds + sum(len(self.dataset.test) / RATES["int8"] for file in files if not file.exists())

    def row(self) -> dict[str, Any]:
        """Do what is not done yet, and measure."""
        from exporters.quantize.estimators import methods

        trained = once(self.folder / "training.json", partial(self._train, self.folder, False))
        after = {name: self._answers(self.folder, name) for name in methods()}
        tuned = once(self.qat_folder / "training.json", partial(self._train, self.qat_folder, True))
        default = methods()[0]
        answers = {
            "float": self._answers(self.folder, "float"),
            "ptq": after[default],
            "qat_float": self._answers(self.qat_folder, "float"),
            "qat": self._answers(self.qat_folder, default),
        }
        right = {name: answer == self.dataset.test.labels for name, answer in answers.items()}
        return {
            "spec": str(self.spec.with_settings(classes=len(self.dataset.classes))),
            "pooling": self.method,
            "seed": self.seed,
            "epochs": self.arguments.epochs,
            "qat_epochs": self.arguments.qat_epochs,
            "train_images": len(self.dataset.train),
            "test_images": len(self.dataset.test),
            "float": share(right["float"]),
            "ptq_int8": share(right["ptq"]),
            "ptq_calibration": f"{default}, biases corrected",
            **{f"ptq_{name}": share(answer == self.dataset.test.labels) for name, answer in after.items()},
            "qat_float": share(right["qat_float"]),
            "qat_int8": share(right["qat"]),
            "ptq_difference": points(right["ptq"], right["float"]),
            "ptq_chance": chance(right["ptq"], right["float"]),
            **{
                f"ptq_{name}_difference": points(answer == self.dataset.test.labels, right["float"])
                for name, answer in after.items()
            },
            "qat_difference": points(right["qat"], right["float"]),
            "qat_chance": chance(right["qat"], right["float"]),
            "qat_own_difference": points(right["qat"], right["qat_float"]),
            "qat_own_chance": chance(right["qat"], right["qat_float"]),
            "images_per_second": trained["images_per_second"],
            "qat_images_per_second": tuned["images_per_second"],
            "test_data": self.dataset.test.origin,
            "machine": "; ".join(dict.fromkeys((trained["machine"], tuned["machine"]))),
        }

    def _train(self, folder: Path, quantised: bool) -> dict[str, Any]:
        """Train into `folder`: in float from random weights, or with rounding from what that gave."""
        from sapool.training import recipe_files
        from sapool.training.progress import fit_progress
        from sapool.training.run import SNAPSHOT, save, train
        from sapool.training.start import Start

        self._say("training with rounding" if quantised else "training in float")
        changes: dict[str, Any] = {"epochs": self.arguments.epochs, "batch_size": 64, "seed": self.seed}
        if quantised:
            epochs = self.arguments.qat_epochs
            changes |= {"epochs": epochs, "quantised_epochs": epochs, "learning_rate": 1e-4, "warm_up": 0.1}
        start = Start(self.folder / "model.safetensors") if quantised else None
        run = train(
            self.spec,
            self.dataset,
            recipe_files.load("scratch", changes),
            start=start,
            snapshot=folder / SNAPSHOT,
            resume=True,
            progress=fit_progress(),
        )
        assert run is not None
        save(run, folder)
        return {"images_per_second": round(run.result.images_per_second, 1), "machine": machine(run.result.device)}

    def _answers(self, folder: Path, name: str) -> Predictions:
        """The classes that the network in `folder` tells: in float, or in int8 with the ranges of an estimator."""
        return array_once(folder / f"{name}.npy", partial(self._classify, folder, name))

    def _classify(self, folder: Path, name: str) -> Predictions:
        from exporters.quantize import Calibration
        from sapool import calibration, checkpoint
        from sapool.export import to_tflite
        from sapool.training import evaluate
        from sapool.training.predictors import network
        from sapool.training.predictors.tflite import TflitePredictor

        path, started = folder / "model.safetensors", time.perf_counter()
        if name == "float":
            predictor: Any = network.load(path)
        else:
            images = calibration.load(calibration.beside(path))
            predictor = TflitePredictor(to_tflite(checkpoint.load(path), images, settings=Calibration(name)).content)
        result = evaluate(predictor, self.dataset.test, self.dataset.classes)
        self._say(
            f"{'with rounding, ' if folder == self.qat_folder else ''}{name} {result.accuracy:.2%}, "
            f"{result.images} images in {time.perf_counter() - started:.0f} s"
        )
        return result.predicted

    def _say(self, words: str) -> None:
        print(f"{self.method} seed {self.seed}: {words}", file=sys.stderr, flush=True)


def summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Mean and worst difference of each network and of all, and whether the goals are met, a line each."""
    lines = []
    for kind, columns in (("ptq", ("ptq_difference",)), ("qat", ("qat_difference", "qat_own_difference"))):
        goal = GOALS[kind]
        words = {"ptq": "quantised after training", "qat": "quantisation-aware training"}[kind]
        lines.append(f"{words}: int8 less float in points, goal at least -{goal}")
        for method in dict.fromkeys(row["pooling"] for row in rows):
            chosen = [row for row in rows if row["pooling"] == method]
            for column in columns:
                values = [row[column] for row in chosen]
                against = "its own float weights" if column == "qat_own_difference" else "float"
                luck = max(row[column.replace("difference", "chance")] for row in chosen)
                lines.append(
                    f"  {method:20} against {against:21}  mean {np.mean(values):+.2f}  worst {min(values):+.2f}"
                    f"  ({len(values)} seeds, chance alone up to ±{luck:.2f} in each)"
                )
        losses = [[min(row[column] for column in columns) for row in rows if row["pooling"] == m] for m in METHODS]
        means = [float(np.mean(values)) for values in losses if values]
        met = sum(min(row[column] for column in columns) >= -goal for row in rows)
        lines.append(
            f"  goal {'met' if met == len(rows) else 'NOT met'} in {met} of {len(rows)} runs; "
            f"by the mean of the seeds {'met' if min(means) >= -goal else 'NOT met'} (worst network {min(means):+.2f})"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the JPEG copy of CIFAR-10, an archive or a folder")
    parser.add_argument("--epochs", type=int, default=30, help="in float")
    parser.add_argument("--qat-epochs", type=int, default=1, help="with rounding, after those")
    parser.add_argument("--images", type=int, default=20_000, help="train on so many")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings of each network")
    parser.add_argument("--test-images", type=int, default=10_000, help="test on so many")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "int8-accuracy", help="where trainings are kept"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "int8-accuracy.csv")
    arguments = parser.parse_args()
    for name in ("epochs", "qat_epochs", "images", "seeds", "test_images"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} has to be at least 1")

    dataset = open_images(arguments.data, train=arguments.images, val=VALIDATION, test=arguments.test_images)
    # Seeds in turn: whenever the command is interrupted, the networks have been measured equally often.
    networks = [Network(m, seed, dataset, arguments) for seed in range(arguments.seeds) for m in METHODS]
    print(
        f"{len(networks)} trainings; what is left takes about {sum(n.left() for n in networks) / 60:.0f} minutes on one core"
        f" at {RATES['train']:.0f} images/s ({RATES['qat']:.0f} with rounding, {RATES['int8']:.0f} in int8)",
        file=sys.stderr,
        flush=True,
    )
    rows = []
    for number, one in enumerate(networks):
        rows.append(one.row())
        row = rows[-1]
        write_csv(arguments.output, rows)
        print(
            f"{number + 1}/{len(networks)} {row['pooling']} seed {row['seed']}: float {row['float']:.2%}, int8 "
            f"{row['ptq_difference']:+.2f} points; with rounding {row['qat_float']:.2%}, int8 {row['qat_difference']:+.2f} "
            f"points ({row['qat_own_difference']:+.2f} against its own float); about "
            f"{sum(n.left() for n in networks[number + 1 :]) / 60:.0f} minutes left",
            flush=True,
        )
    print("\n".join(summary(rows)))
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
