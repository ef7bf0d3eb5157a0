"""How `sapool export` compares what it writes in TFLM and in LiteRT, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sapool.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def parity(content: bytes, images: NDArray[np.uint8], written: bytes) -> dict[str, Any]:
    """Compare in both runtimes, for the JSON report; a missing runtime is said.

    Args:
        content: the file that is compared. Where LiteRT cannot run what is written, it is what that was made of, and was
            shown to equal in TFLM.
        images: pixels [N, H, W, C]; none, if nothing is to be compared.
        written: the file that is written.

    Raises:
        ExportError: the runtimes differ.
    """
    if not len(images):
        return {"reason": "not asked for"}
    from exporters.errors import ExportError
    from exporters.parity import compare
    from firmware_sim.run.tflm import Tflm
    from sapool.data.preprocessing import to_device

    try:
        result = compare(content, to_device(images))
    except UsageError as error:
        return {"reason": f"{error.message} ({error.hint})" if error.hint else error.message}
    if not result.equal:
        raise ExportError(
            f"TFLM and LiteRT differ on {result.differing} of {result.examples} images; nothing was written",
            hint="--verify 0 writes the file all the same; please report it",
        )
    arena = result.arena if written == content else Tflm(written).arena
    return {
        "examples": result.examples,
        "equal": True,
        "before_bands": written != content,
        "arena_tflm_bytes": arena.total_bytes,
    }


def parity_line(found: dict[str, Any]) -> str:
    """What `parity` found, in a line of the text report."""
    if "examples" not in found:
        return f"  verified  no: {found['reason']}"
    without = ", without bands: LiteRT cannot run what is written" if found["before_bands"] else ""
    return (
        f"  verified  TFLM gives the same bytes as LiteRT on {found['examples']} of {found['examples']} images{without}"
    )
