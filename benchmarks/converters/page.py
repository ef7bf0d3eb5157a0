"""docs/export-comparison.md from the rows of `export_comparison`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firmware_sim.files import write_atomic

FIFTH = 5
_HEAD = """\
# The export beside other converters

The same trained weights and the same calibration images through `sapool export` and through what one would use instead.
This page is written by [benchmarks/export_comparison.py](../benchmarks/export_comparison.py); the figures are also in
[export-comparison.csv](../benchmarks/results/export-comparison.csv). Each converter needs an environment of its own:

```sh
python -m venv /tmp/tensorflow && /tmp/tensorflow/bin/pip install 'sapool[tensorflow]'
python -m venv /tmp/litert && /tmp/litert/bin/pip install litert-torch click
python -m venv /tmp/onnx2tf && /tmp/onnx2tf/bin/pip install onnx2tf
python benchmarks/int8_accuracy.py cifar10-jpeg.tar.xz
python benchmarks/export_comparison.py build/int8-accuracy/*/model.safetensors --data cifar10-jpeg.tar.xz \\
    --tensorflow /tmp/tensorflow/bin/python --litert-torch /tmp/litert/bin/python --onnx2tf /tmp/onnx2tf/bin/python
```

- **tensorflow**: `tf.lite.TFLiteConverter`, full integer. It gets the network as sapool lowers it, rebuilt in TensorFlow's
  operations: normalisation merged, padding chosen, attention in its leanest form. That is more help than a user's own
  translation of the network would give it, so it is the converter that is compared, not the translation; the time in which
  sapool chooses the forms is counted for sapool alone.
- **litert-torch**: the torch module with channels last, then ai-edge-quantizer with its recipe `static_wi8_ai8`. From 256
  KiB on it stores constants behind the flatbuffer, where TFLM does not look; they were moved inside, or there would be
  nothing to measure.
- **onnx2tf**: sapool's ONNX file, full integer. Making the ONNX file is not counted.

Each network was trained with several seeds, and a line is the mean of its trainings. Accuracy is that of LiteRT's reference
kernels; chance is half the 95% interval of a difference, on the same images. "As float" is the share of images that are
answered as the float network answers them, which is what a converter is to do. Accuracy tells only those apart that lose
much: where int8 answers otherwise than float, it is right about as often as float was, whoever converts.

