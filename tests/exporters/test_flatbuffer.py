"""The bytes of the file, read by a reader that is not ours."""

from __future__ import annotations

import numpy as np
import pytest

from exporters.flatbuffer import serialise
from exporters.quantize import observe, quantize
from exporters.tflite import PIXELS
from exporters.trace import trace


@pytest.fixture
def quantised(foreign, inputs):
    graph = trace(foreign, (1, 3, 16, 16))
    return quantize(graph, observe(graph, [inputs]), input_quantization=PIXELS)


def test_the_same_graph_gives_the_same_bytes(quantised):
    assert serialise(quantised, description="a") == serialise(quantised, description="a")


@pytest.mark.oracle
def test_the_generated_schema_module_reads_it_back(quantised):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    content = serialise(quantised, description="a net", metadata={"note": b"\x01\x02"})
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    assert content[4:8] == b"TFL3"
    assert model.version == 3
    assert model.description == b"a net"
    assert not model.buffers[0].data
    (graph,) = model.subgraphs
    assert [graph.tensors[i].name for i in graph.inputs] == [b"x"]
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    written = [names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators]
    assert written == [op.op for op in quantised.operators]
    for tensor, ours in zip(graph.tensors, quantised.tensors.values(), strict=True):
        assert tuple(tensor.shape) == ours.shape
        if ours.data is not None:
            assert bytes(model.buffers[tensor.buffer].data) == ours.data.tobytes()
        if ours.quantization is not None:
            np.testing.assert_array_equal(tensor.quantization.scale, np.float32(ours.quantization.scale))
            np.testing.assert_array_equal(tensor.quantization.zeroPoint, ours.quantization.zero_point)
    (entry,) = model.metadata
    assert entry.name == b"note"
    assert bytes(model.buffers[entry.buffer].data) == b"\x01\x02"
    conv = graph.operators[0].builtinOptions
    assert (conv.padding, conv.strideW, conv.strideH, conv.fusedActivationFunction) == (0, 2, 2, 3)


def test_constants_are_aligned_to_16_bytes(quantised):
    content = serialise(quantised, description="")
    for tensor in quantised.tensors.values():
        if tensor.data is not None and tensor.data.nbytes > 64:
            assert content.index(tensor.data.tobytes()) % 16 == 0, tensor.name
