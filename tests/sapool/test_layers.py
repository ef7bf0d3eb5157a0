"""Convolutions with TensorFlow's SAME padding beside torch's own."""

import pytest
import torch
from torch.nn import functional

from sapool.layers import Conv2dSame


@pytest.mark.parametrize("extent", [1, 2, 3, 5])
def test_depthwise_on_any_map_computes_what_torch_does(extent: int) -> None:
    torch.manual_seed(extent)
    layer = Conv2dSame(24, 24, 3, groups=24)
    inputs = torch.randn(4, 24, extent, extent).contiguous(memory_format=torch.channels_last).requires_grad_()
    other = inputs.detach().clone().requires_grad_()
    weight = layer.weight.detach().clone().requires_grad_()
    output, wanted = layer(inputs), functional.conv2d(other, weight, None, 1, 1, 1, 24)
    assert torch.allclose(output, wanted, atol=1e-6)
    gradients = torch.autograd.grad(output.square().sum(), (inputs, layer.weight))
    expected = torch.autograd.grad(wanted.square().sum(), (other, weight))
    for ours, theirs in zip(gradients, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
