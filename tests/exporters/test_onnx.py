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
