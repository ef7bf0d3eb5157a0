"""The arena of a float graph, operator by operator, is that of the account of the whole graph."""

from __future__ import annotations

import numpy as np
import pytest
from support.nets import randomise
from torch import nn

import sapool.lowering  # noqa: F401
from exporters.arena import arena_bytes, as_integers
from exporters.lower import Builder
from exporters.preview import preview
from exporters.quantize import separate
from exporters.sharing import shared
from exporters.tflite import PIXELS
from exporters.trace import trace
from firmware_sim import profiles
from firmware_sim.memory.account import arena
from sapool import models, spec

NETWORKS = [
    "mobilenet_v2-self_attentive-1221121:width=0.35",
    "resnet18-ulsam-1222:width=0.125",
    "mobilenet_v1-lip-12222",
]


def whole(graph, profile):
    return arena(preview(as_integers(shared(graph)), 0, name=""), profiles.get(profile)).total_bytes


@pytest.mark.parametrize("profile", profiles.names())
def test_the_arena_is_that_of_the_whole_account(profile, foreign):
    graphs = [trace(foreign, (1, 3, 16, 16))]
    for text in NETWORKS:
        network = spec.parse(text)
        shape = (1, 3, network.resolution, network.resolution)
        graphs.append(separate(trace(randomise(models.build(network)), shape), PIXELS))
    for graph in (*graphs, graphs[0]):
        assert arena_bytes(graph, profile) == whole(graph, profile)


def test_the_order_of_the_tensors_decides_between_maps_of_one_size():
    """The greedy planner places the later of two equal buffers first."""
    builder = Builder()
    x = builder.input((1, 4, 8, 8))
    y, z = builder.unary("LOGISTIC", x), builder.unary("TANH", x)
    w = builder.elementwise("ADD", builder.pool(y, "MAX_POOL_2D", (2, 2), (2, 2)), builder.average_pool(z, 2))
    graph = builder.finish([x], [w])
    turned = dict(reversed(graph.tensors.items()))
    for tensors in (graph.tensors, turned):
        ordered = type(graph)(tensors, graph.operators, graph.inputs, graph.outputs)
        assert arena_bytes(ordered) == whole(ordered, "host64")


def test_what_is_read_twice_or_never_counts_once():
    builder = Builder()
    x, unread = builder.input((1, 4, 8, 8)), builder.input((1, 4, 4, 4), "unread")
    square = builder.elementwise("MUL", x, x)
    graph = builder.finish([x, unread], [builder.elementwise("MUL", square, x), square])
    other = builder.finish([x, unread], [builder.elementwise("MUL", square, builder.unary("TANH", x))])
    for each in (graph, other):
        assert arena_bytes(each) == whole(each, "host64")


def test_shapes_that_kernels_read_are_told_apart():
    """Two slices that differ in nothing but whole numbers, in one memory of operators."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    for extent in (6, 8):
        builder = Builder()
        x = builder.input((1, 3, extent, extent))
        y = builder.reshape(builder.slice(x, (0, 0, 0, 0), (1, 2, extent, 3)), (1, 1, 2 * extent, 3))
        graph = builder.finish([x], [builder.reshape(y, (1, 2 * extent, 3))])
        assert arena_bytes(graph) == whole(graph, "host64")
    assert arena_bytes(trace(net, (1, 3, 8, 8))) == whole(trace(net, (1, 3, 8, 8)), "host64")
    assert np.isfinite(arena_bytes(graph))
