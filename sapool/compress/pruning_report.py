"""The outcome of a pruning as text and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sapool.compress.budget import needed_bytes
from sapool.compress.pruning import Pruned, Step
from sapool.pricing import Price

SCHEMA: Final = "sapool.prune/1"


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every result in the format `json` meets."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("prune-1.schema.json").read_text("utf-8"))
    return content


def as_dict(result: Pruned, path: Path) -> dict[str, Any]:
    """The result as plain dicts, lists, strings and numbers; `path` is that of the pruned checkpoint."""
    return {
        "schema": SCHEMA,
        "path": str(path),
        "spec": str(result.checkpoint.spec),
        "profile": result.profile,
        "plan": result.plan.as_dict(),
        "before": _cost(result.before),
        "after": _cost(result.after),
        "steps": [_step(step) for step in result.steps],
    }


def _cost(price: Price) -> dict[str, Any]:
    return {
        "arena_bytes": needed_bytes(price),
        "total_bytes": price.arena.total_bytes,
        "head_bytes": price.arena.head_bytes,
        "tail_bytes": price.arena.tail_bytes,
        "exact": price.arena.exact,
        "model_bytes": price.model_bytes,
        "macs": price.macs,
        "extra_macs": price.extra_macs,
        "parameters": price.parameters,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "spec": str(step.spec),
        **_cost(step.price),
        "channels": [asdict(choice) for choice in step.choices],
        "peaks": [asdict(peak) for peak in step.peaks],
        "val_accuracy": step.val_accuracy,
    }


def as_text(result: Pruned, path: Path) -> str:
    """The result for people; arguments are those of `as_dict`."""
    lines = []
    for number, step in enumerate(result.steps, start=1):
        first, last = step.peaks[0], step.peaks[-1]
        accuracy = "" if step.val_accuracy is None else f", {step.val_accuracy:.2%} on val"
        lines += [
            f"step {number}: arena {needed_bytes(step.price):,} bytes, file {step.price.model_bytes:,} bytes, "
            f"{step.price.macs:,} MACs{accuracy}",
            f"  peak    {first.op} {first.name}, {first.live_bytes:,} bytes alive",
        ]
        if last != first:
            places = len({peak.name for peak in step.peaks})
            lines.append(
                f"          then {last.op} {last.name}, {last.live_bytes:,}; {places} layers held it on the way"
            )
        for choice in sorted(step.choices, key=lambda choice: -choice.gain):
            why = f"took {choice.gain:.1%} of the limit off what is over it" if choice.gain else "the same share of all"
            lines.append(f"  {choice.group:<8}{choice.before:>5} > {choice.after:<5} {why}")
    before, after = result.before, result.after
    lines += [
        f"arena   {needed_bytes(before):,} > {needed_bytes(after):,} bytes in TFLM, {result.profile}{result.plan.words}",
        f"file    {before.model_bytes:,} > {after.model_bytes:,} bytes",
        f"MACs    {before.macs:,} > {after.macs:,}, parameters {before.parameters:,} > {after.parameters:,}",
        *([f"bands   {after.extra_macs:,} more MACs in the file"] if after.extra_macs else []),
        f"spec    {result.checkpoint.spec}",
    ]
    return "\n".join(lines)
