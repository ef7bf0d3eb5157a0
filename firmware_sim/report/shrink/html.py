"""The format `html`: one page with both arena maps and what each pass saved; it loads nothing and runs nothing."""

from __future__ import annotations

from firmware_sim.report.page import page, table
from firmware_sim.report.picture import safe
from firmware_sim.report.shrink import ShrinkReport
from firmware_sim.report.shrink.svg import maps
from firmware_sim.report.shrink.text import evidence, interface
from firmware_sim.rewrite.shrink import DESCRIPTIONS

_STYLE = """
body{max-width:1920px}
.maps{display:flex;flex-wrap:wrap;gap:16px}
.maps svg{flex:1 1 420px;min-width:0}
"""


def render(report: ShrinkReport) -> str:
    """Header, maps, passes, builds, evidence and notes."""
    shrunk = report.shrunk
    before, after = shrunk.before, shrunk.after
    old, new = maps(report, style=False)
    rows = [("before", "", before.arena.head_bytes, before.arena.total_bytes, before.model.bytes)]
    rows += [
        (use.name, DESCRIPTIONS[use.name], use.head_bytes, use.total_bytes, use.model_bytes) for use in shrunk.passes
    ]
    builds = [
        (
            build.profile,
            build.head_before_bytes,
            build.head_after_bytes,
            build.total_before_bytes,
            build.total_after_bytes,
        )
        for build in shrunk.builds
    ]
    body = [
        f"<h1>{safe(before.model.path)}</h1>",
        f'<p class="muted">Kernels: {safe(shrunk.kernels)}. Profile {safe(before.profile.id)}: head '
        f"{before.arena.head_bytes:,} to {after.arena.head_bytes:,} bytes, arena {before.arena.total_bytes:,} to "
        f"{after.arena.total_bytes:,} bytes.</p>",
        "<h2>Arena before and after</h2>",
        f'<div class="maps">{old}\n{new}</div>',
        "<h2>Passes</h2>",
        table(
            "What was left after each pass, in bytes",
            ("pass", "what it does", "head", "total", "file"),
            [(name, what, f"{head:,}", f"{total:,}", f"{size:,}") for name, what, head, total, size in rows],
            2,
        ),
        "<h2>Builds</h2>",
        table(
            "Every build of these kernels, in bytes",
            ("profile", "head before", "head after", "total before", "total after"),
            [(name, *(f"{figure:,}" for figure in figures)) for name, *figures in builds],
            1,
        ),
        *(["<h2>The input changes</h2>"] if shrunk.inputs else []),
        *(f"<p>{safe(line)}</p>" for line in interface(shrunk)),
        "<h2>What shows that outputs are the same</h2>",
        "<ul>",
        *(f"<li>{safe(line)}</li>" for line in evidence(report)),
        "</ul>",
    ]
    if shrunk.notes:
        body += ["<h2>Notes</h2>", "<ul>", *(f"<li>{safe(note)}</li>" for note in shrunk.notes), "</ul>"]
    return page(f"Shrinking {before.model.path}", body, style=_STYLE)
