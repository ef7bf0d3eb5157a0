"""Writes sapool/prices.json: what the backbones and presets that `sapool models` lists cost.

Run it after a change to a network, to the exporter or to the account of the arena:

    python tools/model_prices.py

It takes a minute or two; `tests/sapool/test_prices.py` tells when the file is out of date.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from exporters.errors import ExportError
from sapool.prices import FILE, describe, named


def main() -> None:
    models: dict[str, dict[str, Any]] = {}
    for name, text in named().items():
        print(name, file=sys.stderr)
        models[text] = row(text)
    content = {"command": "python tools/model_prices.py", "models": models}
    FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def row(text: str) -> dict[str, Any]:
    """The price of one network; what cannot be known is null, with the reason."""
    try:
        return describe(text)
    except ExportError as error:
        return {"spec": text, "reason": f"{error.where}: {error.message}"}


if __name__ == "__main__":
    main()
