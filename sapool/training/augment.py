"""Changes to a batch of training images: shifts and mirroring in one gather, RandAugment, mixup."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from firmware_sim.errors import UsageError
from sapool.training.ranks import ALONE, Place


def augment(
    images: torch.Tensor, generator: torch.Generator, *, shift: int, flip: bool, place: Place = ALONE
) -> torch.Tensor:
    """Shift each image by its own random offset, and mirror half of them.

    The rows and columns that a shift uncovers repeat the edge, so the brightness of the background is kept.

    Args:
        images: uint8 [B, H, W, C], this process' share of the batch.
        generator: the source of randomness, on the CPU; the same in all processes.
        shift: largest offset in pixels, up, down, left and right.
        flip: whether to mirror left and right with probability a half.
        place: of this process.

    Returns:
        uint8 [B, H, W, C], a copy.
    """
    height, width = images.shape[1:3]
    # Drawn for the batches of all processes, so that an image is treated alike however many there are.
    batch = len(images) * place.world
    offsets = torch.randint(-shift, shift + 1, (2, batch, 1), generator=generator)
    rows = (torch.arange(height) + offsets[0]).clamp_(0, height - 1)
    columns = (torch.arange(width) + offsets[1]).clamp_(0, width - 1)
    if flip:
        mirrored = torch.rand((batch, 1), generator=generator) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    own = place.share(batch)
    index = (torch.arange(len(images))[:, None, None], rows[own, :, None], columns[own, None, :])
    return images[tuple(part.to(images.device) for part in index)]


def rand_augment(operations: int, magnitude: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """RandAugment (Cubuk et al., 2019) as kornia does it: uint8 [B, H, W, C] to the same; draws from torch's own generator.

    Raises:
        UsageError: kornia is not installed.
    """
    try:
        from kornia.augmentation.auto import RandAugment
    except ImportError as error:
        raise UsageError("RandAugment needs kornia", hint="pip install 'sapool[train]'") from error
    policy = RandAugment(n=operations, m=magnitude)

    @torch.no_grad()
    def apply(images: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = policy(images.permute(0, 3, 1, 2).float().div_(255))
        return changed.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    return apply


def mixup(images: torch.Tensor, generator: torch.Generator, alpha: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mix each image with its neighbour in the batch, whose order is random; the last one of an odd batch stays.

    Args:
        images: float [B, C, H, W].
        generator: the source of randomness; the same in all processes.
        alpha: both parameters of the Beta distribution of the share.

    Returns:
        The mixed images, the position of the other image of each, and the share of the first, at least a half.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; neighbours instead of a permutation, so
    that a pair is never divided between processes.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    share = max(share, 1 - share)
    others = (torch.arange(len(images)) ^ 1).clamp_(max=len(images) - 1).to(images.device)
    return torch.lerp(images[others], images, share), others, share
