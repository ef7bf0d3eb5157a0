"""Where the values of a JSON text stand, for messages about them."""

from __future__ import annotations

import json
import re

Path = tuple[str | int, ...]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, of each key and each element; a path is the keys and indices that lead there.

    Args:
        text: valid JSON.
    """
    found: dict[Path, int] = {}
    path: list[str | int] = []
    containers: list[str] = []
    expects_key = False
    line, seen = 1, 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        line += text.count("\n", seen, match.start())
        seen = match.start()
        if token == ",":
            last = path[-1]
            expects_key = containers[-1] == "{"
            path[-1] = last + 1 if isinstance(last, int) else last
        elif token in ("}", "]"):
            path.pop()
            containers.pop()
        elif expects_key:
            path[-1] = json.loads(token)
            found[tuple(path)] = line
            expects_key = False
        elif token != ":":
            found.setdefault(tuple(path), line)
            if token in ("{", "["):
                containers.append(token)
                path.append("" if token == "{" else 0)
                expects_key = token == "{"
    return found


def describe(path: Path) -> str:
    """A path as people write it: `regions[2].size_bytes`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).lstrip(".")
