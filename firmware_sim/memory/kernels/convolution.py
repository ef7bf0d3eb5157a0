"""Convolutions of the reference kernels."""

from __future__ import annotations

from firmware_sim.memory.kernels.context import Node, prepares


@prepares("CONV_2D")
def conv_2d(node: Node) -> None:
    """Multipliers and shifts per output channel, also for float; an int4 filter is unpacked to scratch.

    Source: conv_common.cc:175-211.
    """
    _with_channels(node, channel_axis=0)


@prepares("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(node: Node) -> None:
    """As CONV_2D, with the channels last. Source: depthwise_conv_common.cc:166-209."""
    _with_channels(node, channel_axis=3)


def _with_channels(node: Node, channel_axis: int) -> None:
    weights = node.input(1)
    node.refuse_hybrid(node.input(0), weights)
    channels = node.dimension(weights, channel_axis)
    node.persistent(4 * channels, 4 * channels)
    if weights.type == "INT4":
        node.scratch(weights.elements)


@prepares("TRANSPOSE_CONV")
def transpose_conv(node: Node) -> None:
    """Multipliers and shifts, and an accumulator per output element. Source: transpose_conv.cc:125-209."""
    weights, data = node.input(1), node.input(2)
    node.refuse_hybrid(data, weights)
    channels = node.dimension(weights, 0)
    node.persistent(4 * channels, 4 * channels)
    if data.type == "INT8":
        node.scratch(4 * node.output().elements)
    elif data.type == "INT16":
        transpose_conv_int16(node)


def transpose_conv_int16(node: Node) -> None:
    """64-bit accumulators, and a copy of an int16 bias."""
    node.scratch(8 * node.output().elements)
    bias = node.optional_input(3)
    if bias is not None and bias.type == "INT16":
        node.scratch(8 * bias.elements)
