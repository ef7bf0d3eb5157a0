"""`sapool models`: which networks can be built, and what one costs before it is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from sapool import catalog, presets, prices
from sapool.cli.options import emit, report_options


@click.command(name="models")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@report_options(["text", "json"])
def command(specs: tuple[str, ...], format_: str, output: Path | None) -> None:
    """List backbones, presets and pooling methods, or tell what the networks SPEC cost.

    \b
    sapool models
    sapool models mobilenet_v2-self_attentive-1221121:width=0.35 mobilenet_v2-average-1221121:width=0.35
    sapool models ulsam_v2_12_13_15_16

    For a SPEC: parameters, multiply-accumulates, the map after the stem and after each stage, and the arena that its int8
    export needs in TFLM on a 64-bit host (with random weights, which do not change it). The list has the same figures of
    backbones and presets as they were when this version was made. A preset may stand in place of a SPEC everywhere.
    """
    content = {"models": [prices.describe(text) for text in specs]} if specs else listing()
    if format_ == "json":
        emit(json.dumps(content, indent=2), output)
    else:
        emit("\n".join(_rows(content)), output)


def listing() -> dict[str, Any]:
    """Everything that a specification can name."""
    specs, stored = prices.named(), prices.stored()
    cost = {name: stored.get(text, {"spec": text, "reason": "not computed"}) for name, text in specs.items()}
    return {
        "backbones": {
            name: {"stages": len(entry.strides), "strides": entry.strides, "blocks": sum(entry.blocks), **cost[name]}
            for name, entry in sorted(catalog.BACKBONES.items())
        },
        "presets": {
            preset.name: {
                "about": preset.about, "source": preset.source, "published": dict(preset.published), **cost[preset.name],
            }
            for preset in presets.all()
        },
        "pooling": {
            name: {option: kind.__name__ for option, kind in method.options.items()}
            for name, method in sorted(catalog.POOLING.items())
        },
        "modules": {
            name: {option: kind.__name__ for option, kind in module.options.items()}
            for name, module in sorted(catalog.MODULES.items())
        },
        "placements": list(catalog.PLACEMENTS),
        "paddings": list(catalog.PADDINGS),
    }  # fmt: skip


def _rows(content: dict[str, Any]) -> list[str]:
    return [row for model in content["models"] for row in _price(model)] if "models" in content else _list(content)


def _price(model: dict[str, Any]) -> list[str]:
    arena = model["arena"]
    return [
        model["spec"],
        f"  parameters  {model['parameters']:,}",
        f"  MACs        {model['macs']:,}",
        f"  maps        {' > '.join(str(extent) for extent in model['extents'])}",
        f"  arena       {arena['total_bytes']:,} bytes on a 64-bit host "
        f"(head {arena['head_bytes']:,}, tail {arena['tail_bytes']:,})",
        f"  file        {model['model_bytes']:,} bytes as int8 TFLite",
    ]


_COLUMNS: Final = "{:<25}{:>12}{:>14}{:>12}"


def _list(content: dict[str, Any]) -> list[str]:
    rows = [_COLUMNS.format("Backbones", "parameters", "MACs", "arena")]
    for name, facts in content["backbones"].items():
        rows += [_figures(name, facts), f"    {facts['spec']}, {facts['blocks']} blocks"]
    rows.append(_COLUMNS.format("Presets", "parameters", "MACs", "arena"))
    for name, facts in content["presets"].items():
        rows += [_figures(name, facts), f"    {facts['about']}", f"    {facts['spec']}"]
    for title, kind in (("Pooling methods", "pooling"), ("Attention modules in place of blocks", "modules")):
        rows.append(f"{title} (and their options)")
        for name, options in content[kind].items():
            rows.append("  " + name + "".join(f"  {option}={value}" for option, value in options.items()))
    return [
        *rows,
        f"Placements: {', '.join(content['placements'])}. Paddings: {', '.join(content['paddings'])}",
        "A network is BACKBONE-POOLING-STRIDES:name=value,... , e.g. mobilenet_v2-self_attentive-1221121:width=0.35,",
        "or PRESET:name=value,... ; replace=12+13:ulsam puts attention in the place of blocks 12 and 13",
        "Figures are for 32x32 pixels and 10 classes unless the text says otherwise; arena in bytes, on a 64-bit host",
    ]


def _figures(name: str, facts: dict[str, Any]) -> str:
    if "reason" in facts:
        return f"  {name:<23} unknown: {facts['reason']}"
    return _COLUMNS.format(
        f"  {name}", f"{facts['parameters']:,}", f"{facts['macs']:,}", f"{facts['arena']['total_bytes']:,}"
    )
