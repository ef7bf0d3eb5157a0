"""The outcome of a search as text, JSON and picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from firmware_sim.report.picture import legend, line, picture, rectangle, text
from firmware_sim.sizes import describe
from sapool.compress.front import Candidate
from sapool.compress.ranking import Ranked
from sapool.compress.search import SearchResult

SCHEMA: Final = "sapool.downsample/1"


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every result in the format `json` meets."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("downsample-1.schema.json").read_text("utf-8"))
    return content


def as_dict(result: SearchResult, shown: Sequence[Candidate], ranked: Sequence[Ranked] | None = None) -> dict[str, Any]:
    """The result as plain dicts, lists, strings and numbers.

    Args:
        result: the outcome of the search.
        shown: candidates of its front.
        ranked: those of them that were trained, best first; None where none was to be.
    """
    space, budget, counts = result.space, result.budget, result.counts
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "space": {
            "backbone": space.backbone,
            "widths": list(space.widths),
            "resolutions": list(space.resolutions),
            "methods": list(space.methods),
            "placements": list(space.placements),
            "prepools": list(space.prepools),
            "plans": len(space.plans),
            "classes": space.classes,
        },
        "budget": {name: getattr(budget, name) for name in ("arena_bytes", "flash_bytes", "macs")},
        "profile": result.profile,
        "plan": result.plan.as_dict(),
        "counts": {name: getattr(counts, name) for name in counts.__dataclass_fields__},
        "seconds": round(result.seconds, 2),
        "front_size": len(result.front),
        "front": [_entry(candidate) for candidate in shown],
    }
    if ranked is not None:
        content["trained"] = [
            {"spec": str(each.candidate.spec), "val_accuracy": each.val_accuracy, "epochs": each.epochs}
            for each in ranked
        ]
    return content


def _entry(candidate: Candidate) -> dict[str, Any]:
    price = candidate.price
    return {
        "spec": str(candidate.spec),
        "arena_bytes": candidate.arena_bytes,
        "head_bytes": price.arena.head_bytes,
        "tail_bytes": price.arena.tail_bytes,
        "exact": price.arena.exact,
        "model_bytes": price.model_bytes,
        "macs": price.macs,
        "extra_macs": price.extra_macs,
        "parameters": price.parameters,
    }


def as_text(result: SearchResult, shown: Sequence[Candidate], ranked: Sequence[Ranked] | None = None) -> str:
    """The result as a table; arguments are those of `as_dict`."""
    counts = result.counts
    limits = [
        f"{name} {value}"
        for name, value in (
            ("arena", _limit(result.budget.arena_bytes)),
            ("flash", _limit(result.budget.flash_bytes)),
            ("MACs", f"{result.budget.macs:,}" if result.budget.macs else None),
        )
        if value
    ]
    lines = [
        f"{counts.combinations:,} combinations: {counts.impossible:,} impossible, {counts.over_budget:,} over the budget by "
        f"their bounds, {counts.beaten:,} beaten by theirs, {counts.priced:,} priced",
        f"budget: {', '.join(limits)}; arena in TFLM, profile {result.profile}{result.plan.words}; {result.seconds:.0f} s",
        f"{len(result.front)} networks that no other one beats (less arena, more MACs, more parameters)"
        + (f", {len(shown)} of them shown" if len(shown) < len(result.front) else ""),
        "",
        f"{'arena':>9} {'file':>9} {'MACs':>13} {'parameters':>11}  specification",
    ]
    for candidate in shown:
        price = candidate.price
        lines.append(
            f"{candidate.arena_bytes:>9,} {price.model_bytes:>9,} {price.macs:>13,} {price.parameters:>11,}  "
            f"{candidate.spec}"
        )
    if ranked is not None:
        lines += ["", f"{'val':>7} {'arena':>9} {'MACs':>13}  trained, best first"]
        lines += [
            f"{each.val_accuracy:>7.2%} {each.candidate.arena_bytes:>9,} {each.candidate.price.macs:>13,}  "
            f"{each.candidate.spec}"
            for each in ranked
        ]
    return "\n".join(lines)


def _limit(size_bytes: int | None) -> str | None:
    return None if size_bytes is None else describe(size_bytes)


_WIDTH, _HEIGHT = 960, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 96, 60
_MARK = 9
_CLASSES: Final = ("tensor", "at-peak", "scratch", "waiting", "output")


def as_picture(result: SearchResult) -> str:
    """The whole front as one SVG element: arena to the right, multiply-accumulates upwards, a mark per network.

    A mark carries specification and figures as title and as data attributes; its colour tells the method.
    """
    front = result.front
    # The axes begin at 0: a front that is narrow is to look narrow.
    right = max([candidate.arena_bytes for candidate in front] + [result.budget.arena_bytes or 0])
    top = max(candidate.price.macs for candidate in front)
    methods = list(dict.fromkeys(str(candidate.spec.pooling) for candidate in front))
    colours = {method: _CLASSES[number % len(_CLASSES)] for number, method in enumerate(methods)}

    def x(arena_bytes: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * arena_bytes / right

    def y(macs: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * macs / top

    parts = [
        text(16, 28, f"{result.space.backbone}: what fits", "heading"),
        text(16, 47, f"{len(front)} networks that no other one beats, {result.profile}", "muted"),
        *legend(16, 72, tuple((f"buffer {colours[method]}", method) for method in methods)),
    ]
    for share in range(5):
        macs, arena_bytes = top * share / 4, right * share / 4
        parts += [line(_LEFT, y(macs), _WIDTH - _RIGHT, y(macs), "grid")]
        parts += [text(_LEFT - 8, y(macs) + 4, f"{macs / 1e6:.2f} M", "muted", "end")]
        parts += [text(x(arena_bytes), _HEIGHT - _BOTTOM + 18, f"{arena_bytes / 1024:.0f} KiB", "muted", "middle")]
    parts.append(text(_WIDTH - _RIGHT, _HEIGHT - 16, "arena", "muted", "end"))
    parts.append(text(16, _TOP - 8, "MACs", "muted"))
    if result.budget.arena_bytes is not None:
        limit = x(result.budget.arena_bytes)
        parts.append(line(limit, _TOP, limit, _HEIGHT - _BOTTOM, "bound"))
        parts.append(text(limit - 6, _TOP + 12, f"budget {describe(result.budget.arena_bytes)}", "marker", "end"))
    for candidate in front:
        price = candidate.price
        title = (
            f"{candidate.spec}: {candidate.arena_bytes:,} bytes, {price.macs:,} MACs, {price.parameters:,} parameters"
        )
        data = f'data-arena="{candidate.arena_bytes}" data-macs="{price.macs}" data-parameters="{price.parameters}"'
        corner = x(candidate.arena_bytes) - _MARK / 2, y(price.macs) - _MARK / 2
        parts.append(rectangle(*corner, _MARK, _MARK, f"buffer {colours[str(candidate.spec.pooling)]}", title, data))
    description = f"{len(front)} networks between {front[-1].price.macs:,} and {top:,} multiply-accumulates"
    return picture(parts, _WIDTH, _HEIGHT, "front", "Networks that fit", description, True)
