"""Torch's symmetric padding in TFLite's terms, against torch itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.errors import ExportError
from exporters.execute import run
from exporters.lower import Builder


@settings(max_examples=120, deadline=None)
@given(
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    depthwise=st.booleans(),
)
def test_symmetric_padding_is_exact_or_refused(size, kernel, stride, pad, depthwise):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, *size, 4)).astype(np.float32)
    groups = 4 if depthwise else 1
    weight = rng.normal(size=(4, 4 // groups, kernel, kernel)).astype(np.float32)
    builder = Builder()
    value = builder.input((1, 4, *size))
    try:
        y = builder.conv(value, weight, None, stride=(stride, stride), padding=(pad, pad), groups=groups)
    except ExportError:
        # Refused only where TFLite has no counterpart: never for plain windows, and never at the sizes of real nets.
        assert pad > 0 or min(size) < kernel
        assert not (2 * pad == kernel - 1 and stride <= 2 and min(size) >= kernel)
        return
    (actual,) = run(builder.finish([value], [y]), x)
    expected = torch.nn.functional.conv2d(
        torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(weight), None, stride, pad, 1, groups
    )
    np.testing.assert_allclose(actual, expected.permute(0, 2, 3, 1).numpy(), atol=1e-4)


def test_the_usual_strided_layer_needs_one_more_row_and_column():
    builder = Builder()
    x = builder.input((1, 3, 32, 32))
    y = builder.conv(x, np.ones((8, 3, 3, 3), np.float32), None, stride=(2, 2), padding=(1, 1))
    graph = builder.finish([x], [y])
    (op,) = graph.operators
    assert op.options["padding"] == "SAME"
    assert graph.tensors[op.inputs[1]].shape == (8, 4, 4, 3)
    assert y.shape == (1, 16, 16, 8)


def test_pools_take_symmetric_padding_only_where_it_is_same():
    builder = Builder()
    x = builder.input((1, 3, 9, 9))
    assert builder.pool(x, "MAX_POOL_2D", (3, 3), (2, 2), (1, 1)).shape == (1, 5, 5, 3)
    even = builder.input((1, 3, 8, 8), "even")
    with pytest.raises(ExportError, match="symmetric padding"):
        builder.pool(even, "MAX_POOL_2D", (3, 3), (2, 2), (1, 1))
