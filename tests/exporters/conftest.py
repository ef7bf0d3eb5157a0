"""Fixtures of the exporters' tests; they need torch, which a base install does not have."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["*"]


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Thirty-two smooth random images, [32, 16, 16, 3]."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (32, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def inputs(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same images as the networks take them, NHWC."""
    return pixels.astype(np.float32) / 128 - 1


@pytest.fixture
def foreign():
    """A network that knows nothing of this project, with random weights."""
    from support.nets import Foreign, randomise

    return randomise(Foreign())
