"""Writes benchmarks/results/headline.csv and the table of README.md: what shrinking and bands give.

    python tools/headline.py ../shared/tflite
    python tools/headline.py                     # the table alone, from the rows that are stored

The folder holds models and a truth.json, a list of {"file", "kind", ...}. Which models are in the table is a rule,
`is_shown`, and no choice. Every file that is made is run in TensorFlow Lite Micro beside the one that it was made of, on ten
inputs, and what TFLM says that its arena takes is what stands in the table. Models with another input than int8 have a
second row, for `--int8-input`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import result_table
from result_table import Row

from firmware_sim import memreport, read
from firmware_sim.files import write_atomic
from firmware_sim.model import Model
from firmware_sim.rewrite.bands.run import bands
from firmware_sim.rewrite.proof import input_tensors, prove
from firmware_sim.rewrite.shrink import Shrunk, shrink

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TABLE = ROOT / "benchmarks" / "results" / "headline.csv"

KERNELS = "reference"
LEAST_BYTES = 64 * 1024
LEAST_PIXELS = 32
COLUMNS = ("model", "input", "stock", "shrink", "bands", "extra_macs", "inputs_compared", "no_bands", "cpu_s")

_INPUTS = 10


def is_shown(kind: str, model: Model) -> bool:
    """The rule: int8, one picture of at least 32 by 32 pixels in grey or colour, and more than 64 KiB in TFLM."""
    if kind != "int8":
        return False
    shapes = [tensor.shape for tensor in input_tensors(model)]
    if len(shapes) != 1 or len(shapes[0]) != 4 or min(shapes[0][1:3]) < LEAST_PIXELS or shapes[0][3] not in (1, 3):
        return False
    return memreport(model).arena.total_bytes > LEAST_BYTES


def measured(folder: Path) -> Iterator[Row]:
    """Rows of all models that are shown, the largest arena first."""
    entries = json.loads((folder / "truth.json").read_text("utf-8"))
    models = [(entry["file"], read(folder / entry["file"])) for entry in entries if entry["kind"] == "int8"]
    shown = [(name, model) for name, model in models if is_shown("int8", model)]
    for name, model in sorted(shown, key=lambda each: -memreport(each[1]).arena.total_bytes):
        (given,) = input_tensors(model)
        content = (folder / name).read_bytes()
        yield row(name, given.type.lower(), content, int8_input=False)
        if given.type != "INT8":
            yield row(name, "int8", content, int8_input=True)


def row(name: str, kind: str, content: bytes, *, int8_input: bool) -> Row:
    """One model: arenas in bytes on this machine, as TFLM reports them for files that compute the same."""
    start = time.process_time()
    banded = bands(content, kernels=KERNELS, name=name, int8_input=int8_input)
    seconds = time.process_time() - start
    shrunk = shrink(content, kernels=KERNELS, name=name, int8_input=int8_input)
    macs = sum(layer.macs for layer in banded.shrunk.after.layers)
    return {
        "model": name,
        "input": kind,
        "stock": str(shrunk.before.arena.total_bytes),
        "shrink": str(_in_tflm(content, shrunk, name)),
        "bands": str(_in_tflm(content, banded.shrunk, name)),
        "extra_macs": f"{macs / banded.macs - 1:.4f}",
        "inputs_compared": str(_INPUTS),
        "no_bands": banded.reason,
        "cpu_s": f"{seconds:.1f}",
    }


def _in_tflm(content: bytes, shrunk: Shrunk, name: str) -> int:
    if shrunk.content == content:
        return shrunk.before.arena.total_bytes
    used = prove(content, shrunk.content, name=name, inputs=_INPUTS).total_bytes
    if used != shrunk.after.arena.total_bytes:
        raise SystemExit(f"{name}: TFLM takes {used} bytes, predicted were {shrunk.after.arena.total_bytes}")
    return used


def table(rows: Sequence[Row]) -> str:
    """The table, and why some of its models have no bands."""
    lines = ["| model | input | TFLM | shrunk | in bands | of TFLM's | more MACs |", "|---|---|--:|--:|--:|--:|--:|"]
    for one in rows:
        share = int(one["bands"]) / int(one["stock"])
        extra = "no bands" if one["no_bands"] else f"{float(one['extra_macs']):.1%}"
        figures = " | ".join(f"{int(one[name]):,}" for name in ("stock", "shrink", "bands"))
        lines.append(f"| {_title(one['model'])} | {one['input']} | {figures} | {share:.0%} | {extra} |")
    reasons = [f"- {_title(one['model'])} ({one['input']}): {one['no_bands']}" for one in rows if one["no_bands"]]
    return "\n".join([*lines, *([""] if reasons else []), *reasons]) + "\n"


def _title(file: str) -> str:
    return file.removesuffix(".tflite").replace("__", " ").replace("_", " ")


def placed(page: str, rows: Sequence[Row]) -> str:
    """A page with the table in its place."""
    return result_table.placed(page, TABLE.name, table(rows))


def stored() -> list[Row]:
    """The rows of the last measurement."""
    return result_table.stored(TABLE)


def main() -> int:
    if sys.argv[1:]:
        result_table.measured(TABLE, COLUMNS, measured(Path(sys.argv[1])))
    print(f"wrote {write_atomic(README, placed(README.read_text('utf-8'), stored()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
