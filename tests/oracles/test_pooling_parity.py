"""Every pooling method that has an integer form: lowered exactly, integer only, the same bytes in TFLM and LiteRT."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

import torch
from support.nets import randomise
from torch import nn

import sapool.lowering  # noqa: F401
from exporters import tflite
from exporters.errors import ExportError
from exporters.flatbuffer import serialise
from exporters.lower import Builder
from exporters.parity import compare
from exporters.quantize import observe, quantize
from firmware_sim import memreport
from firmware_sim.model import read
from firmware_sim.run.litert import LiteRt
from sapool import catalog, models, pooling
from sapool.data import preprocessing
from sapool.lowering.gates import MOST_SHARES
from sapool.pooling.subspace_attention import SubspaceAttention
from sapool.pooling.ulsam import ULSAM
from sapool.spec import parse

pytestmark = pytest.mark.oracle

REFUSED = ("gaussian", "lip_original", "rnnpool")
EXACT = 1e-4
"""Of the output's deviation: single precision in another order."""
APPROXIMATED = 2e-3
"""Where exp(sigmoid(z)) is one LOGISTIC, within 0.055%."""

# name, channels, size of the map, settings, what the lowering may differ by, and the operators of the layer.
LAYERS = [
    ("subspace_attention", 8, 16, {}, EXACT, "AVERAGE_POOL_2D DEPTHWISE_CONV_2D CONV_2D CONV_2D LOGISTIC MUL"),
    ("subspace_attention", 6, 8, {"groups": 1, "reduction": 2}, EXACT,
     "AVERAGE_POOL_2D DEPTHWISE_CONV_2D CONV_2D CONV_2D LOGISTIC MUL"),
    ("blurpool", 8, 16, {}, EXACT, "MIRROR_PAD DEPTHWISE_CONV_2D"),
    ("blurpool", 8, 8, {"taps": 7}, EXACT, "MIRROR_PAD DEPTHWISE_CONV_2D"),
    ("blurpool", 1, 8, {"taps": 3}, EXACT, "MIRROR_PAD CONV_2D"),
    ("blurpool", 8, 8, {"taps": 1}, EXACT, "DEPTHWISE_CONV_2D"),
    ("ulsam", 8, 8, {"groups": 1}, EXACT,
     "DEPTHWISE_CONV_2D MAX_POOL_2D CONV_2D RESHAPE SOFTMAX RESHAPE CONV_2D MUL AVERAGE_POOL_2D"),
    ("ulsam", 8, 2, {"groups": 1}, EXACT,
     "DEPTHWISE_CONV_2D MAX_POOL_2D CONV_2D RESHAPE SOFTMAX RESHAPE CONV_2D MUL AVERAGE_POOL_2D"),
    ("ulsam", 8, 16, {"groups": 2, "gain": True}, EXACT,
     "DEPTHWISE_CONV_2D MAX_POOL_2D CONV_2D RESHAPE SOFTMAX RESHAPE CONV_2D RESHAPE SOFTMAX RESHAPE CONCATENATION CONV_2D "
     "MUL AVERAGE_POOL_2D"),
    ("lip", 8, 16, {}, APPROXIMATED,
     "CONV_2D LOGISTIC DEPTHWISE_CONV_2D MUL AVERAGE_POOL_2D AVERAGE_POOL_2D DIV"),
    ("softpool", 8, 16, {}, EXACT, "DEPTHWISE_CONV_2D RESHAPE SOFTMAX RESHAPE MUL CONV_2D"),
    ("softpool", 1, 8, {}, EXACT, "CONV_2D RESHAPE SOFTMAX RESHAPE MUL CONV_2D"),
]  # fmt: skip


class Around(nn.Module):
    """A layer between two convolutions, as it stands in a network."""

    def __init__(self, layer, channels):
        super().__init__()
        self.before = nn.Sequential(nn.Conv2d(3, channels, 1), nn.ReLU())
        self.layer = layer
        self.after = nn.Conv2d(channels, 4, 1)

    def forward(self, x):
        return self.after(self.layer(self.before(x)))


