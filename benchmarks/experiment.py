"""What benchmarks that train have in common: reduced data, results that are kept, differences, tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray

from firmware_sim.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]


def limited(split: Any, count: int | None) -> Any:
    """At most `count` images, the same ones each time."""
    if count is None or len(split) <= count:
        return split
    return split.take(np.sort(_shuffled(split)[:count]), f"{count} of {split.origin}")


def left_out(split: Any, count: int) -> Any:
    """The images that `limited` does not choose."""
    return split.take(np.sort(_shuffled(split)[count:]), f"the rest of {split.origin}")


def _shuffled(split: Any) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(len(split))


def open_images(path: Path, *, resolution: int = 32, **most: int | None) -> Any:
    """The data set at `path`; `train`, `val` and `test` say how many images of a part are used at most."""
    from sapool import data
    from sapool.data.cache import default_folder
    from sapool.training.progress import share_bar

    with share_bar(f"reading {path}") as progress:
        dataset = data.open(path, resolution=resolution, cache_folder=default_folder(), progress=progress)
    # Reports name the file, not the place where it lies on one machine.
    parts = {
        part: limited(replace(split, origin=split.origin.replace(str(path), path.name)), most.get(part))
        for part, split in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test))
    }
    return replace(dataset, name=path.name, **parts)


def once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` gives, kept in the JSON file `path`: the next time it is read there."""
    if not path.exists():
        write_atomic(path, json.dumps(make(), indent=2) + "\n")
    kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return kept


def array_once(path: Path, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array that `make` gives, kept in the file `path`: the next time it is read there."""
    if not path.exists():
        stream = io.BytesIO()
        np.save(stream, make(), allow_pickle=False)
        write_atomic(path, stream.getvalue())
    kept: NDArray[Any] = np.load(path, allow_pickle=False)
    return kept


def trained(model: str, dataset: Any, config: Any, folder: Path) -> dict[str, Any]:
    """Train, export, evaluate and price one network: its figures. What is in `folder` already is gone on with."""
    from sapool import checkpoint, export
    from sapool.calibration import beside, load
    from sapool.pricing import price
    from sapool.spec import parse
    from sapool.training import evaluate
    from sapool.training.comparison import compare
    from sapool.training.predictors.tflite import TflitePredictor
    from sapool.training.progress import fit_progress, share_bar
    from sapool.training.run import SNAPSHOT, save, train

    spec = parse(model).with_settings(classes=len(dataset.classes))
    run = train(spec, dataset, config, snapshot=folder / SNAPSHOT, resume=True, progress=fit_progress())
    assert run is not None
    path = save(run, folder)[0]
    loaded = checkpoint.load(path)
    model = export.to_tflite(loaded, load(beside(path)))
    write_atomic(folder / "model.tflite", model.content)
    with share_bar("evaluating int8") as progress:
        int8 = evaluate(TflitePredictor(model.content), dataset.test, dataset.classes, progress=progress)
    cost = price(loaded.spec)
    low, high = run.test.interval
    return {
        "spec": str(loaded.spec),
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
        "calibration": model.calibration.method + ", biases corrected" * model.calibration.bias_correction,
        "int8_mcnemar_p": round(compare(run.test, int8).p_value, 4),
        "arena_host64_bytes": cost.arena.total_bytes,
        "macs": cost.macs,
        "parameters": cost.parameters,
        "model_bytes": cost.model_bytes,
        "images_per_second": round(run.result.images_per_second, 1),
        "test_data": dataset.test.origin,
        "machine": machine(run.result.device),
    }


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows with the same columns, as a table."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_atomic(path, stream.getvalue())


def share(right: NDArray[np.bool_]) -> float:
    """Accuracy, a share of 1."""
    return round(float(right.mean()), 5)


def points(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Accuracy of one less that of the other, in points."""
    return round(100 * float(one.mean() - other.mean()), 3)


def chance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Half the 95% interval of the difference of paired shares, in points (Wald; Agresti, Categorical Data Analysis)."""
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    variance = gained + lost - (gained - lost) ** 2 / len(one)
    return round(100 * 1.96 * math.sqrt(variance) / len(one), 3)
