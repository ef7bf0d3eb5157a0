"""Writes docs/costs.md and benchmarks/results/costs.csv: what each pooling method costs, where it stands, and how early.

    python tools/costs_page.py

Every network goes through the exporter and the account of the arena as a finished file would; nothing is trained.
"""

from __future__ import annotations

import csv
import io
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from exporters.errors import ExportError
from firmware_sim.files import write_atomic
from sapool import catalog
from sapool.errors import SapoolError
from sapool.models import build
from sapool.pricing import PROFILE, price
from sapool.spec import parse

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "costs.md"
TABLE = ROOT / "benchmarks" / "results" / "costs.csv"

# The published plans where the pools divide their maps; at 96 pixels the last stages keep theirs instead.
PLANS = {96: ("1222121", "2222111", "4221111"), 128: ("1222121", "2222121", "4222121")}
NETWORK = "mobilenet_v2-{method}-{plan}:width=0.35,placement={placement},resolution={resolution}"
PLAIN = "strided"
COLUMNS = (
    "resolution", "plan", "placement", "method", "parameters", "macs", "peak_activation_bytes", "arena_bytes",
    "arena_against_strided_bytes", "reason", "spec",
)  # fmt: skip

_HEAD = """# What pooling costs

Made by `python tools/costs_page.py`; the same rows as CSV are in `benchmarks/results/costs.csv`. MobileNetV2-0.35 for ten
classes at 96 and 128 pixels, every method at every placement, settings as they are by default. Nothing here is a
measurement: parameters are counted, and the arena is the account of the int8 file for the profile `{profile}`, which equals
what TensorFlow Lite Micro takes ([how exact it is](arena-accuracy.md)).

- **peak activations**: the largest sum of int8 activations alive at one operator, each rounded up to 16 bytes: no plan of
  the memory can do with less.
- **arena**: head and tail, by TFLM's own planner. The tail grows by the operator.
- **against strided**: how much more or less arena than the same net, placement and plan with strided convolutions. Where it
  is positive, the method costs memory.
- Without figures: the method has no integer form, or does not fit this plan; the reason stands in its row. Networks of
  the first kind train, and run in ONNX.

A plan has a digit a stage, by which it shrinks the map: plans that begin with 2 or 4 do so early. Methods are compared
within one table only: same placement, same plan.
"""


Row = Mapping[str, str]
"""One network, by the names of `COLUMNS`; figures are empty where there are none, for the `reason`."""


def networks() -> Iterator[tuple[int, str, str, str]]:
    """Resolution, plan, placement and method of every row, in the order of the page: a table begins with the plain net."""
    for resolution, plans in PLANS.items():
        methods = (PLAIN, *sorted(set(catalog.POOLING) - {PLAIN}))
        yield from itertools.product((resolution,), plans, catalog.PLACEMENTS, methods)


def row(resolution: int, plan: str, placement: str, method: str, plain: Row | None = None) -> Row:
    """One network and its price; `plain` is the row that it is held against."""
    text = NETWORK.format(method=method, plan=plan, placement=placement, resolution=resolution)
    figures: list[int | str] = [""] * 5
    reason = ""
    try:
        spec = parse(text)
        cost = price(spec)
    except ExportError as error:
        reason = _words(error)
        figures[0] = sum(parameter.numel() for parameter in build(spec).parameters())
    except SapoolError as error:
        reason = _words(error)
    else:
        arena = cost.arena
        against = arena.total_bytes - int(plain["arena_bytes"]) if plain and plain["arena_bytes"] else ""
        figures = [cost.parameters, cost.macs, arena.lower_bound_bytes, arena.total_bytes, against]
    names = (str(resolution), plan, placement, method)
    return dict(zip(COLUMNS, (*names, *map(str, figures), reason, text), strict=True))


def _words(error: SapoolError) -> str:
    return f"{error.where}: {error.message}" if error.where else error.message


def rows() -> Iterator[Row]:
    """All rows."""
    plain = None
    for resolution, plan, placement, method in networks():
        found = row(resolution, plan, placement, method, None if method == PLAIN else plain)
        plain = found if method == PLAIN else plain
        yield found


def table(found: Sequence[Row]) -> str:
    """The rows as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return stream.getvalue()


def page(found: Sequence[Row]) -> str:
    """The page, as it has to stand in docs."""
    parts = [_HEAD.format(profile=PROFILE)]
    for resolution, sized in itertools.groupby(found, key=lambda row: row["resolution"]):
        parts.append(f"## {resolution} x {resolution} pixels\n")
        for (plan, placement), group in itertools.groupby(sized, key=lambda row: (row["plan"], row["placement"])):
            parts.append(f"### {plan}, {placement}\n")
            parts.append("| method | parameters | MACs | peak activations | arena | against strided |")
            parts.append("|---|--:|--:|--:|--:|--:|")
            parts.extend(map(_line, group))
            parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def _line(row: Row) -> str:
    if row["reason"]:
        parameters = f"{int(row['parameters']):,}" if row["parameters"] else ""
        return f"| {row['method']} | {parameters} | | | | {row['reason'].replace('|', '/')} |"
    figures = [int(row[name]) for name in COLUMNS[4:8]]
    share = ""
    if row["arena_against_strided_bytes"]:
        more = int(row["arena_against_strided_bytes"])
        share = f"{more:+,} ({100 * more / (figures[3] - more):+.1f} %)"
    return f"| {row['method']} | {' | '.join(f'{figure:,}' for figure in figures)} | {share} |"


def main() -> None:
    found = []
    for entry in rows():
        found.append(entry)
        print(entry["spec"], entry["arena_bytes"] or entry["reason"], file=sys.stderr)
    print(f"wrote {write_atomic(TABLE, table(found))}")
    print(f"wrote {write_atomic(PAGE, page(found))}")


if __name__ == "__main__":
    main()
