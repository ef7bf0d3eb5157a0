"""From the input that others train with to the one of sapool, by changing the stem.

torchvision and timm feed these networks with (pixel / 255 - mean) / deviation, by colour; sapool feeds pixel / 128 - 1
(`sapool.data.preprocessing`). One is a scale and a shift of the other, which the first convolution and the mean that its
normalisation subtracts can take over.
"""

from __future__ import annotations

from typing import Final

import torch

from sapool.data.preprocessing import INPUT_SCALE

# Of ImageNet: torchvision/transforms/_presets.py (ImageClassification); timm/data/constants.py (IMAGENET_DEFAULT_MEAN).
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)


def fold(weight: torch.Tensor, running_mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and mean of a stem that takes pixel / 128 - 1 in place of (pixel / 255 - mean) / deviation.

    Equal but for the border, where zeros are padded: they mean the mean colour before and a grey of 128 behind.

    Args:
        weight: of the first convolution, which has no bias, [O, 3, h, w].
        running_mean: of the normalisation behind it, [O].
    """
    mean, deviation = (torch.tensor(values, dtype=torch.float64) for values in (MEAN, DEVIATION))
    # pixel = (x + 1) / INPUT_SCALE, so the input that was trained with is scale * x + shift.
    scale = 1 / (INPUT_SCALE * 255) / deviation
    shift = (1 / (INPUT_SCALE * 255) - mean) / deviation
    exact = weight.double()
    constant = (exact * shift.view(1, -1, 1, 1)).sum((1, 2, 3))
    folded = exact * scale.view(1, -1, 1, 1)
    return folded.to(weight.dtype), (running_mean.double() - constant).to(running_mean.dtype)
