"""A torch module becomes a graph: torch.fx traces it, and every node is lowered in turn."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import torch
import torch.fx
from torch import nn

from exporters import fold, returned
from exporters.errors import ExportError
from exporters.evaluating import evaluating
from exporters.forms import Forms
from exporters.graph import Graph, Shape
from exporters.lower import Builder, Value, find, lower_function, lower_module
from exporters.pieces import Call, Pieces

Shapes = Shape | Sequence[Shape]
"""Shape [1, C, H, W] of a network's input, or one for each of several inputs."""


class _Tracer(torch.fx.Tracer):
    """Stops at every module that has a lowering, and decides conditions on shapes, for these are known.

    Args:
        shapes: of the inputs, in order.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self._shapes = list(shapes)
        self._known: dict[torch.fx.Node, Any] = {}
        self._computing = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return find(type(m)) is not None or super().is_leaf_module(m, module_qualified_name)

    def to_bool(self, obj: torch.fx.Proxy) -> bool:
        """What a condition is for inputs of the given shapes; one on the values of a tensor stays refused."""
        self._computing = True
        try:
            with torch.no_grad():
                value = self._value(obj.node)
        finally:
            self._computing = False
        return bool(super().to_bool(obj)) if isinstance(value, torch.Tensor) else bool(value)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Records a call, or computes it: while a network is traced, torch redirects all calls of modules here."""
        return forward(*args, **kwargs) if self._computing else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """The same for parameters."""
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: torch.fx.Node) -> Any:
        if node not in self._known:
            interpreter = torch.fx.Interpreter(self.root, graph=self.graph)
            if node.op == "placeholder":
                position = [other for other in self.graph.nodes if other.op == "placeholder"].index(node)
                given = position < len(self._shapes)
                self._known[node] = torch.zeros(self._shapes[position]) if given else node.args[0]
            else:
                args, kwargs = torch.fx.map_arg((node.args, node.kwargs), self._value)
                self._known[node] = getattr(interpreter, node.op)(node.target, args, kwargs)
        return self._known[node]


def trace(module: nn.Module, input_shape: Shapes, forms: Forms | None = None) -> Graph:
    """The float graph of `module` for inputs of `input_shape` [1, C, H, W]; normalisation and activations are folded.

    The module is read in evaluation mode; its training flag is left as it was.

    Args:
        module: the network.
        input_shape: [1, C, H, W], or one such shape for each input.
        forms: which form layers with several forms take; by default the first one. It learns which choices there are.

    Raises:
        ExportError: the forward cannot be traced, or contains what has no integer counterpart (named, with its module).
    """
    return Lowering(module, input_shape).whole(Forms() if forms is None else forms)


class Lowering:
    """What `trace` does, for several forms of the layers: the module is traced once, and what does not depend on the forms
    is lowered once.

    Raises:
        ExportError: the forward cannot be traced.
    """

    def __init__(self, module: nn.Module, input_shape: Shapes) -> None:
        self._module, self._shapes = module, several(input_shape)
        self._pieces: Pieces | None = None
        _check_types(module)
        with evaluating(module):
            self._nodes = None if find(type(module)) is not None else _nodes(module, self._shapes)

    def __call__(self, forms: Forms) -> Graph:
        """The float graph in these forms, folded; `forms` learns which choices there are."""
        joined = None if self._pieces is None else self._pieces.joined(forms)
        if joined is not None:
            return joined
        graph, calls = self._lower(forms)
        if calls:
            self._pieces = Pieces(graph, forms, calls)
            joined = self._pieces.joined(forms)
        return fold.fold(graph) if joined is None else joined

    def whole(self, forms: Forms) -> Graph:
        """The same graph, lowered anew."""
        return fold.fold(self._lower(forms)[0])

    def _lower(self, forms: Forms) -> tuple[Graph, list[Call]]:
        return _lower(self._module, self._nodes, self._shapes, forms)


