"""Arena of models with their early layers in bands, held against TFLM: benchmarks/results/bands.csv.

    python benchmarks/bands.py MODEL.tflite[:KERNELS[:FORM]] ...

For each file: the arena as TFLM plans it, after `sapool shrink`, and with bands within 10% more multiply-accumulates; and
CPU seconds of the search. Files for reference kernels are run in TFLM beside the original, on the three extreme inputs
and three random ones.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

from firmware_sim.errors import InternalError
from firmware_sim.rewrite.bands.forms import EXPLICIT
from firmware_sim.rewrite.bands.run import bands
from firmware_sim.rewrite.proof import prove
from firmware_sim.rewrite.shrink import shrink

INPUTS = 6
RESULT = Path(__file__).parent / "results" / "bands.csv"
COLUMNS = (
    "model",
    "kernels",
    "form",
    "profile",
    "stock",
    "shrink",
    "bands",
    "head",
    "minimum",
    "extra_macs",
    "stages",
    "cpu_s",
    "same",
)


def row(path: Path, kernels: str, form: str) -> dict[str, object]:
    content = path.read_bytes()
    start = time.process_time()
    result = bands(content, kernels=kernels, form=form, name=path.name)
    seconds = time.process_time() - start
    shrunk = result.shrunk
    macs = shrunk.passes[-1].macs if shrunk.passes else result.macs
    return {
        "model": path.name,
        "kernels": kernels,
        "form": form,
        "profile": shrunk.before.profile.id,
        "stock": shrunk.before.arena.total_bytes,
        "shrink": shrink(content, kernels=kernels, name=path.name).after.arena.total_bytes,
        "bands": shrunk.after.arena.total_bytes if result.form else "",
        "head": shrunk.after.arena.head_bytes,
        "minimum": shrunk.after.arena.minimum_bytes,
        "extra_macs": f"{macs / result.macs - 1:.4f}" if result.macs else "",
        "stages": " ".join("+".join(map(str, stage.heights)) for stage in result.stages) or result.reason,
        "cpu_s": f"{seconds:.1f}",
        "same": same(content, shrunk.content, path.name) if kernels == "reference" else "",
    }


def same(before: bytes, after: bytes, name: str) -> bool:
    try:
        prove(before, after, name=name, inputs=INPUTS)
    except InternalError:
        return False
    return True


def main() -> None:
    with RESULT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for argument in sys.argv[1:]:
            name, kernels, form = (*argument.split(":"), "", "")[:3]
            found = row(Path(name), kernels or "reference", form or EXPLICIT)
            writer.writerow(found)
            file.flush()
            print(*found.values())


if __name__ == "__main__":
    main()