The arena is what TFLM uses on a 64-bit host. Conversion is the processor time of all threads from the network in memory to
the bytes of the file, calibration included, in a fresh process; the whole process has imports and reading on top. Where a
conversion takes less than 5 s, the median of seven is taken.
"""


def write(
    path: Path, rows: Sequence[dict[str, Any]], missing: Sequence[tuple[str, str]], origin: str, machine: str
) -> Path:
    """The page; `missing` are converters that were not given, with what to install."""
    parts = [_HEAD]
    for network in dict.fromkeys(row["network"] for row in rows):
        chosen = [row for row in rows if row["network"] == network]
        parts.append(_section(network, chosen))
    if len(parts) > 2:
        parts.append(_together(rows))
    notes = list(
        dict.fromkeys(f"- {row['converter']}, `{row['network']}`: {_words(row)}" for row in rows if _words(row))
    )
    notes += [
        f"- {name} was not measured: `pip install {packages}` into an environment of its own"
        for name, packages in missing
    ]
    if notes:
        parts.append("## What did not work\n\n" + "\n".join(notes) + "\n")
    versions = dict.fromkeys(row["versions"] for row in rows if "versions" in row)
    tested = next((row["test_images"] for row in rows if "test_images" in row), 0)
    parts.append(f"## Measured with\n\n{machine}; {'; '.join(versions)}. {tested:,} images ({origin}).\n")
    return write_atomic(path, "\n".join(parts))


def _words(row: dict[str, Any]) -> str:
    if "problem" in row:
        return f"no file: {_inline(row['problem'])}"
    return f"TFLM refuses the file: {_inline(row['refused'])}" if row["refused"] else ""


def _inline(words: str) -> str:
    return "`" + " ".join(words.replace("`", "'").split()) + "`"


def _section(network: str, rows: Sequence[dict[str, Any]]) -> str:
    converters = dict.fromkeys(row["converter"] for row in rows)
    means = [_mean([row for row in rows if row["converter"] == name]) for name in converters]
    own = means[0]
    trainings = ", ".join({row["seed"]: f"{row['float_accuracy']:.2%}" for row in rows}.values())
    lines = [
        f"## `{network}`\n",
        f"Accuracy in float {own['float_accuracy']:.2%}, the mean of its trainings ({trainings}).\n",
        "| converter | int8 accuracy | as float | operators | arena | file | conversion | whole process |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in means:
        if "problem" in row:
            lines.append(f"| {row['converter']} | no file | | | | | | |")
            continue
        arena = "refused" if row["refused"] else f"{row['arena_bytes']:,}"
        lines.append(
            f"| {row['converter']} | {row['int8_accuracy']:.2%} | {row['agreement']:.2%} | {row['operators']} | {arena} "
            f"| {row['file_bytes']:,} | {row['conversion_cpu_s']:.2f} s | {row['process_cpu_s']:.1f} s |"
        )
    claims = ("accuracy no lower", "as float no less", "operators no more", "arena no higher", "time at most a fifth")
    lines += ["", f"| sapool against | {' | '.join(claims)} |", "|---|---|---|---|---|---|"]
    lines += [_verdict(own, row) for row in means[1:] if "problem" not in row]
    return "\n".join(lines) + "\n"


def _together(rows: Sequence[dict[str, Any]]) -> str:
    """What all networks say of accuracy."""
    lines = [
        "## All networks together\n",
        "| sapool against | trainings | accuracy no lower | as float no less |",
        "|---|---|---|---|",
    ]
    for name in list(dict.fromkeys(row["converter"] for row in rows))[1:]:
        if chosen := [row for row in rows if row["converter"] == name and "problem" not in row]:
            mean = _mean(chosen)
            lines.append(f"| {name} | {len(chosen)} | {_ahead(mean, 'accuracy')} | {_ahead(mean, 'agreement')} |")
    return "\n".join(lines) + "\n"


def _mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The trainings of one network through one converter as one row: their means, and the largest of operators and bytes,
    in which they hardly ever differ. A training that gave no file, or one that TFLM refuses, stands for all.
    """
    if failed := [row for row in rows if "problem" in row]:
        return failed[0]
    means = (
        "float_accuracy", "int8_accuracy", "accuracy_ahead", "agreement", "agreement_ahead", "conversion_cpu_s",
        "process_cpu_s",
    )  # fmt: skip
    return {
        **rows[0],
        "refused": next((row["refused"] for row in rows if row["refused"]), None),
        **{name: statistics.fmean(row[name] for row in rows) for name in means},
        **{name: max(row[name] or 0 for row in rows) for name in ("operators", "arena_bytes", "file_bytes")},
        # Of the mean of independent differences.
        **{
            name: math.hypot(*(row[name] for row in rows)) / len(rows)
            for name in ("accuracy_chance", "agreement_chance")
        },
    }


def _verdict(own: dict[str, Any], row: dict[str, Any]) -> str:
    operators = f"{_mark(own['operators'] <= row['operators'])} {own['operators']} : {row['operators']}"
    if row["refused"]:
        arena = "yes, refused"
    else:
        arena = f"{_mark(own['arena_bytes'] <= row['arena_bytes'])} {own['arena_bytes'] - row['arena_bytes']:+,} bytes"
    factors = [row[name] / own[name] for name in ("conversion_cpu_s", "process_cpu_s")]
    time = f"{_mark(factors[0] >= FIFTH)} 1 : {factors[0]:.1f} (process 1 : {factors[1]:.1f})"
    cells = (row["converter"], _ahead(row, "accuracy"), _ahead(row, "agreement"), operators, arena, time)
    return f"| {' | '.join(cells)} |"


def _ahead(row: dict[str, Any], name: str) -> str:
    """By how many points sapool is ahead in a share of images."""
    better, chance = row[f"{name}_ahead"], row[f"{name}_chance"]
    mark = "within chance," if -chance <= better < 0 else _mark(better >= 0)
    return f"{mark} {better:+.2f} points (chance ±{chance:.2f})"


def _mark(holds: bool) -> str:
    return "yes," if holds else "**no**,"