def images(size, count=24):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def checked(net, size, tolerance):
    """The exported model of a network, after everything that every export must hold: bytes, types, arena."""
    pixels = images(size)
    model = tflite.export(net, (1, 3, size, size), [preprocessing.to_float(pixels)])
    assert model.lowering_error < tolerance
    assert {tensor.dtype for tensor in model.graph.tensors.values()} == {"int8", "int32"}
    parity = compare(model.content, preprocessing.to_device(pixels[:12]))
    assert parity.equal, f"{parity.differing} of {parity.examples} differ"
    assert memreport(read(model.content)).arena.total_bytes == parity.arena.total_bytes
    return model


def int8_error(net, model, size):
    """rms(int8 - float) over the deviation of the float output."""
    pixels = images(size)
    q = model.graph.tensors[model.graph.outputs[0]].quantization
    runtime = LiteRt(model.content)
    outputs = np.concatenate([runtime.invoke(image[None])[0] for image in preprocessing.to_device(pixels)])
    actual = (outputs.astype(np.float64) - q.zero_point[0]) * q.scale[0]
    with torch.inference_mode():
        x = torch.as_tensor(preprocessing.to_float(pixels)).permute(0, 3, 1, 2).contiguous()
        expected = net(x).permute(0, 2, 3, 1).numpy()
    return float(np.sqrt(np.mean((actual - expected) ** 2)) / expected.std())


def learned(layer, seed=0):
    """Weights away from where the layer starts, so that its attention is worth something."""
    randomise(layer)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in layer.modules():
            if isinstance(part, SubspaceAttention):
                for factor in (part.row, part.column):
                    factor.mul_(1 + 0.5 * torch.randn(factor.shape, generator=generator))
            if isinstance(part, ULSAM):
                part.point.weight.mul_(3)
                part.point_bn.bias.abs_()
                if part.gain is not None:
                    part.gain.fill_(0.25)
    return layer.eval()


@pytest.mark.parametrize(("name", "channels", "size", "settings", "tolerance", "operators"), LAYERS)
def test_layers_reach_the_device_unchanged(name, channels, size, settings, tolerance, operators):
    layer = pooling.create(name, channels=channels, stride=2, size=(size, size), **settings)
    net = randomise(Around(layer, channels))
    learned(layer)
    model = checked(net, size, tolerance)
    inside = [op.op for op in model.graph.operators if op.where.startswith("layer")]
    assert inside == operators.split()
    assert int8_error(net, model, size) < 0.06


@pytest.mark.parametrize("module", [
    lambda: SubspaceAttention(8, (8, 8)), lambda: ULSAM(8), lambda: ULSAM(8, 2, gain=True)
], ids=["subspace_attention", "ulsam", "ulsam with gain"])  # fmt: skip
def test_modules_that_keep_the_shape_reach_the_device_unchanged(module):
    net = randomise(Around(module(), 8))
    learned(net.layer)
    model = checked(net, 8, EXACT)
    assert int8_error(net, model, 8) < 0.06


@pytest.mark.parametrize(
    "text",
    [
        "max/blurpool/ulsam/softpool/max/subspace_attention/max-1222121:resolution=64,width=0.2",
        "lip-2121111:placement=after,width=0.2",
        "ulsam-1221121:placement=end,groups=8,gain=true,width=0.2",
    ],
)
def test_networks_reach_the_device_unchanged(text):
    spec = parse(f"mobilenet_v2-{text}")
    checked(randomise(models.build(spec)), spec.resolution, APPROXIMATED)


def test_a_group_without_attention_reaches_the_device_unchanged():
    # No score is above zero: the range of the softmax' input is empty.
    net = randomise(Around(ULSAM(8, 2), 8))
    with torch.no_grad():
        net.layer.point_bn.bias[1] = -100
    checked(net, 8, EXACT)


