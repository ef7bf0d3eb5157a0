"""Predicted against measured arenas, for every model of a collection and every build of TFLM that it was measured with.

    python benchmarks/arena_accuracy.py ../shared/tflite

The folder holds models and a truth.json: a list of {"file", PROFILE: {"total", "head", "tail"[, "minimum"]}, ...}.
Writes benchmarks/results/arena-accuracy.csv (a row for each model and build) and docs/arena-accuracy.md (a row a model).
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from firmware_sim import memreport, profiles, read
from firmware_sim.errors import ModelError
from firmware_sim.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("total", "head", "tail", "minimum")
COLUMNS = (
    "model",
    "profile",
    "exact",
    *(f"{kind}_{figure}" for figure in FIGURES for kind in ("predicted", "measured")),
)


def rows(folder: Path) -> list[dict[str, Any]]:
    """One row for each model and profile; measured figures are empty where TFLM refuses the model or was not run."""
    result = []
    for entry in json.loads((folder / "truth.json").read_text("utf-8")):
        for profile in profiles.names():
            measured = entry.get(profile) or {}
            try:
                arena = memreport(read(folder / entry["file"]), profile=profile).arena
                predicted = {figure: getattr(arena, f"{figure}_bytes") for figure in FIGURES}
                exact = arena.exact
            except ModelError:
                predicted, exact = {}, None
            row: dict[str, Any] = {"model": entry["file"], "profile": profile, "exact": exact}
            for figure in FIGURES:
                row[f"predicted_{figure}"] = predicted.get(figure)
                row[f"measured_{figure}"] = measured.get(figure)
            result.append(row)
    return result


def markdown(table: list[dict[str, Any]]) -> str:
    """The page: how many agree, then total bytes of each model on each build, predicted and measured."""
    measured = [row for row in table if row["measured_total"] is not None]
    refused = [row for row in table if row["measured_total"] is None and row["predicted_total"] is None]
    wrong = [row for row in measured if any(_differs(row, figure) for figure in FIGURES)]
    minima = sum(row["measured_minimum"] is not None for row in measured)
    names = profiles.names()
    lines = [
        "# Predicted and measured arenas",
        "",
        "Made by `python benchmarks/arena_accuracy.py ../shared/tflite`; the raw figures, head and tail included, are in "
        "[arena-accuracy.csv](../benchmarks/results/arena-accuracy.csv).",
        "",
        f"{len(measured)} measurements (a model on a build of TFLM), {minima} of them with the smallest arena that "
        f"initialises: {len(measured) - len(wrong)} agree to the byte in every figure, {len(wrong)} do not. "
        f"{len(refused)} more are refused by TFLM or were not measured, and are predicted as refused.",
        "",
        "Total bytes; one number where prediction and measurement agree, `predicted ≠ measured` where they do not, "
        "– where TFLM refuses the model, (n) where it was not measured.",
        "",
        "| model | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    cells: dict[str, dict[str, str]] = {}
    for row in table:
        cells.setdefault(row["model"], {})[row["profile"]] = _cell(row)
    lines += [
        f"| {model} | " + " | ".join(by_profile[name] for name in names) + " |" for model, by_profile in cells.items()
    ]
    return "\n".join(lines) + "\n"


def _differs(row: dict[str, Any], figure: str) -> bool:
    measured = row[f"measured_{figure}"]
    return measured is not None and row[f"predicted_{figure}"] != measured


def _cell(row: dict[str, Any]) -> str:
    predicted, measured = row["predicted_total"], row["measured_total"]
    if measured is None:
        return "–" if predicted is None else f"({predicted:,})"
    return f"{measured:,}" if predicted == measured else f"{predicted} ≠ {measured}"


def main() -> int:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "truth.json").is_file():
        print(__doc__, file=sys.stderr)
        return 2
    table = rows(Path(sys.argv[1]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    print(f"wrote {write_atomic(ROOT / 'benchmarks' / 'results' / 'arena-accuracy.csv', stream.getvalue())}")
    print(f"wrote {write_atomic(ROOT / 'docs' / 'arena-accuracy.md', markdown(table))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
