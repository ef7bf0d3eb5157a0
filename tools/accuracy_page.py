"""Writes docs/accuracy.md: what trained networks tell, from the tables that the benchmarks leave in benchmarks/results.

    python tools/accuracy_page.py

Nothing is trained here. A section stands for each table that is there, with the command that makes it.
"""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from firmware_sim.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
RESULTS = ROOT / "benchmarks" / "results"

_HEAD = """# What trained networks tell

Made by `python tools/accuracy_page.py` from `benchmarks/results`; each section names the command that trained its networks.
All of them were trained from random weights, and for so few epochs that anybody can repeat them, on a few cores or on a
GPU: figures of one table compare with each other, and with nothing else. The CIFAR-10 used is a JPEG copy, whose figures are
not those of CIFAR-10. Test images decide nothing: the epoch kept is the best on validation images.
"""

Row = Mapping[str, str]


def main() -> int:
    print(f"wrote {write_atomic(PAGE, page(RESULTS))}")
    return 0


def page(results: Path) -> str:
    """The page that the tables in a folder give."""
    sections = [make(results / file) for file, make in SECTIONS.items() if (results / file).is_file()]
    return "\n".join([_HEAD, *sections])


def _first_numbers(path: Path) -> str:
    rows = _rows(path)
    head = ("plan", "pooling", "float", "95% interval", "int8", "p", "arena, bytes", "multiply-accumulates")
    body = [
        (
            f"`{row['plan']}`", row["pooling"].replace("_", "-"), _percent(row["float_accuracy"]),
            f"{_percent(row['float_low_95'])} to {_percent(row['float_high_95'])}", _percent(row["int8_accuracy"]),
            f"{float(row['int8_mcnemar_p']):.2f}", _count(row["arena_host64_bytes"]), _count(row["macs"]),
        )
        for row in rows
    ]  # fmt: skip
    one = rows[0]
    return _section(
        "Pooling methods beside each other",
        f"python benchmarks/first_numbers.py ../shared/data/cifar10-jpeg.tar.xz --epochs {one['epochs']}",
        f"MobileNetV2-0.35 at 32 pixels, pools before the blocks, {_count(one['train_images'])} training images, "
        f"{one['epochs']} epochs, seed {one['seed']}, {_count(one['test_images'])} test images. `p` says how often int8 and "
        f"float would differ so much by chance (McNemar). Ranges: {one['calibration']}. The arena is that of the int8 "
        f"file on a 64-bit host. {_machines(rows)}. The course of each training is in `benchmarks/results/first-numbers/`.",
        head,
        body,
    )


def _int8(path: Path) -> str:
    rows = _rows(path)
    head = (
        "pooling",
        "seed",
        "float",
        "int8 after training",
        "points",
        "int8, quantisation-aware",
        "points",
        "against its own float",
    )
    body = [
        (
            row["pooling"].replace("_", "-"), row["seed"], _percent(row["float"]), _percent(row["ptq_int8"]),
            _points(row["ptq_difference"]), _percent(row["qat_int8"]), _points(row["qat_difference"]),
            _points(row["qat_own_difference"]),
        )
        for row in rows
    ]  # fmt: skip
    ways = [name.removesuffix("_difference") for name in rows[0] if name.startswith("ptq_") and name.count("_") == 2]
    means = ", ".join(
        f"{way.removeprefix('ptq_')} {_points(_mean(row[f'{way}_difference'] for row in rows))}"
        for way in ways
        if f"{way}_difference" in rows[0]
    )
    one = rows[0]
    return _section(
        "What int8 costs",
        "python benchmarks/int8_accuracy.py ../shared/data/cifar10-jpeg.tar.xz"
        f" --epochs {one['epochs']} --qat-epochs {one['qat_epochs']} --images {one['train_images']}",
        f"MobileNetV2-0.35 at 32 pixels, plan 1221121, {_count(one['train_images'])} training images, "
        f"{one['epochs']} epochs in float and {one['qat_epochs']} more with rounding; {_count(one['test_images'])} test "
        f"images in LiteRT's reference kernels. Points are int8 less the float network before: a loss is negative. "
        "Quantisation-aware training goes on from that network and so learns more; the last column holds it against its own "
        f"weights in float. On the mean of all rows "
        f"{_points(_mean(row['ptq_difference'] for row in rows))} after training and "
        f"{_points(_mean(row['qat_difference'] for row in rows))} with quantisation-aware training"
        + (f"; after training by estimator of ranges: {means}" if means else "")
        + f". {_machines(rows)}.",
        head,
        body,
    )


