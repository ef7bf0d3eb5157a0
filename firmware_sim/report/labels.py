"""How layers and tensors are called in a report."""

from __future__ import annotations

from firmware_sim.accounting import LayerUse, MemoryReport


def printable(text: str) -> str:
    """`text` without control characters: names come from files and could otherwise move a terminal's cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` columns; the end stays, for that is where tensor names differ."""
    text = printable(text)
    return text if len(text) <= width else f"...{text[len(text) - max(width - 3, 0) :]}"


def position(report: MemoryReport, layer: LayerUse) -> str:
    """Number of a layer, with that of its subgraph in front where there are several: "7", "1:7"."""
    return f"{layer.subgraph}:{layer.index}" if report.model.subgraphs > 1 else str(layer.index)
