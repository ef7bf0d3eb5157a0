"""What the HTML reports share: a page that loads nothing and runs nothing, and its tables.

It is written as XHTML would be, so that any XML parser can check it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from firmware_sim.report.picture import STYLE, safe

_PAGE_STYLE: Final = """
:root{color-scheme:light dark;--text:#1f2328;--muted:#59636e;--surface:#ffffff;--card:#f6f8fa;--line:#d1d9e0;--mark:#bc4c00}
@media (prefers-color-scheme:dark){
:root{--text:#e6edf3;--muted:#9ea7b3;--surface:#0d1117;--card:#161b22;--line:#3d444d;--mark:#f0a068}}
body{margin:0 auto;padding:24px;max-width:960px;background:var(--surface);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:24px;margin:0;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 8px}
p,li{max-width:78ch;overflow-wrap:anywhere}
.muted{color:var(--muted)}
dl{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}
dl div{flex:1 1 150px;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 14px}
dt{color:var(--muted);font-size:13px}
dd{margin:0;font-size:20px;font-weight:600}
dd small{display:block;color:var(--muted);font-size:12px;font-weight:400}
.scroll{overflow-x:auto}
.picture{max-width:100%;height:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);padding:4px 0}
th,td{border-bottom:1px solid var(--line);padding:4px 8px;text-align:right;white-space:nowrap}
th{color:var(--muted);font-weight:600}
.word{text-align:left}
.name{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:160px}
tr.peak td{color:var(--mark);font-weight:600}
"""


def page(title: str, parts: Iterable[str], *, style: str = "") -> str:
    """The document around `parts`, elements as text, with the colours of the pictures and further `style`."""
    head = [
        "<!DOCTYPE html>",
        '<html lang="en" xmlns="http://www.w3.org/1999/xhtml">',
        "<head>",
        '<meta charset="utf-8" />',
        '<meta name="viewport" content="width=device-width, initial-scale=1" />',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />",
        f"<title>{safe(title)}</title>",
        f"<style>{_PAGE_STYLE}{STYLE}{style}</style>",
        "</head>",
        "<body>",
        "<main>",
    ]
    return "\n".join([*head, *parts, "</main>", "</body>", "</html>"])


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int, marked: frozenset[int] = frozenset()
) -> str:
    """A table whose first `words` columns are text, the third of them a tensor's name."""
    classes = [
        (' class="name"' if column == 2 else ' class="word"') if column < words else "" for column in range(len(header))
    ]
    head = "".join(f'<th scope="col"{kind}>{safe(cell)}</th>' for kind, cell in zip(classes, header, strict=True))
    lines = ['<div class="scroll">', "<table>", f"<caption>{safe(caption)}</caption>"]
    lines += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for number, row in enumerate(rows):
        cells = "".join(f"<td{kind}>{safe(cell)}</td>" for kind, cell in zip(classes, row, strict=True))
        lines.append(f'<tr class="peak">{cells}</tr>' if number in marked else f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>", "</div>"])
