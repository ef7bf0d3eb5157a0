"""What shrinking with bands saves of the head, for every int8 model of a collection whose head is large.

    python benchmarks/bands_saving.py ../shared/tflite

The folder holds models and a truth.json, a list of {"file", "kind", ...}. Writes benchmarks/results/bands-saving.csv: a row
for each model with a head above 20,000 bytes and each kernel class, with head and arena before and after as predicted for
the class's first build, within the usual share of further multiplications, and the processor time of the search. Prints the
median.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiment import ROOT, write_csv
from shrink import LARGE_BYTES

from firmware_sim import memreport, read
from firmware_sim.errors import SapoolError
from firmware_sim.overlap.plan import profiles_of
from firmware_sim.overlap.rules import ANY, kernel_classes
from firmware_sim.rewrite.bands.run import bands

COLUMNS = ("model", "kernels", "head_before", "head_after", "total_before", "total_after", "cpu_s", "problem")


def rows(folder: Path, kernels: str) -> Iterator[dict[str, Any]]:
    """One row for each model; one that cannot be rewritten has the problem."""
    for entry in json.loads((folder / "truth.json").read_text("utf-8")):
        if entry["kind"] != "int8":
            continue
        content = (folder / entry["file"]).read_bytes()
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"model": entry["file"], "kernels": kernels}
        try:
            before = memreport(read(content), profile=profiles_of(kernels)[0]).arena
            if before.head_bytes <= LARGE_BYTES:
                continue
            start = time.process_time()
            found = bands(content, kernels=kernels, name=entry["file"])
            after = found.shrunk.after.arena
            row |= {
                "head_before": before.head_bytes, "head_after": after.head_bytes, "total_before": before.total_bytes,
                "total_after": after.total_bytes, "cpu_s": round(time.process_time() - start, 1),
            }  # fmt: skip
        except SapoolError as error:
            row["problem"] = error.message.partition("\n")[0]
        print(*row.values(), file=sys.stderr, flush=True)
        yield row


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    table = []
    for kernels in (kernels for kernels in kernel_classes() if kernels != ANY):
        found = list(rows(Path(sys.argv[1]), kernels))
        table += found
        savings = [100 - 100 * row["head_after"] / row["head_before"] for row in found if not row["problem"]]
        if savings:
            print(f"{kernels}: {len(savings)} models, {statistics.median(savings):.1f} % of the head in the median")
    print(f"wrote {write_csv(ROOT / 'benchmarks' / 'results' / 'bands-saving.csv', table)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
