"""The format `html`: one page with both arena maps, the flow of the bands and the ladder; it loads and runs nothing."""

from __future__ import annotations

from firmware_sim.report.bands import BandsReport, flow
from firmware_sim.report.bands.text import described, evidence, form_of
from firmware_sim.report.page import page, table
from firmware_sim.report.picture import safe
from firmware_sim.report.shrink import text as shrink_text
from firmware_sim.report.shrink.svg import maps

_STYLE = """
body{max-width:1920px}
.maps{display:flex;flex-wrap:wrap;gap:16px}
.maps svg{flex:1 1 420px;min-width:0}
.flow svg{max-width:100%;height:auto}
"""


def render(report: BandsReport) -> str:
    """Header, maps, stages, ladder and evidence."""
    banded = report.banded
    before, after = banded.shrunk.before, banded.shrunk.after
    old, new = maps(report.shrink, style=False)
    rungs = [
        (f"{rung.macs:,}", f"{rung.arena_bytes:,}", f"{rung.head_bytes:,}", f"{rung.bands}", "yes" * rung.chosen)
        for rung in banded.rungs
    ]
    lines = [*shrink_text.evidence(report.shrink), *evidence(report)]
    body = [
        f"<h1>{safe(before.model.path)}</h1>",
        f'<p class="muted">Kernels: {safe(banded.shrunk.kernels)}. Profile {safe(before.profile.id)}: arena '
        f"{before.arena.total_bytes:,} to {after.arena.total_bytes:,} bytes.</p>",
        "<h2>Arena before and after</h2>",
        f'<div class="maps">{old}\n{new}</div>',
        "<h2>Bands</h2>",
        *([f"<p>{safe(form_of(report))}</p>"] if banded.form else []),
        *([f"<p>None: {safe(banded.reason)}</p>"] if banded.reason else []),
        "<ul>",
        *(f"<li>{safe(' '.join(line.strip() for line in described(stage)))}</li>" for stage in banded.stages),
        "</ul>",
        f'<div class="flow">{flow.render(report).partition(chr(10))[2]}</div>' if banded.stages else "",
        table(
            "What more multiplications buy, in bytes",
            ("multiply-accumulates", "arena", "head", "bands", "chosen"),
            rungs,
            0,
        ),
        "<h2>What shows that outputs are the same</h2>",
        "<ul>",
        *(f"<li>{safe(line)}</li>" for line in lines),
        "</ul>",
    ]
    return page(f"Bands of {before.model.path}", body, style=_STYLE)
