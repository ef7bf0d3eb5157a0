"""On which lines of a TOML file its budgets stand. The parser of the standard library does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

_HEADER: Final = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
_KEY: Final = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_-]+))\s*[.=]""")
# What can begin or end a string, or hide the rest of a line.
_TOKEN: Final = re.compile(r"""\"\"\"|'''|"(?:\\.|[^"\\])*"|'[^']*'|#.*""")


def budget_lines(text: str, table: str) -> tuple[Mapping[str, int], ...]:
    """The lines of each `[[table]]` in a text that is valid TOML, in order: that of its header under "", those of its keys.

    Args:
        text: the whole file.
        table: dotted name of the array of tables, such as "tool.sapool.budget".

    Returns:
        One mapping for each header; none where the array is written inline.
    """
    found: list[dict[str, int]] = []
    inside = False
    for number, line in _outside_strings(text):
        header = _HEADER.match(line)
        if header:
            name = ".".join(part.strip().strip("\"'") for part in header[2].split("."))
            if header[1] and name == table:
                found.append({"": number})
            inside = name == table
            if found and name.startswith(f"{table}."):
                found[-1].setdefault(name[len(table) + 1 :].split(".")[0], number)
            continue
        key = _KEY.match(line)
        if key and inside and found:
            found[-1].setdefault(key[1] or key[2] or key[3], number)
    return tuple(found)


def _outside_strings(text: str) -> Iterator[tuple[int, str]]:
    """Lines that do not begin inside a string of several lines, counted from 1."""
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        rest = line
        if closing:
            _, found, rest = line.partition(closing)
            if not found:
                continue
            closing = ""
        else:
            yield number, line
        while token := _TOKEN.search(rest):
            rest = rest[token.end() :]
            if token[0] in ('"""', "'''"):
                _, found, rest = rest.partition(token[0])
                if not found:
                    closing = token[0]