def _check_types(module: nn.Module) -> None:
    """Refuse numbers that the float graph does not compute with."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ExportError(
                f"is {tensor.dtype}, not float32".replace("torch.", ""), where=name, hint="export network.float()"
            )


def _nodes(module: nn.Module, shapes: Sequence[Shape]) -> tuple[torch.fx.Node, ...]:
    wrapped = next((kind for kind in _WRAPPERS if isinstance(module, kind)), None)
    if wrapped is not None:
        raise ExportError(f"{type(module).__name__} cannot be traced", where="the network", hint=_WRAPPERS[wrapped])
    try:
        return tuple(_Tracer(shapes).trace(module).nodes)
    except Exception as error:  # whatever the traced forward raises
        raise ExportError(
            f"the forward cannot be traced: {error}",
            where=type(module).__name__,
            hint="conditions and loops may depend on shapes (x.shape[1] == 3), not on the values of tensors",
        ) from error


_WRAPPERS: Final[dict[type, str]] = {
    nn.DataParallel: "export network.module",
    nn.parallel.DistributedDataParallel: "export network.module",
    torch.jit.ScriptModule: "export the Python module that the script was made from",
}


def several(input_shape: Shapes) -> tuple[Shape, ...]:
    """The shapes of all inputs, whether one was given or several."""
    shapes: list[Any] = list(input_shape)
    return (tuple(shapes),) if all(isinstance(extent, int) for extent in shapes) else tuple(map(tuple, shapes))


def _lower(
    module: nn.Module, nodes: Sequence[torch.fx.Node] | None, shapes: Sequence[Shape], forms: Forms
) -> tuple[Graph, list[Call]]:
    """The graph, not folded, and the layers in it that left choices."""
    builder = Builder(forms)
    if nodes is None:
        inputs = [builder.input(shape, f"input_{i}" if i else "input") for i, shape in enumerate(shapes)]
        with evaluating(module):
            outputs = _outputs(builder, lower_module(module, builder, *inputs))
        return builder.finish(inputs, outputs), []
    calls: list[Call] = []
    values: dict[torch.fx.Node, Any] = {}
    inputs = []
    outputs = []
    for node in nodes:
        args = torch.fx.map_arg(node.args, values.__getitem__)
        kwargs = torch.fx.map_arg(node.kwargs, values.__getitem__)
        with builder.at(_path(node)):
            if node.op == "placeholder":
                values[node] = _input(builder, node, args, shapes[len(inputs) :])
                inputs += [values[node]] if isinstance(values[node], Value) else []
            elif node.op == "output":
                outputs = _outputs(builder, args[0])
            else:
                asked = builder.forms = Forms(forms.wanted)
                lower, first = partial(_call, module, node, args, kwargs), builder.position
                read = [leaf for leaf in _leaves(map(values.get, node.all_input_nodes)) if isinstance(leaf, Value)]
                values[node] = lower(builder)
                if asked.met:
                    forms.met.update(asked.met)
                    calls.append(Call(range(first, builder.position), asked.met, read, values[node], lower))
                overwritten = _overwritten(module, node)
                if overwritten is not None:
                    values[overwritten] = values[node]
                    if _is_seen_through_a_view(overwritten, node, nodes):
                        raise builder.refuse(
                            "changes a part of a tensor in place that is read again as a whole",
                            "use the form that returns a new tensor (relu, not relu_ or inplace=True)",
                        )
    if len(inputs) < len(shapes):
        raise builder.refuse(f"{len(shapes)} input shapes for a network with {len(inputs)} inputs")
    return builder.finish(inputs, outputs), calls


def _input(builder: Builder, node: torch.fx.Node, default: Any, shapes: Sequence[Shape]) -> Any:
    """The next input, or the default of an argument for which no shape is left."""
    if shapes:
        return builder.input(shapes[0], str(node.target))
    if not default:
        raise builder.refuse(f"no shape for the input {node.target}", "give one shape for each input of the network")
    return default[0]


def _call(module: nn.Module, node: torch.fx.Node, args: Any, kwargs: Any, builder: Builder) -> Any:
    """The value of one node that computes something."""
    with builder.at(_path(node)):
        return _value_of(module, node, args, kwargs, builder)


def _value_of(module: nn.Module, node: torch.fx.Node, args: Any, kwargs: Any, builder: Builder) -> Any:
    target: Any = node.target
    if node.op == "get_attr":
        return operator.attrgetter(target)(module)
    if node.op == "call_module":
        child = module.get_submodule(target)
        with evaluating(child):
            return lower_module(child, builder, *args, **kwargs)
    if any(isinstance(leaf, Value) for leaf in _leaves([args, list(kwargs.values())])):
        return lower_function(target, builder, *args, **kwargs)
    try:  # arithmetic on shapes and weights
        return getattr(args[0], target)(*args[1:], **kwargs) if node.op == "call_method" else target(*args, **kwargs)
    except Exception as error:  # whatever the traced forward raises
        raise builder.refuse(f"{getattr(target, '__name__', target)}() fails: {error}") from error


def _overwritten(module: nn.Module, node: torch.fx.Node) -> torch.fx.Node | None:
    """The argument that a call overwrites, if it does: later readers of it see the result."""
    first = node.args[0] if node.args else None
    if node.op == "call_module":
        in_place = bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    else:
        name = _name(node)
        in_place = bool(node.kwargs.get("inplace")) or (name.endswith("_") and not name.endswith("__"))
    return first if in_place and isinstance(first, torch.fx.Node) else None


_VIEWS: Final = frozenset(
    ("chunk", "split", "getitem", "view", "reshape", "flatten", "transpose", "permute", "swapaxes", "squeeze", "unsqueeze")
)  # fmt: skip


def _is_seen_through_a_view(changed: torch.fx.Node, by: torch.fx.Node, nodes: Sequence[torch.fx.Node]) -> bool:
    """Whether a tensor of which `changed` is a view is read behind the node that changes it."""
    bases = list(_bases(changed))
    if not bases:
        return False
    later = set(nodes[nodes.index(by) + 1 :])
    return any(later.intersection(base.users) for base in bases)


def _bases(view: torch.fx.Node) -> Iterator[torch.fx.Node]:
    """The tensors in whose memory a view lies; of a tuple of parts other parts are read."""
    while _name(view) in _VIEWS and view.args and isinstance(view.args[0], torch.fx.Node):
        view = view.args[0]
        if _name(view) not in ("chunk", "split"):
            yield view


def _name(node: torch.fx.Node) -> str:
    return node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", ""))


def _leaves(args: Iterable[Any]) -> list[Any]:
    return [leaf for arg in args for leaf in (_leaves(arg) if isinstance(arg, (tuple, list)) else [arg])]


def _path(node: torch.fx.Node) -> str:
    """Path of the module that a node belongs to: its own for a module call, else that of the enclosing forward."""
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]) if stack else ""


def _outputs(builder: Builder, result: Any) -> list[Value]:
    outputs = returned.values(result)
    if not all(isinstance(value, Value) for value in outputs):
        raise builder.refuse("the network must return tensors that depend on its input", "return one tensor or a tuple")
    for value in outputs:
        if not (value.is_map or value.is_vector or len(value.shape) != 4):
            raise builder.refuse(
                f"the network returns {list(value.torch_shape)}, a map in another order than the device's",
                "return the map [1, C, H, W], which is [1, H, W, C] on the device, or end in a Linear",
            )
    return outputs
