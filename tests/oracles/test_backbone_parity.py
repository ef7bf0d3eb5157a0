"""Every backbone with every kind of pool reaches the device: integer only, activations fused, the same in both runtimes."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

import torch
from support.nets import randomise

import sapool.lowering  # noqa: F401
from exporters import tflite
from exporters.parity import compare
from sapool import catalog, models
from sapool.data import preprocessing
from sapool.spec import parse

pytestmark = pytest.mark.oracle

BACKBONES = ("mobilenet_v1", "mobilenet_v2", "resnet18", "resnet50")
METHODS = ("strided", "max", "average", "self_attentive")
# Every pair of backbone and method, and every pair of one of them and a placement.
SAMPLE = [
    f"{backbone}-{method}:placement={catalog.PLACEMENTS[(row + column) % 3]}"
    for row, backbone in enumerate(BACKBONES)
    for column, method in enumerate(METHODS)
]
FURTHER = [
    "mobilenet_v1-max-12222:padding=symmetric", "mobilenet_v2-strided-1222121:padding=symmetric",
    "mobilenet_v1-average-12221:prepool=4", "resnet18-strided-1221:prepool=4", "resnet50-max-1211:prepool=6",
    "resnet18-max/average/strided/self_attentive-2222:placement=after", "resnet18-strided-1222:padding=symmetric",
    "resnet50-average-1222:padding=symmetric", "resnet18-max-1222:replace=2+4:ulsam",
    "mobilenet_v2-max-1221121:replace=3+8:ulsam/12+15:subspace_attention:groups=1",
    "mobilenet_v1-strided-12222:replace=3:ulsam/9+13:subspace_attention:reduction=8",
]  # fmt: skip
# A ReLU is part of a convolution or of an addition, never an operator.
ALLOWED = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "BATCH_MATMUL", "SOFTMAX",
    "LOGISTIC", "RESIZE_NEAREST_NEIGHBOR", "CONCATENATION",
}  # fmt: skip


@pytest.mark.parametrize("text", SAMPLE + FURTHER)
def test_backbones_reach_the_device_unchanged(text):
    size = 96 if "prepool" in text else 64
    spec = parse(f"{text},width={0.25 if text.startswith('mobilenet') else 0.125}", resolution=size, classes=5)
    torch.manual_seed(0)
    net = randomise(models.build(spec))
    images = np.random.default_rng(1).integers(0, 256, (12, size, size, 3)).astype(np.uint8)
    model = tflite.export(net, (1, 3, size, size), [preprocessing.to_float(images)])
    # exp(sigmoid) is approximated within 0.055%; everything else is exact.
    assert model.lowering_error < (2e-3 if "attentive" in text else 1e-5)
    assert {op.op for op in model.graph.operators} <= ALLOWED
    assert {tensor.dtype for tensor in model.graph.tensors.values()} == {"int8", "int32"}
    parity = compare(model.content, preprocessing.to_device(images[:6]))
    assert parity.equal, f"{parity.differing} of {parity.examples} differ"
