"""Blocks of the backbones, layer by layer in the order of their forwards: tracing them would give the same, in five times
the time, which a search over thousands of networks would notice."""

from __future__ import annotations

from torch import nn

from exporters.lower import Builder, Value, lower_module, register
from sapool.models.blocks import ConvBnRelu6
from sapool.models.mobilenet_v1 import DepthwiseSeparable
from sapool.models.mobilenet_v2 import InvertedResidual
from sapool.models.resnet import BasicBlock, Bottleneck, Residual, Stem


@register(ConvBnRelu6, DepthwiseSeparable, Stem)
def chain(module: nn.Sequential, builder: Builder, x: Value) -> Value:
    for name, layer in module.named_children():
        x = _child(builder, name, layer, x)
    return x


@register(InvertedResidual)
def inverted_residual(module: InvertedResidual, builder: Builder, x: Value) -> Value:
    with builder.at(f"{builder.where}.layers"):
        y = chain(module.layers, builder, x)
    return builder.elementwise("ADD", x, y) if module.residual else y


@register(BasicBlock)
def basic_block(module: BasicBlock, builder: Builder, x: Value) -> Value:
    return _residual(module, builder, x, ("conv1", "bn1", "relu", "conv2", "bn2"))


@register(Bottleneck)
def bottleneck(module: Bottleneck, builder: Builder, x: Value) -> Value:
    return _residual(module, builder, x, ("conv1", "bn1", "relu", "conv2", "bn2", "relu", "conv3", "bn3"))


def _residual(module: Residual, builder: Builder, x: Value, layers: tuple[str, ...]) -> Value:
    y = x
    for name in layers:
        y = _child(builder, name, getattr(module, name), y)
    if module.downsample is not None:
        with builder.at(f"{builder.where}.downsample"):
            x = chain(module.downsample, builder, x)
    return _child(builder, "relu", module.relu, builder.elementwise("ADD", y, x))


def _child(builder: Builder, name: str, layer: nn.Module, x: Value) -> Value:
    with builder.at(f"{builder.where}.{name}" if builder.where else name):
        return lower_module(layer, builder, x)
