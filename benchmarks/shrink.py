"""What shrinking saves, for every int8 model of a collection, every kernel class and every build of TFLM.

    python benchmarks/shrink.py ../shared/tflite --prove 10000000

The folder holds models and a truth.json, a list of {"file", "kind", ...}. Writes benchmarks/results/shrink.csv: a row for
each model, kernel class and build, with head and total before and after as predicted, with what no plan for these kernels
(bound) and no plan at all that keeps tensors whole (floor) is below, and, for models of at most as many
multiply-accumulates as --prove says, what TFLM on this machine prints for the new file (build host64) after its outputs were
compared. Seconds are processor time: of shrinking, and of comparing, where a file is compared once for all its classes.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware_sim.errors import SapoolError
from firmware_sim.files import write_atomic
from firmware_sim.overlap.rules import kernel_classes
from firmware_sim.rewrite.proof import Proof, prove
from firmware_sim.rewrite.shrink import Shrunk, shrink

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "model", "kernels", "profile", "head_before", "head_after", "total_before", "total_after", "bound", "floor",
    "passes",
    "seconds", "tflm_head", "tflm_total", "tflm_inputs", "tflm_seconds", "problem",
)  # fmt: skip
LARGE_BYTES = 20_000


def rows(folder: Path, most_macs: int) -> Iterator[dict[str, Any]]:
    """One row for each model, class and build; a model that cannot be shrunk has one row a class, with the problem."""
    for entry in json.loads((folder / "truth.json").read_text("utf-8")):
        if entry["kind"] != "int8":
            continue
        content = (folder / entry["file"]).read_bytes()
        proofs: dict[bytes, Proof] = {}  # several classes often have the same file
        for kernels in kernel_classes():
            common: dict[str, Any] = {"model": entry["file"], "kernels": kernels}
            start = _cpu_s()
            try:
                shrunk = shrink(content, kernels=kernels, name=entry["file"])
                common["seconds"] = f"{_cpu_s() - start:.2f}"
                start = _cpu_s()
                macs = sum(layer.macs for layer in shrunk.before.layers)
                if macs <= most_macs and shrunk.is_changed and shrunk.content not in proofs:
                    proofs[shrunk.content] = prove(content, shrunk.content, name=entry["file"])
                    common["tflm_seconds"] = f"{_cpu_s() - start:.2f}"
                proof = proofs.get(shrunk.content)
            except SapoolError as error:
                yield {**common, "problem": error.message.partition("\n")[0]}
                continue
            yield from _builds(common, shrunk, proof)


def _cpu_s() -> float:
    """Processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _builds(common: dict[str, Any], shrunk: Shrunk, proof: Proof | None) -> Iterator[dict[str, Any]]:
    for build in shrunk.builds:
        row = {
            **common,
            "profile": build.profile,
            "head_before": build.head_before_bytes,
            "head_after": build.head_after_bytes,
            "total_before": build.total_before_bytes,
            "total_after": build.total_after_bytes,
            "bound": shrunk.bound_bytes,
            "floor": shrunk.floor_bytes,
            "passes": " ".join(use.name for use in shrunk.passes),
        }
        if proof is not None and build.profile == "host64":
            row |= {"tflm_head": proof.head_bytes, "tflm_total": proof.total_bytes, "tflm_inputs": proof.inputs}
        yield row


def summary(table: list[dict[str, Any]]) -> list[str]:
    """Median and best saving of the head per class, for models whose head is above 20 kB."""
    lines = []
    for kernels in kernel_classes():
        firsts: dict[str, dict[str, Any]] = {}
        for row in table:
            if row["kernels"] == kernels and row.get("head_before", 0) > LARGE_BYTES:
                firsts.setdefault(row["model"], row)
        if not firsts:
            continue
        savings = [100 - 100 * row["head_after"] / row["head_before"] for row in firsts.values()]
        floors = [100 - 100 * (row["floor"] or 0) / row["head_before"] for row in firsts.values()]
        lines.append(
            f"{kernels}: {len(savings)} models with a head above {LARGE_BYTES:,} bytes, "
            f"saving {statistics.median(savings):.1f} % in the median, {max(savings):.1f} % at best; "
            f"{statistics.median(floors):.1f} % in the median is what no plan that keeps tensors whole could exceed"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--prove", type=int, default=0, metavar="MACS", help="run rewritten models up to this size in TFLM"
    )
    arguments = parser.parse_args()
    table = []
    for row in rows(arguments.folder, arguments.prove):
        table.append(row)
        print(row["model"], row["kernels"], row.get("profile", row.get("problem")), file=sys.stderr)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    print(f"wrote {write_atomic(ROOT / 'benchmarks' / 'results' / 'shrink.csv', stream.getvalue())}")
    different = [row for row in table if row.get("tflm_head") not in (None, row.get("head_after"))]
    different += [row for row in table if row.get("tflm_total") not in (None, row.get("total_after"))]
    proven = sum(row.get("tflm_head") is not None for row in table)
    print(
        f"{proven} rewritten files run in TFLM with the same outputs; head or total not as predicted: {len(different)}"
    )
    print("\n".join(summary(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
