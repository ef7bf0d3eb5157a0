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
from numpy.typing import NDArray

from firmware_sim.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]


def limited(split: Any, count: int | None) -> Any:
    """At most `count` images, the same ones each time."""
    if count is None or len(split) <= count:
        return split
    chosen = np.sort(np.random.default_rng(0).permutation(len(split))[:count])
    return split.take(chosen, f"{count} of {split.origin}")


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
