"""The meaning of a pixel: real input, and int8 input on a device."""

from __future__ import annotations

import numpy as np
import pytest

from sapool.data import preprocessing

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def test_real_input_is_pixel_over_128_minus_1():
    values = preprocessing.to_float(PIXELS)
    assert values.dtype == np.float32
    assert np.array_equal(values.ravel(), np.arange(256) / 128 - 1)
    assert values.min() == -1
    assert values.max() < 1


def test_device_input_is_the_pixel_minus_128():
    stored = preprocessing.to_device(PIXELS)
    assert stored.dtype == np.int8
    assert np.array_equal(stored.astype(int), PIXELS.astype(int) - 128)


def test_device_input_stands_for_the_real_input_exactly():
    real = (
        preprocessing.to_device(PIXELS).astype(np.float64) - preprocessing.INPUT_ZERO_POINT
    ) * preprocessing.INPUT_SCALE
    assert np.array_equal(real, preprocessing.to_float(PIXELS))


def test_networks_take_channels_first():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    values = preprocessing.to_input(images)
    assert values.shape == (2, 3, 4, 5)
    assert values.flags.c_contiguous
    assert values[1, 2, 3, 4] == images[1, 3, 4, 2] / 128 - 1


def test_torch_and_numpy_agree():
    torch = pytest.importorskip("torch")

    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    tensor = preprocessing.to_tensor(torch.from_numpy(images))
    assert np.array_equal(tensor.numpy(), preprocessing.to_input(images))
    assert tensor.is_contiguous(memory_format=torch.channels_last)
