"""The format `svg`: both arena maps side by side, on one scale."""

from __future__ import annotations

from typing import Final

from firmware_sim.report.arena_map import arena_map
from firmware_sim.report.picture import number, safe
from firmware_sim.report.shrink import ShrinkReport

_WIDTH: Final = 960
_HEIGHT: Final = 682
_GAP: Final = 24


def maps(report: ShrinkReport, *, style: bool) -> tuple[str, str]:
    """The map before and the one after; `style` puts the colours inside."""
    before, after = report.shrunk.before, report.shrunk.after
    top = max(before.arena.head_bytes, before.arena.lower_bound_bytes)
    return (
        arena_map(before, style=style, id="before", least_top_bytes=top),
        arena_map(after, style=style, id="after", least_top_bytes=top),
    )


def render(report: ShrinkReport) -> str:
    """One picture with both."""
    width = 2 * _WIDTH + _GAP
    before, after = maps(report, style=True)
    title = f"Arena of {report.shrunk.before.model.path}, before and after"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {_HEIGHT}" width="{width}" '
            f'height="{_HEIGHT}">',
            f"<title>{safe(title)}</title>",
            _placed(before, 0),
            _placed(after, _WIDTH + _GAP),
            "</svg>",
        ]
    )


def _placed(picture: str, x: float) -> str:
    return picture.replace("<svg ", f'<svg x="{number(x)}" y="0" ', 1)
