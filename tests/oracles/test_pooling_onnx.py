"""Every pooling method as ONNX, judged by onnxruntime."""

from __future__ import annotations

import importlib.util

import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")):
    pytest.skip("needs torch, onnx, onnxscript and onnxruntime", allow_module_level=True)

import torch
from support.pools import disturbed
from torch import nn

from exporters import onnx
from sapool import catalog, pooling

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


class All(nn.Module):
    """Every method on the same map, side by side: one export instead of a dozen."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                name: disturbed(pooling.create(name, channels=8, stride=2, size=(8, 8))).float()
                for name in sorted(catalog.POOLING)
            }
        )

    def forward(self, x):
        return torch.cat([layer(x) for layer in self.layers.values()], 1)


def test_onnxruntime_computes_what_torch_computes():
    torch.manual_seed(0)
    model = onnx.export(All().eval(), torch.randn(3, 8, 8, 8).numpy())
    assert model.max_abs_error <= onnx.TOLERANCE