def test_a_gain_survives_the_device_where_the_published_layer_does_not():
    # 16x16 places, attention almost uniform: how many integer steps of its output the layer moves a value by.
    steps = {}
    for gain in (0.0, 0.25):
        layer = ULSAM(8, 1, gain=True)
        net = randomise(Around(layer, 8))
        with torch.no_grad():
            layer.point.weight.mul_(0.1)
            layer.gain.fill_(gain)
        model = checked(net, 16, EXACT)
        product = next(op for op in model.graph.operators if op.op == "MUL").outputs[0]
        with torch.inference_mode():
            x = net.before(torch.as_tensor(preprocessing.to_float(images(16))).permute(0, 3, 1, 2))
            moved = (layer(x) - x) / model.graph.tensors[product].quantization.scale[0]
        steps[gain] = float(moved[x > 0].mean())
    assert 0 < steps[0.0] < 0.5
    assert steps[0.25] > 5


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_integer_form_says_so(name):
    net = Around(pooling.create(name, channels=8, stride=2, size=(8, 8)), 8)
    with pytest.raises(ExportError, match=rf"layer: {name} pooling cannot be exported to integer TFLite") as refusal:
        tflite.export(net, (1, 3, 8, 8), [preprocessing.to_float(images(8))])
    assert "ONNX" in refusal.value.hint


def test_more_groups_than_one_concatenation_joins():
    net = randomise(Around(ULSAM(16, 16), 16))
    checked(net, 8, EXACT)


@pytest.mark.parametrize(
    ("layer", "places"), [(lambda: ULSAM(4, 1), 23 * 23), (lambda: pooling.create(
        "self_attentive", channels=4, stride=1, size=(23, 23), patch=1), 23 * 23)], ids=["ulsam", "self_attentive"]
)  # fmt: skip
def test_attention_over_more_places_than_the_kernel_bears_is_refused(layer, places):
    with pytest.raises(ExportError, match=f"attention over {places} places"):
        tflite.export(Around(layer(), 4), (1, 3, 23, 23), [preprocessing.to_float(images(23))])


def test_uniform_attention_over_the_most_places_runs():
    net = randomise(Around(ULSAM(4, 1), 4))
    with torch.no_grad():
        net.layer.point_bn.bias.fill_(-100)
    assert 22 * 22 <= MOST_SHARES < 23 * 23
    checked(net, 22, EXACT)


@pytest.mark.parametrize(("terms", "ends"), [(MOST_SHARES, 0), (MOST_SHARES + 1, -6)])
@pytest.mark.parametrize("runtime", ["litert.LiteRt", "tflm.Tflm"])
def test_the_softmax_of_both_runtimes_ends_where_it_is_said_to(terms, ends, runtime, tmp_path):
    builder = Builder()
    x = builder.input((1, 1, 1, terms))
    row = builder.reshape(builder.conv(x, np.ones((1, 1, 1, 1), np.float32), None), (1, 1, terms))
    graph = builder.finish([x], [builder.softmax(row)])
    data = np.zeros((2, 1, terms, 1), np.float32)
    path = tmp_path / "model.tflite"
    path.write_bytes(serialise(quantize(graph, observe(graph, [data])), description="equal scores"))
    module, name = runtime.split(".")
    code = (
        f"import numpy, sys; from firmware_sim.run.{module} import {name}; "
        f"{name}(open(sys.argv[1], 'rb').read()).invoke(numpy.zeros((1, 1, {terms}, 1), numpy.int8))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, capture_output=True, check=False)
    assert done.returncode == ends


def test_every_method_is_exported_or_refused():
    plain = {"average", "max", "self_attentive", "strided"}  # tests/oracles/test_network_parity.py
    assert {name for name, *_ in LAYERS} | set(REFUSED) | plain == set(catalog.POOLING)
