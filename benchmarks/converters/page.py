"""docs/export-comparison.md from the rows of `export_comparison`."""

from __future__ import annotations

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
python benchmarks/export_comparison.py build/NETWORK/model.safetensors --data cifar10-jpeg.tar.xz \\
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

Accuracy is that of LiteRT's reference kernels; its chance is half the 95% interval of the difference, on the same images.
The arena is what TFLM uses on a 64-bit host. Conversion is the processor
time of all threads from the network in memory to the bytes of the file, calibration included, in a fresh process;
the whole process has imports and reading on top. Where a conversion takes less than 5 s, the median of seven is shown.
"""


def write(
    path: Path, rows: Sequence[dict[str, Any]], missing: Sequence[tuple[str, str]], origin: str, machine: str
) -> Path:
    """The page; `missing` are converters that were not given, with what to install."""
    parts = [_HEAD]
    for network in dict.fromkeys(row["network"] for row in rows):
        chosen = [row for row in rows if row["network"] == network]
        parts.append(_section(network, chosen))
    notes = [f"- {row['converter']}, `{row['network']}`: {_words(row)}" for row in rows if _words(row)]
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
    own = rows[0]
    lines = [
        f"## `{network}`\n",
        f"Accuracy in float {own['float_accuracy']:.2%}.\n",
        "| converter | int8 accuracy | operators | arena | file | conversion | whole process |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "problem" in row:
            lines.append(f"| {row['converter']} | no file | | | | | |")
            continue
        arena = "refused" if row["refused"] else f"{row['arena_bytes']:,}"
        lines.append(
            f"| {row['converter']} | {row['int8_accuracy']:.2%} | {row['operators']} | {arena} | {row['file_bytes']:,} "
            f"| {row['conversion_cpu_s']:.2f} s | {row['process_cpu_s']:.1f} s |"
        )
    lines += ["", "| sapool against | accuracy no lower | operators no more | arena no higher | time at most a fifth |"]
    lines.append("|---|---|---|---|---|")
    lines += [_verdict(own, row) for row in rows[1:] if "problem" not in row]
    return "\n".join(lines) + "\n"


def _verdict(own: dict[str, Any], row: dict[str, Any]) -> str:
    better = row["points_below_sapool"]
    mark = "within chance," if -row["chance"] <= better < 0 else _mark(better >= 0)
    accuracy = f"{mark} {better:+.2f} points (chance ±{row['chance']:.2f})"
    operators = f"{_mark(own['operators'] <= row['operators'])} {own['operators']} : {row['operators']}"
    if row["refused"]:
        arena = "yes, refused"
    else:
        arena = f"{_mark(own['arena_bytes'] <= row['arena_bytes'])} {own['arena_bytes'] - row['arena_bytes']:+,} bytes"
    factors = [row[name] / own[name] for name in ("conversion_cpu_s", "process_cpu_s")]
    time = f"{_mark(factors[0] >= FIFTH)} 1 : {factors[0]:.1f} (process 1 : {factors[1]:.1f})"
    return f"| {row['converter']} | {accuracy} | {operators} | {arena} | {time} |"


def _mark(holds: bool) -> str:
    return "yes," if holds else "**no**,"
