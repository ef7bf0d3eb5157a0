"""ONNX export, judged by onnxruntime and the onnx checker."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

onnxruntime = pytest.importorskip("onnxruntime")
onnx_package = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from exporters import onnx  # noqa: E402
from exporters.errors import ExportError  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("dynamic", [True, False])
def test_onnxruntime_computes_what_torch_computes(foreign, inputs, dynamic, capfd):
    batch = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    model = onnx.export(foreign, batch, dynamic_batch=dynamic)
    assert model.max_abs_error <= onnx.TOLERANCE
    assert model.opset == onnx.OPSET
    parsed = onnx_package.load_from_string(model.content)
    onnx_package.checker.check_model(parsed, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in parsed.graph.node}
    session = onnxruntime.InferenceSession(model.content)
    first = session.run(None, {"input": batch[:1]})[0]
    np.testing.assert_allclose(first, foreign(torch.tensor(batch[:1])).detach().numpy(), atol=1e-4)
    assert capfd.readouterr().out == ""


def test_what_torch_cannot_export_is_one_error():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else x * 2

    with pytest.raises(ExportError, match="cannot export this network"):
        onnx.export(Branch(), np.ones((2, 3, 4, 4), np.float32))


def test_several_outputs_are_all_compared():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 4, 1), nn.Linear(3, 5)

        def forward(self, x):
            return self.conv(x), self.linear(x.mean((2, 3)))

    batch = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    model = onnx.export(Heads(), batch)
    session = onnxruntime.InferenceSession(model.content)
    assert [output.name for output in session.get_outputs()] == ["output_0", "output_1"]
    assert [result.shape for result in session.run(None, {"input": batch})] == [(3, 4, 8, 8), (3, 5)]


def test_a_wrong_simplification_is_not_used():
    class Means(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 5)

        def forward(self, x):
            return self.linear(x.mean(1, keepdim=True).mean((2, 3)))

    batch = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    assert onnx.export(Means(), batch).max_abs_error <= onnx.TOLERANCE


def test_an_operation_that_onnx_has_not_is_named():
    with pytest.raises(ExportError, match=r"No ONNX function found for .*adaptive_max_pool2d"):
        onnx.export(nn.AdaptiveMaxPool2d(2), np.ones((2, 3, 9, 9), np.float32))
