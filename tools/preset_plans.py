"""Writes benchmarks/results/preset-plans.csv and its table in docs/networks.md: what presets for devices take, by plan.

    python tools/preset_plans.py
    python tools/preset_plans.py --stored        # the table alone, from the rows that are stored

Every figure is a price: that of the file that an export writes, without training one. Arenas are the smallest that
initialise; `bands` is `sapool export --bands` within the usual share of more multiply-accumulates.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import result_table
from result_table import Row

from firmware_sim.files import write_atomic
from sapool import presets
from sapool.plans import named
from sapool.pricing import price
from sapool.spec import parse

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "networks.md"
TABLE = ROOT / "benchmarks" / "results" / "preset-plans.csv"
COLUMNS = ("preset", "profile", "kernels", "tflm", "shrink", "bands", "extra_macs", "mobilenet_v2", "cpu_s")

_STOCK = "mobilenet_v2-strided-1222121"
# The profile of an arena, and whether the file is for its kernels (--for) or for all that are known.
_BUILDS = (("host64", False), ("cortex-m-reference", True), ("cortex-m-cmsis-nn-dsp", True))


def rows() -> Iterator[Row]:
    """A row for each preset that is shrunk by default and each build."""
    for preset in sorted((one for one in presets.all() if one.shrink), key=lambda one: price(parse(one.spec)).macs):
        for profile, is_for in _BUILDS:
            yield row(preset.name, profile, profile if is_for else None)


def row(name: str, profile: str, target: str | None) -> Row:
    """One preset on one build; `target` is None for a file that is for all known kernels."""
    spec = parse(name)
    start = time.process_time()
    plans = [named(plan, target).searched() for plan in ("tflm", "overlap", "bands")]
    costs = [price(spec, profile=profile, plan=plan) for plan in plans]
    stock = price(parse(_STOCK, resolution=spec.resolution), profile=profile)
    tflm, shrink, bands = (str(cost.arena.needed_bytes) for cost in costs)
    return {
        "preset": name,
        "profile": profile,
        "kernels": plans[1].kernels or "",
        "tflm": tflm,
        "shrink": shrink,
        "bands": bands,
        "extra_macs": f"{costs[2].extra_macs / costs[2].macs:.4f}",
        "mobilenet_v2": str(stock.arena.needed_bytes),
        "cpu_s": f"{time.process_time() - start:.1f}",
    }


def table(found: Sequence[Row]) -> str:
    """The table of the page."""
    lines = [
        "| preset | profile, kernels | TFLM | shrunk | in bands | more MACs | MobileNetV2-1.0 takes |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for one in found:
        figures = " | ".join(f"{int(one[key]):,}" for key in ("tflm", "shrink", "bands"))
        times = [f"{int(one['mobilenet_v2']) / int(one[key]):.1f}" for key in ("tflm", "shrink", "bands")]
        extra = f"{float(one['extra_macs']):.1%}" if one["bands"] != one["shrink"] else "no bands"
        where = f"{one['profile']}, {one['kernels']}"
        lines.append(f"| `{one['preset']}` | {where} | {figures} | {extra} | {', '.join(times)} times as much |")
    return "\n".join(lines) + "\n"


def placed(page: str, found: Sequence[Row]) -> str:
    """A page with the table in its place."""
    return result_table.placed(page, TABLE.name, table(found))


def stored() -> list[Row]:
    """The rows that were written last."""
    return result_table.stored(TABLE)


def main() -> int:
    if sys.argv[1:] != ["--stored"]:
        result_table.measured(TABLE, COLUMNS, rows())
    print(f"wrote {write_atomic(PAGE, placed(PAGE.read_text('utf-8'), stored()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