def _presets(path: Path) -> str:
    rows = _rows(path)
    head = (
        "network",
        "pixels",
        "float",
        "int8",
        "95% interval of float",
        "arena, bytes",
        "arena of MobileNetV2",
        "loss",
    )
    body = [
        (
            f"`{row['network']}`", _pixels(row["spec"]), _percent(row["float_accuracy"]), _percent(row["int8_accuracy"]),
            f"{_percent(row['float_low_95'])} to {_percent(row['float_high_95'])}", _count(row["arena_host64_bytes"]),
            f"{float(row['arena_ratio']):.1f} times", f"{float(row['loss_points']):.1f} points",
        )
        for row in rows
    ]  # fmt: skip
    one = rows[0]
    return _section(
        "Presets for small devices",
        f"python benchmarks/preset_accuracy.py ../shared/data/flowers128.tar --epochs {one['epochs']}",
        f"Five kinds of flowers, {_count(one['train_images'])} training images, {one['epochs']} epochs, seed {one['seed']}, "
        f"{_count(one['test_images'])} test images. MobileNetV2-1.0 at 128 pixels is what the others are held against: "
        f"`loss` is its int8 accuracy less theirs. Ranges: {one['calibration']}. {_machines(rows)}.",
        head,
        body,
    )


def _pruning(path: Path) -> str:
    found = json.loads(path.read_text("utf-8"))
    names = {"ours": "`sapool prune`", "uniform": "narrower network", "macs": "torch-pruning, MACs"}
    head = ("arena at most, bytes", *names.values())
    body = [
        (
            _count(budget["limit_bytes"]),
            *(f"{budget[name]['test_accuracy']:.2%} ({_count(budget[name]['arena_bytes'])})" for name in names),
        )
        for budget in found["budgets"]
    ]
    whole = found["whole"]
    return _section(
        f"Pruning by arena in {found['steps']} step{'s' if found['steps'] > 1 else ''}",
        f"python benchmarks/pruning_pays.py ../shared/data/cifar10-jpeg.tar.xz --epochs {found['first_epochs']}"
        f" --images {found['train_images']} --steps {found['steps']}",
        f"`{whole['spec']}`: {whole['test_accuracy']:.2%} with {_count(whole['arena_bytes'])} bytes for "
        f"`{found['profile']}` after {found['first_epochs']} epochs. Every network of the table has seen "
        f"{found['epochs']} epochs of {_count(found['train_images'])} images in all, seed {found['seed']}; test accuracy on "
        f"{_count(found['test_images'])} images, in brackets the arena. {found['machine']}.",
        head,
        body,
    )


SECTIONS: Mapping[str, Callable[[Path], str]] = {
    "first-numbers/results.csv": _first_numbers,
    "int8-accuracy.csv": _int8,
    "preset-accuracy.csv": _presets,
    "pruning-pays-1.json": _pruning,
    "pruning-pays-3.json": _pruning,
}


def _section(title: str, command: str, words: str, head: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(map(str, row))} |" for row in body]
    table = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines]
    return "\n".join(
        [
            f"## {title}",
            "",
            "```sh",
            command,
            "```",
            "",
            *textwrap.wrap(words, 120, break_on_hyphens=False),
            "",
            *table,
            "",
        ]
    )


def _rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _machines(rows: Sequence[Row]) -> str:
    return "; ".join(dict.fromkeys(row["machine"] for row in rows))


def _percent(share: str) -> str:
    return f"{float(share):.2%}"


def _points(value: str | float) -> str:
    return f"{float(value):+.2f}"


def _count(value: str | int) -> str:
    return f"{int(value):,}"


def _mean(values: Iterable[str]) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers)


def _pixels(spec: str) -> str:
    return spec.partition("resolution=")[2].partition(",")[0]


if __name__ == "__main__":
    sys.exit(main())
