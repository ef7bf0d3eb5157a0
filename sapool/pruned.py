"""Widths of a network that differ from those that its width multiplier gives it, as an object and as text.

    stem:12/s2:20/b4:72/p3:16/last:640

    stem     channels behind the stem
    s2       channels of stage 2, which its blocks add to each other (not for mobilenet_v1, whose blocks have no shortcut)
    b4       inner channels of block 4: of its expansion, or behind its first convolution; for mobilenet_v1 those behind it
    b4x      channels behind the second convolution of block 4 of a resnet50
    p3       embedding of the self-attentive pool of stage 3
    last     channels behind the last convolution of mobilenet_v2

Stages and blocks count from 1, blocks through the whole network. Only what differs is named.
"""

from __future__ import annotations

from collections.abc import Mapping

from sapool import catalog
from sapool.errors import UsageError
from sapool.settings import from_text, typed


def names(backbone: str) -> tuple[str, ...]:
    """The widths that a network of this backbone has, from its input to its output."""
    entry = catalog.BACKBONES[backbone]
    result, block = ["stem"], 1
    for stage, count in enumerate(entry.blocks, start=1):
        result += [f"s{stage}"] * entry.adds + [f"p{stage}"]
        result += [f"b{each}{inner}" for each in range(block, block + count) for inner in entry.inner]
        block += count
    result += ["last"] * entry.widens
    return tuple(name for name in result if name not in entry.without)


def ordered(widths: Mapping[str, int], backbone: str) -> dict[str, int]:
    """The widths in their order through the network.

    Raises:
        UsageError: the backbone has no such width, or one is empty.
    """
    known = names(backbone)
    for name, width in widths.items():
        catalog.known(f"width of {backbone}", name, known, where="pruned")
        if typed(f"the width {name}", width, int) < 1:
            raise UsageError(f"{name} has {width} channels", where="pruned", hint="a layer keeps at least one channel")
    return {name: widths[name] for name in known if name in widths}


def format_(widths: Mapping[str, int]) -> str:
    """The widths as text."""
    return "/".join(f"{name}:{width}" for name, width in widths.items())


def parse(text: str) -> dict[str, int]:
    """The widths that a text describes.

    Raises:
        UsageError: an entry has no number, or is given twice.
    """
    widths: dict[str, int] = {}
    for entry in filter(None, text.split("/")):
        name, _, width = entry.partition(":")
        if name in widths:
            raise UsageError(f"{name} is given twice", where="pruned")
        widths[name] = int(from_text(f"the width {name}", width, int))
    return widths
