"""The int8 graph as ONNX: what onnxruntime makes of it, and what LiteRT makes of the .tflite."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "onnx", "onnxruntime", "onnxscript", "ai_edge_litert")):
    pytest.skip("needs torch, onnx, onnxruntime, onnxscript and ai-edge-litert", allow_module_level=True)

import onnx
import torch
from onnx import numpy_helper
from support.foreign_nets import NETS
from support.nets import randomise
from torch import nn

import sapool.lowering  # noqa: F401
from exporters import onnx_int8, tflite
from exporters.errors import ExportError
from exporters.execute import run
from exporters.onnx import OPSET, session
from exporters.operators import KINDS
from sapool.pooling.blurpool import BlurPooling
from sapool.pooling.self_attentive import SelfAttentivePooling

pytestmark = pytest.mark.oracle


def exported(net, channels=3, size=32):
    pixels = np.random.default_rng(0).integers(0, 256, (16, size, size, channels))
    model = tflite.export(randomise(net), (1, channels, size, size), [pixels.astype(np.float32) / 128 - 1])
    return model, (pixels - 128).astype(np.int8)


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_onnxruntime_agrees_with_the_tflite(net):
    torch.manual_seed(0)
    model, integers = exported(net())
    content = onnx_int8.build(model.graph)
    found = onnx_int8.agreement(content, model.content, model.graph, integers)
    assert found.examples == 16
    # Measured: 0 to 1.9 steps of 256; an operator written wrongly is tens of steps away.
    assert found.rms_steps < 3
    assert found.largest_steps < 10
    if net.__name__ != "UNet":  # whose result is a map
        assert found.same_class > 0.9


@pytest.mark.parametrize("options", [{"heads": 2}, {"heads": 4, "patch": 1, "window_norm": True}])
def test_attention_agrees_with_the_tflite(options):
    torch.manual_seed(0)
    model, integers = exported(SelfAttentivePooling(8, 2, (8, 8), **options), channels=8, size=8)
    found = onnx_int8.agreement(onnx_int8.build(model.graph), model.content, model.graph, integers)
    assert found.rms_steps < 1


@pytest.mark.parametrize("taps", [3, 7])
def test_reflected_borders_agree_with_the_tflite(taps):
    torch.manual_seed(0)
    model, integers = exported(nn.Sequential(nn.Conv2d(3, 8, 1), BlurPooling(8, 2, (16, 16), taps=taps)), size=16)
    assert "MIRROR_PAD" in [op.op for op in model.graph.operators]
    found = onnx_int8.agreement(onnx_int8.build(model.graph), model.content, model.graph, integers)
    assert found.largest_steps <= 1


def test_an_operator_without_a_form_is_named_with_its_module():
    graph = exported(nn.Conv2d(3, 8, 1), size=8)[0].graph
    odd = replace(graph, operators=(replace(graph.operators[0], op="ODD", where="features.3"),))
    with pytest.raises(ExportError, match="ODD has no ONNX form") as caught:
        onnx_int8.build(odd)
    assert (caught.value.where, caught.value.hint) == ("features.3", "use --target onnx")


def test_every_operator_of_an_export_has_a_form():
    assert set(KINDS) == onnx_int8.OPERATORS


def test_it_is_near_the_network_in_real_numbers_too():
    torch.manual_seed(0)
    model, integers = exported(NETS[2]())
    real = (integers.astype(np.float32) / 128).astype(np.float32)
    (expected,) = run(model.float_graph, real)
    runtime = session(onnx_int8.build(model.graph))
    (actual,) = runtime.run(None, {runtime.get_inputs()[0].name: real.transpose(0, 3, 1, 2).copy()})
    expected = expected.reshape(actual.shape)
    assert np.sqrt(np.mean((actual - expected) ** 2)) / expected.std() < 0.04


@pytest.mark.parametrize("dynamic", [True, False])
def test_the_file_has_the_integers_of_the_tflite_and_its_opset(dynamic):
    torch.manual_seed(0)
    model, _ = exported(NETS[8]())
    parsed = onnx.load_from_string(onnx_int8.build(model.graph, dynamic_batch=dynamic))
    onnx.checker.check_model(parsed, full_check=True)
    assert [(entry.domain, entry.version) for entry in parsed.opset_import] == [("", OPSET)]
    batch = parsed.graph.input[0].type.tensor_type.shape.dim[0]
    assert batch.dim_param == ("batch" if dynamic else "")
    weights = sorted(
        numpy_helper.to_array(t).tobytes()
        for t in parsed.graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4
    )
    kernels = [(model.graph.tensors[op.inputs[1]].data, op.op) for op in model.graph.operators if "CONV_2D" in op.op]
    ours = sorted(
        np.ascontiguousarray(data.transpose((3, 0, 1, 2) if op.startswith("DEPTH") else (0, 3, 1, 2))).tobytes()
        for data, op in kernels
    )
    assert weights == ours
    # One pair for the input and for each computed tensor; nothing computes outside a pair.
    pairs = 1 + len(model.graph.operators)
    assert [node.op_type for node in parsed.graph.node].count("QuantizeLinear") == pairs


def test_a_file_that_computes_something_else_is_an_error():
    torch.manual_seed(0)
    model, integers = exported(NETS[2]())
    torch.manual_seed(5)
    other, _ = exported(NETS[1]())
    with pytest.raises(ExportError, match="steps"):
        onnx_int8.agreement(onnx_int8.build(other.graph), model.content, model.graph, integers)
