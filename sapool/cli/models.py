"""`sapool models`: which networks can be built, and what one costs before it is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sapool import catalog
from sapool.cli.options import emit, report_options


@click.command(name="models")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@report_options(["text", "json"])
def command(specs: tuple[str, ...], format_: str, output: Path | None) -> None:
    """List backbones and pooling methods, or tell what the networks SPEC cost.

    \b
    sapool models
    sapool models mobilenet_v2-self_attentive-1221121:width=0.35 mobilenet_v2-average-1221121:width=0.35

    For a SPEC: parameters, multiply-accumulates, the map after the stem and after each stage, and the arena that its int8
    export needs in TFLM on a 64-bit host (with random weights, which do not change it).
    """
    content = {"models": [describe(text) for text in specs]} if specs else listing()
    if format_ == "json":
        emit(json.dumps(content, indent=2), output)
    else:
        emit("\n".join(_rows(content)), output)


def listing() -> dict[str, Any]:
    """Everything that a specification can name."""
    return {
        "backbones": {
            name: {"stages": len(entry.strides), "strides": entry.strides}
            for name, entry in sorted(catalog.BACKBONES.items())
        },
        "pooling": {
            name: {option: kind.__name__ for option, kind in method.options.items()}
            for name, method in sorted(catalog.POOLING.items())
        },
        "placements": list(catalog.PLACEMENTS),
    }


def describe(text: str) -> dict[str, Any]:
    """What the network of one specification costs.

    Raises:
        UsageError: the specification makes no sense.
    """
    from sapool.pricing import price
    from sapool.spec import extents, parse

    spec = parse(text)
    cost = price(spec)
    return {
        "spec": str(spec),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "extents": list(extents(spec)),
        "arena": {
            "profile": "host64",
            "total_bytes": cost.arena.total_bytes,
            "head_bytes": cost.arena.head_bytes,
            "tail_bytes": cost.arena.tail_bytes,
            "exact": cost.arena.exact,
        },
        "model_bytes": cost.model_bytes,
    }


def _rows(content: dict[str, Any]) -> list[str]:
    if "models" in content:
        rows = []
        for model in content["models"]:
            arena = model["arena"]
            rows += [
                model["spec"],
                f"  parameters  {model['parameters']:,}",
                f"  MACs        {model['macs']:,}",
                f"  maps        {' > '.join(str(extent) for extent in model['extents'])}",
                f"  arena       {arena['total_bytes']:,} bytes on a 64-bit host "
                f"(head {arena['head_bytes']:,}, tail {arena['tail_bytes']:,})",
                f"  file        {model['model_bytes']:,} bytes as int8 TFLite",
            ]
        return rows
    rows = ["Backbones (and their usual strides, one digit a stage)"]
    rows += [f"  {name}  {facts['strides']}" for name, facts in content["backbones"].items()]
    rows += ["Pooling methods (and their options)"]
    for name, options in content["pooling"].items():
        rows.append("  " + name + "".join(f"  {option}={kind}" for option, kind in options.items()))
    rows += [f"Placements: {', '.join(content['placements'])}"]
    rows += [
        "A network is BACKBONE-POOLING-STRIDES:name=value,... , e.g. mobilenet_v2-self_attentive-1221121:width=0.35"
    ]
    return rows
