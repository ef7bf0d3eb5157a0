"""One training from data to files: what `sapool train` does, as a library."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sapool
from firmware_sim.files import write_atomic
from sapool.data import PARTS, DataSet, checks
from sapool.data.checks import Duplicate
from sapool.data.fingerprint import fingerprint
from sapool.data.preprocessing import DESCRIPTION
from sapool.spec import ModelSpec
from sapool.training.config import FitConfig
from sapool.training.confusion_picture import confusion_png
from sapool.training.curves import curves_png
from sapool.training.evaluation import Evaluation, evaluate
from sapool.training.fitting import FitResult, fit
from sapool.training.history import to_csv
from sapool.training.predictors.network import NetworkPredictor
from sapool.training.progress import FitProgress
from sapool.training.ranks import is_first
from sapool.training.start import Start

if TYPE_CHECKING:
    from sapool.training.distillation import Teacher

SCHEMA: Final = "sapool.train/1"
SNAPSHOT: Final = "last.ckpt"
"""Name of the file in the folder of a training from which it can go on."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A training with what went in and what came out.

    `spec` has the number of classes of the data; `duplicates` are the images that lie in two of its parts.
    """

    spec: ModelSpec
    dataset: DataSet
    config: FitConfig
    split_seed: int
    start: Start | None
    teacher: Teacher | None
    result: FitResult
    test: Evaluation
    duplicates: tuple[Duplicate, ...]


def train(
    spec: ModelSpec,
    dataset: DataSet,
    config: FitConfig,
    *,
    split_seed: int = 0,
    start: Start | None = None,
    teacher: Path | None = None,
    snapshot: Path | None = None,
    resume: bool = False,
    duplicates: tuple[Duplicate, ...] | None = None,
    progress: FitProgress | None = None,
) -> Run | None:
    """Train a network for the classes of `dataset`, and evaluate its best epoch once on the test part.

    Where several processes train together, the first one gets the result, and the others None.

    Args:
        spec: the network; the data decides the number of classes.
        dataset: at the resolution of the network.
        config: the recipe.
        split_seed: the seed by which the data was split, to be noted in the checkpoint.
        start: weights to start from; random ones if None.
        teacher: checkpoint of a network to learn from.
        snapshot, resume: see `fit`.
        duplicates: those of the data, if they have been looked for already.
        progress: told how it goes.

    Raises:
        UsageError, FileError: see `fit`.
    """
    spec = spec.with_settings(classes=len(dataset.classes))
    known = None if teacher is None else _teacher(teacher, spec, dataset)
    result = fit(spec, dataset, config, start=start, teacher=known, snapshot=snapshot, resume=resume, progress=progress)
    if not is_first():
        return None
    predictor = NetworkPredictor(
        result.model, dataset.classes, resolution=spec.resolution, channels=spec.channels, name=str(spec)
    )
    test = evaluate(predictor, dataset.test, dataset.classes)
    found = checks.duplicates(dataset) if duplicates is None else duplicates
    return Run(spec, dataset, config, split_seed, start, known, result, test, found)


def _teacher(path: Path, spec: ModelSpec, dataset: DataSet) -> Teacher:
    from sapool.training.distillation import load_teacher

    return load_teacher(path, labels=dataset.classes, resolution=spec.resolution, channels=spec.channels)


def save(run: Run, folder: Path) -> list[Path]:
    """Write the checkpoint, images to calibrate on, metrics, pictures and summary into `folder`, each whole or not at all.

    Returns:
        The files.

    Raises:
        UsageError: a file cannot be written.
    """
    from sapool import calibration, checkpoint

    details = summary(run)
    header = {name: details[name] for name in _IN_HEADER}
    path = folder / "model.safetensors"
    return [
        checkpoint.save(path, run.result.model, run.spec, labels=run.dataset.classes, extra=header),
        calibration.save(calibration.beside(path), calibration.choose(run.dataset.train.images)),
        write_atomic(folder / "metrics.csv", to_csv(run.result.history)),
        write_atomic(folder / "curves.png", curves_png(run.result.history)),
        write_atomic(folder / "confusion.png", confusion_png(run.test)),
        write_atomic(folder / "summary.json", json.dumps(details, indent=2, ensure_ascii=False) + "\n"),
    ]


_EXAMPLES: Final = 20
_IN_HEADER: Final = (
    "split_seed",
    "data",
    "recipe",
    "start",
    "teacher",
    "input",
    "best_epoch",
    "val_accuracy",
    "test_accuracy",
)


def summary(run: Run) -> dict[str, Any]:
    """What went in and what came out, for JSON. Accuracies are shares of 1."""
    data = run.dataset
    counts = checks.balance(data)
    parts = {
        part: {"images": len(data.split(part)), "origin": data.split(part).origin, "classes": counts[part]}
        for part in PARTS
    }
    return {
        "schema": SCHEMA,
        "spec": str(run.spec),
        "classes": list(data.classes),
        "input": DESCRIPTION,
        "data": {
            "name": data.name,
            "fingerprint": fingerprint(data),
            "resize": data.resize,
            "skipped": list(data.skipped),
            "duplicates": _duplicates(run.duplicates),
            **parts,
        },
        "split_seed": run.split_seed,
        "start": None if run.start is None else {"file": run.start.path.name, "classifier": run.start.classifier},
        "teacher": None if run.teacher is None else run.teacher.name,
        "recipe": {
            **asdict(run.config),
            "flip": data.flip_keeps_label if run.config.flip is None else run.config.flip,
        },
        "best_epoch": run.result.best.epoch,
        "chosen_on": data.val.origin,
        "val_accuracy": run.result.best.val_accuracy,
        "test_accuracy": run.test.accuracy,
        "test": run.test.to_dict(),
        "seconds": round(run.result.seconds, 2),
        "images_per_second": round(run.result.images_per_second, 1),
        "device": run.result.device,
        "machine": platform.machine(),
        "versions": {"sapool": sapool.__version__, "python": platform.python_version(), **_versions()},
    }


def _duplicates(found: tuple[Duplicate, ...]) -> dict[str, Any]:
    """How many images lie in two parts, and the first few of them."""
    pairs: dict[str, Any] = {}
    for one in found:
        entry = pairs.setdefault("/".join(one.parts), {"images": 0, "other_class": 0, "examples": []})
        entry["images"] += 1
        entry["other_class"] += not one.same_class
        if len(entry["examples"]) < _EXAMPLES:
            entry["examples"].append(list(one.names))
    return pairs


def _versions() -> dict[str, str]:
    import lightning
    import torch

    return {"torch": torch.__version__, "lightning": lightning.__version__}
