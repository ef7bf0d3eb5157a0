"""Rows of figures in a CSV file, and the table that a page shows of them between two marks."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from firmware_sim.files import write_atomic

Row = Mapping[str, str]


def measured(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Store rows, each told as soon as there is one."""
    found = []
    for one in rows:
        found.append(one)
        print(*one.values(), file=sys.stderr, flush=True)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    print(f"wrote {write_atomic(path, stream.getvalue())}")


def stored(path: Path) -> list[Row]:
    """The rows of the last measurement."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def placed(page: str, name: str, table: str) -> str:
    """A page with a table in its place, which marks with the name of the CSV file say."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{table}{end}{rest.partition(end)[2]}"
