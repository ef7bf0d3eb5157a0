"""What the pictures of a report share: one SVG element, its colours in light and dark, and safe text.

Colours are written out per class, and not as CSS variables, for viewers other than browsers.
"""

from __future__ import annotations

from html import escape
from typing import Final

from firmware_sim.report.labels import printable

STYLE: Final = """
.picture{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:11px}
.picture text{fill:#1f2328}
.picture .heading{font-size:15px;font-weight:600}
.picture .muted{fill:#59636e}
.picture .surface{fill:#ffffff}
.picture .grid{stroke:#d1d9e0;stroke-width:1}
.picture .band{fill:#bc4c00;fill-opacity:.12}
.picture .marker{fill:#bc4c00;font-weight:600}
.picture .bound{stroke:#bc4c00;stroke-width:1.5;stroke-dasharray:5 4}
.picture .buffer{stroke:#ffffff;stroke-width:1}
.picture .buffer:hover,.picture .bar:hover{stroke:#1f2328;stroke-width:2}
.picture .tensor,.picture .input{fill:#a9c7ee}
.picture .output,.picture .macs{fill:#5c96dc}
.picture .scratch{fill:#cbb8ee}
.picture .at-peak{fill:#f3a464}
.picture .waiting,.picture .weights{fill:#a8b3be}
@media (prefers-color-scheme:dark){
.picture text{fill:#e6edf3}
.picture .muted{fill:#9ea7b3}
.picture .surface{fill:#0d1117}
.picture .grid{stroke:#3d444d}
.picture .band{fill:#f0883e;fill-opacity:.16}
.picture .marker{fill:#f0a068}
.picture .bound{stroke:#f0883e}
.picture .buffer{stroke:#0d1117}
.picture .buffer:hover,.picture .bar:hover{stroke:#e6edf3}
.picture .tensor,.picture .input{fill:#2c548a}
.picture .output,.picture .macs{fill:#3f7fd0}
.picture .scratch{fill:#5f4a9c}
.picture .at-peak{fill:#9a4f12}
.picture .waiting,.picture .weights{fill:#59636e}
}
"""


def safe(text: str) -> str:
    """`text` for the content of an element or attribute: escaped, and without what XML forbids."""
    return escape(printable(text))


def number(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rectangle(x: float, y: float, width: float, height: float, classes: str, title: str = "", data: str = "") -> str:
    """A rectangle; `title` shows when a pointer rests on it, `data` are further attributes."""
    place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    attributes = f'<rect class="{classes}" {place}{f" {data}" if data else ""}'
    return f"{attributes}><title>{safe(title)}</title></rect>" if title else f"{attributes}/>"


def line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    """A straight line."""
    ends = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line class="{classes}" {ends}/>'


def text(x: float, y: float, content: str, classes: str = "", anchor: str = "start", turned: bool = False) -> str:
    """A line of text; `turned` makes it run upwards."""
    options = f' class="{classes}"' if classes else ""
    if anchor != "start":
        options += f' text-anchor="{anchor}"'
    if turned:
        options += f' transform="rotate(-90 {number(x)} {number(y)})"'
    return f'<text x="{number(x)}" y="{number(y)}"{options}>{safe(content)}</text>'


def legend(x: float, y: float, entries: tuple[tuple[str, str], ...]) -> list[str]:
    """Squares of a class with a word for each, in a row from (x, y)."""
    parts = []
    for classes, word in entries:
        parts += [rectangle(x, y - 9, 11, 11, classes), text(x + 16, y, word, "muted")]
        x += 16 + 6.4 * len(word) + 18
    return parts


def picture(parts: list[str], width: float, height: float, id: str, title: str, description: str, style: bool) -> str:
    """The SVG element around `parts`.

    Args:
        parts: elements, later ones on top.
        width: of the drawing; it scales to the room that there is.
        height: likewise.
        id: unique in the document.
        title: what it is, for those who do not see it, and `description` what it shows.
        style: put `STYLE` inside, for a file of its own.
    """
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="img" '
        f'viewBox="0 0 {number(width)} {number(height)}" width="{number(width)}" height="{number(height)}" '
        f'aria-labelledby="{id}-title {id}-description">'
    )
    lines = [head, f'<title id="{id}-title">{safe(title)}</title>']
    lines.append(f'<desc id="{id}-description">{safe(description)}</desc>')
    if style:
        lines.append(f"<style>{STYLE}</style>")
    return "\n".join([*lines, rectangle(0, 0, width, height, "surface"), *parts, "</svg>"])
