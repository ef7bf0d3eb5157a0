"""Whole networks: lowered exactly, integer only, and the same bytes in TFLM and LiteRT."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

from support.nets import randomise

import sapool.lowering  # noqa: F401
from exporters import tflite
from exporters.parity import compare
from sapool import models
from sapool.data import preprocessing
from sapool.spec import parse

pytestmark = pytest.mark.oracle

# Operators that may appear, and no other: no QUANTIZE, PAD, TRANSPOSE, FULLY_CONNECTED, MEAN.
ALLOWED = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "BATCH_MATMUL",
    "SOFTMAX", "LOGISTIC", "RESIZE_NEAREST_NEIGHBOR", "CONCATENATION",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "mobilenet_v2-strided-1221121",
        "mobilenet_v2-max-1221121:placement=end",
        "mobilenet_v2-average-2121111:placement=after",
        "mobilenet_v2-self_attentive-1221121",
        "mobilenet_v2-self_attentive-2121111:placement=after,heads=4,patch=4",
        "mobilenet_v2-self_attentive-1121121:patch=1,window_norm=true",
        "mobilenet_v2-self_attentive-1111121:prepool=2,patch=4",
    ],
)
def test_networks_reach_the_device_unchanged(text):
    spec = parse(text + (",width=0.2" if ":" in text else ":width=0.2"))
    net = randomise(models.build(spec))
    images = np.random.default_rng(1).integers(0, 256, (24, 32, 32, 3)).astype(np.uint8)
    model = tflite.export(net, (1, 3, 32, 32), [preprocessing.to_float(images)])
    # exp(sigmoid) is approximated within 0.055%; everything else is exact.
    assert model.lowering_error < 2e-3
    assert {op.op for op in model.graph.operators} <= ALLOWED
    assert {tensor.dtype for tensor in model.graph.tensors.values()} == {"int8", "int32"}
    parity = compare(model.content, preprocessing.to_device(images[:12]))
    assert parity.equal, f"{parity.differing} of {parity.examples} differ"
