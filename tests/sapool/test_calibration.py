"""Calibration images in batches."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from sapool.calibration import batches


@pytest.mark.parametrize(
    ("count", "extent", "sizes"),
    [(1, 32, [1]), (128, 32, [128]), (129, 32, [65, 64]), (30, 96, [10, 10, 10]), (9, 512, [5, 4]), (0, 32, [])],
)
def test_images_are_dealt_out_in_turn(count, extent, sizes):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(extent, 1).repeat(extent, 2)
    found = list(batches(images))
    assert [len(batch) for batch in found] == sizes
    for first, batch in enumerate(found):
        assert batch.shape[1:] == (extent, extent, 1)
        assert ((batch[:, 0, 0, 0] + 1) * 128).tolist() == list(range(first, count, len(sizes)))
