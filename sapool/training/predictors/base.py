"""What can classify images."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Predictor(Protocol):
    """A network with its runtime. All take pixels and do the same preprocessing (`sapool.data.preprocessing`).

    `name` is the file or object it comes from, `runtime` says in words what runs it. `labels` are the classes it was
    trained on, `split_seed` is the seed by which its data was split; each is None if the file does not say.
    """

    name: str
    runtime: str
    resolution: int
    channels: int
    classes: int
    labels: tuple[str, ...] | None
    split_seed: int | None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        """Logits [N, classes] of images, uint8 [N, resolution, resolution, channels]."""
        ...
