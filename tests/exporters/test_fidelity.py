"""What a lowered graph computes is held against the module, as far as single precision goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exporters.errors import ExportError
from exporters.fidelity import Fidelity


@pytest.fixture
def net():
    """Gives one third nearly always."""
    net = nn.Conv2d(3, 4, 1)
    nn.init.constant_(net.weight, 1e-8)
    nn.init.constant_(net.bias, 1 / 3)
    return net


@pytest.mark.parametrize(("off", "passes"), [(3e-8, True), (1e-4, False)])
def test_outputs_that_hardly_differ_are_compared_to_single_precision(net, off, passes):
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)
    with torch.no_grad():
        given = net(torch.as_tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy() + np.float32(off)
    fidelity = Fidelity(net)
    if passes:
        fidelity(images, (given,))
        assert fidelity.error < 0.01
        return
    with pytest.raises(ExportError, match="differs from the module"):
        fidelity(images, (given,))
