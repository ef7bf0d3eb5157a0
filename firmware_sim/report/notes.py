"""Sentences that a reader needs beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_sim import sizes
from firmware_sim.model import Model

if TYPE_CHECKING:
    from firmware_sim.targets import Reserve, Target


def collect(model: Model, target: Target | None = None, *, reserve: Reserve | None = None) -> tuple[str, ...]:
    """Notes on the input of `model` and on how `target` was judged.

    Args:
        model: the file that was measured.
        target: the board that it was fitted to, if any.
        reserve: the reserve that was used for that; by default `firmware_sim.targets.DEFAULT_RESERVE`.
    """
    notes = [_pixel_input(model, index) for index in model.subgraphs[0].inputs]
    if target is not None:
        from firmware_sim.targets import DEFAULT_RESERVE

        reserve = reserve or DEFAULT_RESERVE
        notes.append(
            f"The fit leaves {sizes.describe(reserve.ram_bytes)} of RAM for stack, heap and globals and "
            f"{sizes.describe(reserve.flash_bytes)} of flash for code: assumptions, not measurements."
        )
        notes.extend(target.notes)
    return tuple(note for note in notes if note)


def _pixel_input(model: Model, index: int) -> str:
    """A network trained on pixel / 128 - 1 takes the bytes of an image less 128, with no arithmetic on the device."""
    tensor = model.subgraphs[0].tensors[index]
    quantization = tensor.quantization
    if tensor.type != "INT8" or quantization is None:
        return ""
    if quantization.scale != (1 / 128,) or quantization.zero_point != (0,):
        return ""
    return f"Input '{tensor.name}' is int8 = pixel - 128 (scale 1/128, zero point 0): no other preprocessing is needed."
