"""Pooling layers that weigh the pixels of each window, in integer operators."""

from __future__ import annotations

from exporters.lower import Builder, Value, lower_module, register
from exporters.lower.arrays import batch_norm
from sapool.lowering import gates
from sapool.pooling.lip import LocalImportancePooling
from sapool.pooling.softpool import SoftPooling


@register(LocalImportancePooling)
def lip(module: LocalImportancePooling, builder: Builder, x: Value) -> Value:
    """AvgPool(x * W) / AvgPool(W) with W = exp(sigmoid(z)) as one LOGISTIC; the normalisation folds into the convolution."""
    with builder.at(f"{builder.where}.conv"):
        logits = builder.affine(lower_module(module.conv, builder, x), *gates.folded(*batch_norm(module.bn)))
        importance = gates.exponential(builder, builder.unary("LOGISTIC", logits))
    weighted = builder.average_pool(builder.elementwise("MUL", x, importance), module.stride)
    return builder.elementwise("DIV", weighted, builder.average_pool(importance, module.stride))


@register(SoftPooling)
def softpool(module: SoftPooling, builder: Builder, x: Value) -> Value:
    """A SOFTMAX over the pixels of each window, which weigh themselves. Exact."""
    if module.stride == 1:
        return x
    pixels = gates.side_by_side(builder, x, module.stride)
    return gates.weigh_windows(builder, pixels, pixels, module.stride)
