"""Random shifts and mirroring of a batch, in one gather."""

from __future__ import annotations

import torch


def augment(images: torch.Tensor, generator: torch.Generator, *, shift: int, flip: bool) -> torch.Tensor:
    """Shift each image by its own random offset, and mirror half of them.

    The rows and columns that a shift uncovers repeat the edge, so the brightness of the background is kept.

    Args:
        images: uint8 [B, H, W, C].
        generator: the source of randomness, on the CPU.
        shift: largest offset in pixels, up, down, left and right.
        flip: whether to mirror left and right with probability a half.

    Returns:
        uint8 [B, H, W, C], a copy.
    """
    batch, height, width = images.shape[:3]
    offsets = torch.randint(-shift, shift + 1, (2, batch, 1), generator=generator)
    rows = (torch.arange(height) + offsets[0]).clamp_(0, height - 1)
    columns = (torch.arange(width) + offsets[1]).clamp_(0, width - 1)
    if flip:
        mirrored = torch.rand((batch, 1), generator=generator) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    index = (torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :])
    return images[tuple(part.to(images.device) for part in index)]
