"""The handwritten digits that come with scikit-learn: 1,797 grey images of 8x8 pixels, no download.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, its test part.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from firmware_sim.errors import UsageError
from sapool.data.dataset import Collection, Split
from sapool.data.decode import require_pillow
from sapool.data.layout import WHOLE

DEFAULT_RESOLUTION: Final = 32
_LEVELS: Final = 16
"""Pixels count the black cells of a 4x4 block: 0 to 16."""


def load(resolution: int | None, channels: int) -> Collection:
    """The digits, enlarged bilinearly; grey repeated in each channel.

    Raises:
        UsageError: scikit-learn or Pillow is not installed.
    """
    require_pillow()
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError("the digits come with scikit-learn", hint="pip install 'sapool[train]'") from error
    from PIL import Image

    size = (resolution or DEFAULT_RESOLUTION,) * 2
    raw, labels = load_digits(return_X_y=True)
    grey = np.rint(raw.reshape(-1, 8, 8) * (255 / _LEVELS)).astype(np.uint8)
    large = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in grey])
    images = np.repeat(large[..., np.newaxis], channels, axis=3)
    return Collection(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        parts={WHOLE: Split(images, labels.astype(np.int64))},
        resize="bilinear from 8x8 (Pillow)",
        flip_keeps_label=False,
    )
