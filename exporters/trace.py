"""A torch module becomes a graph: torch.fx traces it, and every node is lowered in turn."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.fx
from torch import nn

from exporters import fold
from exporters.errors import ExportError
from exporters.graph import Graph, Shape
from exporters.lower import Builder, Value, find, lower_module
from exporters.lower.arithmetic import FUNCTIONS, METHODS


class _Tracer(torch.fx.Tracer):
    """Stops at every module that has a lowering."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return find(type(m)) is not None or super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module, input_shape: Shape) -> Graph:
    """The float graph of `module` for an input of `input_shape` [1, C, H, W]; normalisation and activations are folded.

    The module is read in evaluation mode; its training flag is left as it was.

    Raises:
        ExportError: the forward cannot be traced, or contains what has no integer counterpart (named, with its module).
    """
    training = module.training
    module.eval()
    try:
        return fold.fold(_lower(module, input_shape))
    finally:
        module.train(training)


def _lower(module: nn.Module, input_shape: Shape) -> Graph:
    builder = Builder()
    if find(type(module)) is not None:
        x = builder.input(input_shape)
        return builder.finish([x], [lower_module(module, builder, x)])
    try:
        nodes = _Tracer().trace(module).nodes
    except Exception as error:  # whatever the traced forward raises
        raise ExportError(
            f"the forward cannot be traced: {error}",
            where=type(module).__name__,
            hint="control flow must not depend on tensors or their shapes, which are unknown while tracing",
        ) from error
    values: dict[torch.fx.Node, Any] = {}
    inputs: list[Value] = []
    outputs: list[Value] = []
    for node in nodes:
        args = torch.fx.map_arg(node.args, values.__getitem__)
        kwargs = torch.fx.map_arg(node.kwargs, values.__getitem__)
        with builder.at(_path(node)):
            if node.op == "placeholder":
                if inputs:
                    raise builder.refuse(f"a second input ({node.target}) is not supported", "use one input")
                inputs.append(builder.input(input_shape, str(node.target)))
                values[node] = inputs[0]
            elif node.op == "output":
                outputs = _outputs(builder, args[0])
            else:
                values[node] = _call(module, builder, node, args, kwargs)
    return builder.finish(inputs, outputs)


def _call(module: nn.Module, builder: Builder, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
    """The value of one node that computes something."""
    target: Any = node.target
    if node.op == "get_attr":
        return operator.attrgetter(target)(module)
    if node.op == "call_module":
        return lower_module(module.get_submodule(target), builder, *args, **kwargs)
    if node.op == "call_method":
        lowering = METHODS.get(target)
    elif not any(isinstance(arg, Value) for arg in _leaves(args)):
        return target(*args, **kwargs)  # arithmetic on shapes
    else:
        lowering = FUNCTIONS.get(target)
    if lowering is None:
        name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        supported = sorted(METHODS if node.op == "call_method" else {f.__name__ for f in FUNCTIONS})
        raise builder.refuse(f"{name}() cannot be exported to integer TFLite", f"supported: {', '.join(supported)}")
    try:
        return lowering(builder, *args, **kwargs)
    except TypeError as error:
        raise builder.refuse(f"{target}: arguments that are not supported ({error})") from None


def _leaves(args: Any) -> list[Any]:
    return [leaf for arg in args for leaf in (_leaves(arg) if isinstance(arg, (tuple, list)) else [arg])]


def _path(node: torch.fx.Node) -> str:
    """Path of the module that a node belongs to: its own for a module call, else that of the enclosing forward."""
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]) if stack else ""


def _outputs(builder: Builder, result: Any) -> list[Value]:
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    if not all(isinstance(value, Value) for value in outputs):
        raise builder.refuse("the network must return tensors that depend on its input", "return one tensor or a tuple")
    return outputs
