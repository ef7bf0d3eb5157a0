"""What is said of a file that is not written, against the file."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from torch import nn  # noqa: E402

from exporters import tflite  # noqa: E402
from exporters.flatbuffer import serialise  # noqa: E402
from exporters.layout import file_bytes  # noqa: E402
from exporters.outline import can_fold, join, outline  # noqa: E402
from exporters.preview import preview  # noqa: E402
from exporters.trace import trace  # noqa: E402
from firmware_sim import read  # noqa: E402


def exported(module, shape, **options):
    noise = np.random.default_rng(0).uniform(-1, 1, (2, *shape[2:], shape[1])).astype(np.float32)
    return tflite.export(module.eval(), shape, [noise], **options)


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(x))


def network():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(), Gate(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(6 * 16, 5), nn.Softmax(dim=1),
    )  # fmt: skip


def without_values(model):
    def plain(tensor):
        q = tensor.quantization
        count = None if q is None else (len(q.scale), len(q.zero_point), q.dimension)
        return replace(tensor, quantization=None, data=None), count, None if tensor.data is None else len(tensor.data)

    subgraphs = [(list(map(plain, s.tensors)), s.operators, s.inputs, s.outputs, s.name) for s in model.subgraphs]
    return subgraphs, model.size_bytes


def test_a_preview_is_what_reading_the_file_gives():
    graph = exported(network(), (1, 3, 16, 16)).graph
    content = serialise(graph, description="")
    assert without_values(preview(graph, len(content), name="a")) == without_values(read(content))


@pytest.mark.parametrize("description", ["", "a", "größer", "x" * 30])
@pytest.mark.parametrize("metadata", [None, {}, {"name": b"0123456"}, {"one": b"", "two": b"x" * 33}])
def test_the_size_of_a_file_is_known_before_it_is_written(description, metadata):
    graph = exported(network(), (1, 3, 16, 16)).graph
    content = serialise(graph, description=description, metadata=metadata)
    for _ in range(2):  # the second time from what is remembered
        assert file_bytes(graph, description=description, metadata=metadata) == len(content)


def test_a_float_graph_has_a_size_too():
    graph = trace(network(), (1, 3, 16, 16))
    assert file_bytes(graph) == len(serialise(graph, description=""))


def test_parts_join_into_the_graph_of_the_whole():
    whole = network()
    parts, shape, quantization = [], (1, 16, 16, 3), tflite.PIXELS
    for place, part in (("0", whole[:3]), ("1", whole[3]), ("2", whole[4]), ("3", whole[5:])):
        made = outline(part, shape, quantization)
        parts.append((place, made))
        shape, quantization = made.output.shape, made.dictated
    assert not any(can_fold(a, b) for (_, a), (_, b) in itertools.pairwise(parts))
    joined = join(parts)
    graph = exported(whole, (1, 3, 16, 16)).graph
    assert [op.op for op in joined.operators] == [op.op for op in graph.operators]
    assert [t.shape for t in joined.tensors.values()] == [t.shape for t in graph.tensors.values()]
    assert [t.dtype for t in joined.tensors.values()] == [t.dtype for t in graph.tensors.values()]
    joined.check()


def test_a_quantisation_that_is_dictated_goes_on_to_the_next_part():
    shape = (1, 16, 16, 3)
    assert outline(nn.MaxPool2d(2), shape, tflite.PIXELS).dictated == tflite.PIXELS
    assert outline(nn.MaxPool2d(2), shape, None).dictated is None
    assert outline(nn.Conv2d(3, 3, 1), shape, tflite.PIXELS).dictated is None
    unit = outline(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid(), nn.MaxPool2d(2)), shape, None).dictated
    assert unit is not None
    assert unit.scale == (1 / 256,)


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.ReLU6()])
def test_parts_that_the_exporter_would_merge_are_told(layer):
    conv = outline(nn.Conv2d(3, 4, 1), (1, 8, 8, 3), None)
    assert can_fold(conv, outline(nn.Sequential(layer, nn.MaxPool2d(2)), (1, 8, 8, 4), None))
    assert not can_fold(conv, outline(nn.MaxPool2d(2), (1, 8, 8, 4), None))
